//! Writing a snapshot file: under a temporary name until it is complete and durable.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::PathBuf,
};

use super::{
    file::SnapshotFile,
    format::BLOCK_BYTES,
    store::SnapshotStore,
    stream::{SnapshotStream, TooLarge},
};
use crate::SnapshotError;

/// A snapshot file being written. Dropped without [`SnapshotWriter::finish`], it leaves nothing.
#[derive(Debug)]
pub struct SnapshotWriter {
    store: SnapshotStore,
    name: String,
    temporary: Temporary,
    header: Vec<u8>,
    out: SnapshotStream<BufWriter<File>>,
}

impl SnapshotWriter {
    pub(super) fn start(
        store: SnapshotStore,
        name: String,
        path: PathBuf,
        header: &[u8],
    ) -> Result<Self, SnapshotError> {
        let begun = begin(&path, header);
        let temporary = Temporary(path);
        let out = begun.map_err(|source| temporary.error(source))?;
        Ok(Self { store, name, temporary, header: header.to_vec(), out })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Fails when the record is larger than [`MAX_RECORD_BYTES`](super::MAX_RECORD_BYTES) or the disk refuses; the writer is
    /// then of no further use.
    pub fn push(&mut self, record: &[u8]) -> Result<(), SnapshotError> {
        self.out.push(record).map_err(|source| self.temporary.error(source))
    }

    /// Makes the file durable, then visible: fsync, rename, fsync of the folder.
    ///
    /// # Errors
    /// Fails when the disk refuses; nothing is left behind.
    pub fn finish(self) -> Result<SnapshotFile, SnapshotError> {
        let (out, sha256, bytes) = self.out.finish().map_err(|source| self.temporary.error(source))?;
        flush(out).map_err(|source| self.temporary.error(source))?;
        let file = self.store.publish(&self.temporary.0, &self.name)?;
        let file = SnapshotFile { path: file.0, header: self.header, bytes, sha256, file: file.1 };
        self.store.remember(file.clone());
        Ok(file)
    }
}

fn begin(path: &PathBuf, header: &[u8]) -> io::Result<SnapshotStream<BufWriter<File>>> {
    SnapshotStream::start(BufWriter::with_capacity(BLOCK_BYTES, File::create(path)?), header)
}

fn flush(out: BufWriter<File>) -> io::Result<()> {
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// A file that is removed unless it was renamed.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn error(&self, source: io::Error) -> SnapshotError {
        match source.downcast::<TooLarge>() {
            Ok(TooLarge { what, bytes, limit }) => SnapshotError::TooLarge { what, bytes, limit },
            Err(source) => SnapshotError::Io { path: self.0.clone(), source },
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is no such file; a leftover is removed at the next start.
        let _ = fs::remove_file(&self.0);
    }
}
