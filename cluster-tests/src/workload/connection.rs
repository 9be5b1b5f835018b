//! One keep-alive connection that reads as little of HTTP/1.1 as telling answers apart needs.

use std::io::{Error, ErrorKind, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// More than any answer to a connect.
const MAX_ANSWER: usize = 64 * 1024;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Where the body begins, and where it ends.
    body: (usize, usize),
    close: bool,
}

impl Connection {
    pub(super) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4 * 1024) })
    }

    /// Sends a whole request and waits for its whole answer: the status, the body, and whether the connection
    /// may be used again.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8], bool)> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        loop {
            if self.buffer.len() > MAX_ANSWER {
                return Err(malformed("the answer is too long"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let Some(Head { status, body: (begin, end), close }) = head(&self.buffer)? else { continue };
            if self.buffer.len() >= end {
                return Ok((status, &self.buffer[begin..end], !close));
            }
        }
    }
}

/// Reads the head of an answer, once it is all there. Our nodes always say how long an answer is.
fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(length) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..length]).map_err(|_| malformed("the head is no text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| malformed("no status line of HTTP/1.1"))?;
    let (mut content_length, mut close) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            content_length = value.trim().parse::<usize>().ok().filter(|length| *length <= MAX_ANSWER);
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.trim().eq_ignore_ascii_case("close");
        }
    }
    let content_length = content_length.ok_or_else(|| malformed("the answer does not say its length"))?;
    Ok(Some(Head { status, body: (length + 4, length + 4 + content_length), close }))
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_complete() {
        let text = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nconnection: Close\r\n\r\n{}";
        assert_eq!(head(&text[..40]).expect("well-formed"), None);
        let read = head(text).expect("well-formed");
        assert_eq!(read, Some(Head { status: 403, body: (text.len() - 2, text.len()), close: true }));
    }

    #[test]
    fn what_cannot_be_told_apart_is_an_error() {
        for text in ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "nonsense\r\n\r\n"] {
            assert!(head(text.as_bytes()).is_err(), "{text}");
        }
    }
}
