//! Writing a snapshot file: under a temporary name until it is complete and durable.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::PathBuf,
};

use super::{
    MAX_HEADER_BYTES, MAX_RECORD_BYTES,
    file::SnapshotFile,
    format::{BLOCK_BYTES, BlockWriter, Kind},
    store::SnapshotStore,
};
use crate::SnapshotError;

/// A snapshot file being written. Dropped without [`SnapshotWriter::finish`], it leaves nothing.
#[derive(Debug)]
pub struct SnapshotWriter {
    store: SnapshotStore,
    name: String,
    temporary: Temporary,
    header: Vec<u8>,
    out: BlockWriter<BufWriter<File>>,
    block: Vec<u8>,
}

impl SnapshotWriter {
    pub(super) fn start(
        store: SnapshotStore,
        name: String,
        path: PathBuf,
        header: &[u8],
    ) -> Result<Self, SnapshotError> {
        bounded("header", header, MAX_HEADER_BYTES)?;
        let begun = begin(&path, header);
        let temporary = Temporary(path);
        let out = begun.map_err(|source| temporary.error(source))?;
        Ok(Self { store, name, temporary, header: header.to_vec(), out, block: Vec::new() })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Fails when the record is larger than [`MAX_RECORD_BYTES`] or the disk refuses; the writer is
    /// then of no further use.
    pub fn push(&mut self, record: &[u8]) -> Result<(), SnapshotError> {
        bounded("record", record, MAX_RECORD_BYTES)?;
        self.block.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.block.extend_from_slice(record);
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    /// Makes the file durable, then visible: fsync, rename, fsync of the folder.
    ///
    /// # Errors
    /// Fails when the disk refuses; nothing is left behind.
    pub fn finish(mut self) -> Result<SnapshotFile, SnapshotError> {
        self.close_block()?;
        let (out, sha256, bytes) = self.out.finish().map_err(|source| self.temporary.error(source))?;
        flush(out).map_err(|source| self.temporary.error(source))?;
        let file = self.store.publish(&self.temporary.0, &self.name)?;
        let file = SnapshotFile { path: file.0, header: self.header, bytes, sha256, file: file.1 };
        self.store.remember(file.clone());
        Ok(file)
    }

    fn close_block(&mut self) -> Result<(), SnapshotError> {
        let written = self.out.block(Kind::Records, &self.block);
        self.block.clear();
        written.map_err(|source| self.temporary.error(source))
    }
}

fn begin(path: &PathBuf, header: &[u8]) -> io::Result<BlockWriter<BufWriter<File>>> {
    let mut out = BlockWriter::new(BufWriter::with_capacity(BLOCK_BYTES, File::create(path)?))?;
    out.block(Kind::Header, header)?;
    Ok(out)
}

fn flush(out: BufWriter<File>) -> io::Result<()> {
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn bounded(what: &'static str, value: &[u8], limit: usize) -> Result<(), SnapshotError> {
    match value.len() {
        bytes if bytes > limit => Err(SnapshotError::TooLarge { what, bytes, limit }),
        _ => Ok(()),
    }
}

/// A file that is removed unless it was renamed.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn error(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Io { path: self.0.clone(), source }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is no such file; a leftover is removed at the next start.
        let _ = fs::remove_file(&self.0);
    }
}
