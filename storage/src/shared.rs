//! What the handles of one store share.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{StorageMetrics, disk::Disk, failure::Breaker, folder::Folder, tail::Tail, watchdog::Progress};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) disk: Disk,
    pub(crate) breaker: Breaker,
    pub(crate) metrics: StorageMetrics,
    pub(crate) progress: Progress,
    tail: Mutex<Tail>,
    folder: Arc<Folder>,
}

impl Shared {
    pub(crate) fn new(disk: Disk, tail: Tail, folder: Arc<Folder>) -> Self {
        Self {
            disk,
            breaker: Breaker::new(),
            metrics: StorageMetrics::default(),
            progress: Progress::default(),
            tail: Mutex::new(tail),
            folder,
        }
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Held for short, never across an await or a read from disk.
    pub(crate) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
