//! Closing a connection without losing its last answers.
//!
//! Linux resets a connection that is closed while there is something to read on it, and the other end loses what it has
//! not read yet (RFC 9112 section 9.6, RFC 9293 section 3.6). There nearly always can be something: the rest of a body
//! that was too large, a request that met the end of the connection, an acknowledgement of HTTP/2.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    time::{sleep, timeout},
};

/// How long what still comes is read and forgotten.
const PATIENCE: Duration = Duration::from_secs(2);

/// So much is read at once, and then nothing for a while: 12 MiB a second, which is enough for who is nearly done, and no
/// work worth the name for who sends without end.
const PIECE: usize = 64 << 10;
const REST: Duration = Duration::from_millis(5);

/// A connection that was shut down in order is read until the other end closes it too, within bounds, when this is dropped.
/// One that is cut off is closed at once.
///
/// `P` is a place among a bounded number of connections: it is taken until the connection is closed.
#[derive(Debug)]
pub struct Lingering<P: Send + 'static> {
    /// Taken out by the drop alone.
    connection: Option<(TcpStream, P)>,
    is_shut: bool,
}

impl<P: Send + 'static> Lingering<P> {
    /// Over `stream`, which has this place.
    pub fn new(stream: TcpStream, place: P) -> Self {
        Self { connection: Some((stream, place)), is_shut: false }
    }

    /// Changes its place.
    pub fn hold(&mut self, place: P) {
        if let Some(connection) = &mut self.connection {
            connection.1 = place;
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let connection = self.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(&mut connection.0))
    }
}

impl<P: Send + Unpin + 'static> AsyncRead for Lingering<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(context, into)
    }
}

impl<P: Send + Unpin + 'static> AsyncWrite for Lingering<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.as_ref().is_some_and(|(stream, _)| stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream()?.poll_shutdown(context))?;
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

impl<P: Send + 'static> Drop for Lingering<P> {
    fn drop(&mut self) {
        let shut = self.connection.take().filter(|_| self.is_shut);
        // The other end has mostly gone first.
        let going = shut.filter(|(stream, _)| !matches!(stream.try_read(&mut [0]), Ok(0)));
        if let (Some((stream, place)), Ok(runtime)) = (going, Handle::try_current()) {
            runtime.spawn(async move {
                let _ = timeout(PATIENCE, forget(stream)).await;
                drop(place);
            });
        }
    }
}

async fn forget(mut stream: TcpStream) {
    let mut buffer = vec![0; PIECE];
    while let Ok(1..) = stream.read(&mut buffer).await {
        sleep(REST).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use std::sync::Arc;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    /// Both ends of a connection; the first one is ours.
    async fn pair(place: Arc<()>) -> (Lingering<Arc<()>>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Lingering::new(listener.accept().await.unwrap().0, place), other)
    }

    async fn is_free(place: &Arc<()>) {
        while Arc::strong_count(place) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn an_answer_outlives_what_was_not_read() {
        let place = Arc::new(());
        let (mut ours, mut other) = pair(place.clone()).await;
        other.write_all(&[7; 100_000]).await.unwrap();
        ours.write_all(b"too large").await.unwrap();
        ours.shutdown().await.unwrap();
        drop(ours);
        // A connection that was reset takes nothing.
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            other.write_all(&[7; 100_000]).await.unwrap();
        }
        assert_eq!(Arc::strong_count(&place), 2, "the place is taken for as long as the connection is open");
        let mut answer = String::new();
        other.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "too large");
        drop(other);
        is_free(&place).await;
    }

    #[tokio::test]
    async fn who_is_cut_off_is_not_waited_for() {
        let place = Arc::new(());
        let (ours, mut other) = pair(place.clone()).await;
        other.write_all(&[7; 100]).await.unwrap();
        ours.connection.as_ref().unwrap().0.readable().await.unwrap();
        drop(ours);
        assert_eq!(Arc::strong_count(&place), 1);
        let mut answer = String::new();
        assert!(other.read_to_string(&mut answer).await.is_err(), "it was reset");
    }

    #[tokio::test]
    async fn who_never_closes_is_given_up() {
        let place = Arc::new(());
        let (mut ours, _other) = pair(place.clone()).await;
        ours.shutdown().await.unwrap();
        drop(ours);
        assert_eq!(Arc::strong_count(&place), 2);
        is_free(&place).await;
    }
}
