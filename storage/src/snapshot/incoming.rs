//! Receiving a snapshot file in chunks, over as many connections as it takes.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
};

use super::{file::SnapshotFile, store::SnapshotStore};
use crate::SnapshotError;

/// A snapshot file being received.
///
/// It is not synced chunk by chunk: what a power failure leaves behind is found out by the hash,
/// and then fetched anew.
#[derive(Debug)]
pub struct Incoming {
    store: SnapshotStore,
    name: String,
    path: PathBuf,
    file: File,
    length: u64,
}

impl Incoming {
    pub(super) fn resume(store: SnapshotStore, name: String, path: PathBuf) -> Result<Self, SnapshotError> {
        let open = || {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
            Ok((file.metadata()?.len(), file))
        };
        match open() {
            Ok((length, file)) => Ok(Self { store, name, path, file, length }),
            Err(source) => Err(SnapshotError::Io { path, source }),
        }
    }

    /// How many bytes are here; the next chunk begins at this offset.
    pub fn offset(&self) -> u64 {
        self.length
    }

    /// Adds the chunk that begins at `offset` (in bytes).
    ///
    /// # Errors
    /// Fails with [`SnapshotError::Offset`] when the chunk does not follow on, which also tells
    /// where to go on.
    pub fn append(&mut self, offset: u64, chunk: &[u8]) -> Result<(), SnapshotError> {
        if offset != self.length {
            return Err(SnapshotError::Offset { expected: self.length, found: offset });
        }
        self.file.write_all_at(chunk, offset).map_err(|source| self.error(source))?;
        self.length += chunk.len() as u64;
        Ok(())
    }

    /// Checks the whole file against its announced hash, block by block and as a whole, and
    /// publishes it: fsync, rename, fsync of the folder.
    ///
    /// # Errors
    /// When the file is damaged or is another one, it is removed, so that the next try begins anew.
    pub fn finish(self, sha256: [u8; 32]) -> Result<SnapshotFile, SnapshotError> {
        let file = self.checked(sha256).inspect_err(|_| self.remove())?;
        self.file.sync_all().map_err(|source| self.error(source))?;
        let (path, _) = self.store.publish(&self.path, &self.name)?;
        let file = SnapshotFile { path, ..file };
        self.store.remember(file.clone());
        Ok(file)
    }

    /// Throws away what was received.
    pub fn discard(self) {
        self.remove();
    }

    fn checked(&self, sha256: [u8; 32]) -> Result<SnapshotFile, SnapshotError> {
        let file = SnapshotFile::open(self.path.clone())?;
        if file.sha256 == sha256 { Ok(file) } else { Err(SnapshotError::Hash { path: self.path.clone() }) }
    }

    fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a partial snapshot");
        }
    }

    fn error(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Io { path: self.path.clone(), source }
    }
}
