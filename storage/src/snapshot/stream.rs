//! The content of a snapshot file, written to anything that takes bytes.

use std::io::{self, Write};

use super::{
    MAX_HEADER_BYTES, MAX_RECORD_BYTES,
    format::{BLOCK_BYTES, BlockWriter, Hash, Kind},
};

/// Something that is longer than the format allows; nothing of it was written.
#[derive(Debug, thiserror::Error)]
#[error("{what} of {bytes} bytes is larger than the limit of {limit} bytes")]
pub(super) struct TooLarge {
    pub(super) what: &'static str,
    pub(super) bytes: usize,
    pub(super) limit: usize,
}

/// Writes a header and records in the form of a snapshot file. What was written is whole only once
/// [`SnapshotStream::finish`] has put its hash at the end.
#[derive(Debug)]
pub struct SnapshotStream<W> {
    out: BlockWriter<W>,
    block: Vec<u8>,
}

impl<W: Write> SnapshotStream<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Fails on a header above [`MAX_HEADER_BYTES`](super::MAX_HEADER_BYTES), or when `out` does.
    pub fn start(out: W, header: &[u8]) -> io::Result<Self> {
        bounded("header", header, MAX_HEADER_BYTES)?;
        let mut out = BlockWriter::new(out)?;
        out.block(Kind::Header, header)?;
        Ok(Self { out, block: Vec::new() })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Fails when the record is larger than [`MAX_RECORD_BYTES`](super::MAX_RECORD_BYTES) or `out` fails; the
    /// stream is then of no further use.
    pub fn push(&mut self, record: &[u8]) -> io::Result<()> {
        bounded("record", record, MAX_RECORD_BYTES)?;
        self.block.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.block.extend_from_slice(record);
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    /// Writes the end and the hash; gives back what was written to, the hash and the length in bytes.
    ///
    /// # Errors
    /// Fails when `out` does.
    pub fn finish(mut self) -> io::Result<(W, Hash, u64)> {
        self.close_block()?;
        self.out.finish()
    }

    fn close_block(&mut self) -> io::Result<()> {
        let written = self.out.block(Kind::Records, &self.block);
        self.block.clear();
        written
    }
}

fn bounded(what: &'static str, value: &[u8], limit: usize) -> io::Result<()> {
    match value.len() {
        bytes if bytes > limit => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, TooLarge { what, bytes, limit }))
        }
        _ => Ok(()),
    }
}
