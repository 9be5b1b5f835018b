//! What can go wrong, by who must act: the caller of the store, the operator at a start, the sender
//! or reader of a snapshot.

use std::{io, path::PathBuf, sync::Arc};

use crate::{Damage, remedy::remedy, space::START_BYTES};

/// An error of the running store.
///
/// Everything but [`StorageError::TooLarge`] and [`StorageError::Discontinuous`] means that this
/// node must stop: the caller hands it to openraft, which shuts its core down.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// An earlier write, flush or fsync failed. Nothing is retried: after a failed fsync the kernel
    /// may have dropped the very pages that a second fsync would then report as written.
    #[error("storage has stopped: {reason}")]
    Stopped {
        /// What failed first.
        reason: Arc<str>,
    },
    /// The store was closed by its owner.
    #[error("storage is closed")]
    Closed,
    /// A value is larger than the bound for its kind; nothing was written.
    #[error("{what} of {bytes} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The kind of value.
        what: &'static str,
        /// Its encoded size in bytes.
        bytes: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// The caller tried to leave a hole in the log, or to truncate what is purged; nothing was written.
    #[error("log operation at index {found} does not follow on: expected index {expected}")]
    Discontinuous {
        /// The index that would have been right.
        expected: u64,
        /// The index that was given.
        found: u64,
    },
    /// A value could not be encoded; nothing was written.
    #[error("cannot encode {what}: {reason}")]
    Encode {
        /// The kind of value.
        what: &'static str,
        /// The encoder's own words.
        reason: String,
    },
    /// Stored data is not what was written.
    #[error("stored data is damaged: {0}")]
    Damaged(#[from] Damage),
}

impl From<StorageError> for io::Error {
    fn from(error: StorageError) -> Self {
        io::Error::other(error)
    }
}

/// Why a data folder was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder open.
    #[error(
        "data folder {dir} is in use by another process. Give each node a folder of its own, or let replicas of one \
         host share a volume with `data_slots`"
    )]
    Locked {
        /// The data folder.
        dir: PathBuf,
    },
    /// The folder cannot be created or written.
    #[error("data folder {dir} cannot be used: {source}. {}", remedy(.source))]
    Unwritable {
        /// The data folder.
        dir: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// So little space is left that not even the start would go through.
    #[error(
        "data folder {dir} has {free} bytes left, a start needs {START_BYTES}. {}",
        remedy(&io::ErrorKind::StorageFull.into())
    )]
    Full {
        /// The data folder.
        dir: PathBuf,
        /// The free space found, in bytes.
        free: u64,
    },
    /// The folder was written by a program with another format.
    #[error(
        "data folder {dir} has format {found}, this program reads format {supported}. Start it with the version of \
         this program that wrote it"
    )]
    Format {
        /// The data folder.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The format this program reads and writes.
        supported: u32,
    },
    /// The folder's contents are damaged, and serving from it could break promises made to the cluster.
    #[error(
        "data folder {dir} is damaged: {damage}. Set the folder aside and start with an empty one, as a new node: \
         the cluster sends it the state. Do not copy parts of the old folder back"
    )]
    Damaged {
        /// The data folder.
        dir: PathBuf,
        /// What was found.
        damage: Damage,
    },
}

/// An error about a snapshot file.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error("snapshot file {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is not a complete, intact snapshot.
    #[error("snapshot file {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The name is empty, too long, or has characters outside `0-9a-z-`.
    #[error("{0:?} is no snapshot name")]
    Name(String),
    /// A header or record is larger than its bound.
    #[error("snapshot {what} of {bytes} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The kind of value.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// A chunk does not follow on what was received so far.
    #[error("snapshot chunk at offset {found} does not follow on: {expected} bytes are here")]
    Offset {
        /// The offset that would have been right, in bytes.
        expected: u64,
        /// The offset that was given, in bytes.
        found: u64,
    },
    /// The received file is not the one that was announced; it has been removed.
    #[error("received snapshot {path} does not have the announced hash")]
    Hash {
        /// The file.
        path: PathBuf,
    },
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        io::Error::other(error)
    }
}
