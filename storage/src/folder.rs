//! The data folder: its layout, its lock, and syncing of folders.
//!
//! ```text
//! <dir>/lock         held by flock while a process has the folder open
//! <dir>/watermark    what was acknowledged last (watermark.rs)
//! <dir>/db/          sled: trees `log` and `meta`
//! <dir>/snapshots/   snapshot files (snapshot/)
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::OpenError;

/// A data folder that this process alone has open.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// The lock goes with the descriptor, so even `kill -9` releases it.
    _lock: File,
}

impl Folder {
    pub(crate) fn lock(dir: &Path) -> Result<Self, OpenError> {
        let unwritable = |source| OpenError::Unwritable { dir: dir.to_owned(), source };
        let folder = Self { dir: dir.to_owned(), _lock: create(dir).map_err(unwritable)? };
        match flock(&folder._lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(folder),
            Err(Errno::WOULDBLOCK) => Err(OpenError::Locked { dir: dir.to_owned() }),
            Err(errno) => Err(unwritable(errno.into())),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("db")
    }

    pub(crate) fn watermark(&self) -> PathBuf {
        self.dir.join("watermark")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }
}

fn create(dir: &Path) -> io::Result<File> {
    fs::create_dir_all(dir.join("snapshots"))?;
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)?;
    OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"))
}

/// Makes the names in a folder durable; a file's own fsync does not cover its name.
pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
