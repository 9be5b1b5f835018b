//! A finished, checked snapshot file.

use std::{fs::File, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use super::{name, records::Records};
use crate::SnapshotError;

/// A finished snapshot file that was intact when it was opened or written.
///
/// It keeps the file open: it stays readable while it is being sent, even after
/// [`SnapshotStore::prune`](super::SnapshotStore::prune) has removed its name.
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    /// Where it stands.
    pub path: PathBuf,
    /// What the writer put before the records; opaque here.
    pub header: Vec<u8>,
    /// Its whole length in bytes.
    pub bytes: u64,
    /// SHA-256 of everything before the trailing hash, which is this one.
    pub sha256: [u8; 32],
    pub(super) file: Arc<File>,
}

impl SnapshotFile {
    /// Opens a file, wherever it stands, and reads it whole.
    ///
    /// # Errors
    /// Fails when the file cannot be read or is not as it was written.
    pub fn open(path: PathBuf) -> Result<Self, SnapshotError> {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened.map_err(|source| SnapshotError::Io { path: path.clone(), source })?;
        let file = Arc::new(file);
        let mut records = Records::start(path.clone(), file.clone())?;
        records.by_ref().try_for_each(|record| record.map(drop))?;
        let header = records.header().to_vec();
        let Some(sha256) = records.hash() else {
            return Err(SnapshotError::Damaged { path, reason: "the file has no end".to_owned() });
        };
        Ok(Self { path, header, bytes, sha256, file })
    }

    /// The name it was created or received under.
    pub fn name(&self) -> &str {
        name::of(&self.path, name::FINISHED).unwrap_or_default()
    }

    /// Reads the records from the start, checking the file again on the way.
    ///
    /// # Errors
    /// Fails when the file cannot be read or its beginning is damaged.
    pub fn records(&self) -> Result<Records, SnapshotError> {
        Records::start(self.path.clone(), self.file.clone())
    }

    /// Fills `buffer` with the file's bytes from `offset` (in bytes), for sending; gives the number
    /// of bytes read, which is 0 at the end.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SnapshotError> {
        let io = |source| SnapshotError::Io { path: self.path.clone(), source };
        self.file.read_at(buffer, offset).map_err(io)
    }
}
