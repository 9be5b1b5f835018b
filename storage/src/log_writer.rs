//! Writing to and deleting from the log tree, in batches of whole entries.
//!
//! sled recovers a batch whole or not at all, and batches in the order in which they were applied.
//! As no entry is spread over two batches, a crash leaves neither half an entry nor, since deleting
//! goes from the end backward, a hole.

use std::io;

use crate::{
    StorageMetrics,
    disk::{BATCH_KEYS, Disk},
    piece,
    watchdog::Progress,
};

pub(crate) struct LogWriter {
    disk: Disk,
    metrics: StorageMetrics,
    progress: Progress,
    staged: sled::Batch,
    staged_keys: usize,
    /// Entries below this index are still to be deleted.
    deleting_below: Option<u64>,
}

impl LogWriter {
    /// Purging below `first` may have been cut short by a crash; to look for leftovers costs a read.
    pub(crate) fn new(disk: Disk, metrics: StorageMetrics, progress: Progress, first: u64) -> Self {
        let staged = sled::Batch::default();
        Self { disk, metrics, progress, staged, staged_keys: 0, deleting_below: Some(first) }
    }

    /// Stages an entry; [`LogWriter::write`] writes it.
    pub(crate) fn put(&mut self, index: u64, entry: &[u8]) -> Result<(), io::Error> {
        let pieces = piece::split(index, entry);
        self.make_room(pieces.len())?;
        for (key, value) in pieces {
            self.staged.insert(&key, value);
        }
        self.metrics.appended(entry.len());
        Ok(())
    }

    /// Writes what is staged.
    pub(crate) fn write(&mut self) -> Result<(), io::Error> {
        if self.staged_keys > 0 {
            self.staged_keys = 0;
            self.disk.apply(std::mem::take(&mut self.staged))?;
            self.progress.step();
        }
        Ok(())
    }

    /// Deletes the entries from `first` on, from the end backward.
    pub(crate) fn delete_from(&mut self, first: u64) -> Result<(), io::Error> {
        self.write()?;
        let mut entry = Vec::new();
        for key in self.disk.clone().keys_from(first) {
            let key = key?;
            let (_, piece) = piece::parse(&key).map_err(io::Error::other)?;
            entry.push(key);
            if piece == 0 {
                self.stage_deletion(std::mem::take(&mut entry))?;
            }
        }
        self.write()
    }

    /// Notes that the entries below `first` are to be deleted, bit by bit.
    pub(crate) fn delete_below(&mut self, first: u64) {
        self.deleting_below = Some(first);
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.deleting_below.is_some()
    }

    /// Deletes one batch of the entries below, so that appends never wait for more than that. Here
    /// entries may be cut: no one reads below the beginning of the log.
    pub(crate) fn delete_some(&mut self) -> Result<(), io::Error> {
        let Some(first) = self.deleting_below else { return Ok(()) };
        let keys = self.disk.keys_below(first)?;
        if keys.len() < BATCH_KEYS {
            self.deleting_below = None;
        }
        self.stage_deletion(keys)?;
        self.write()
    }

    fn stage_deletion(&mut self, keys: Vec<sled::IVec>) -> Result<(), io::Error> {
        self.make_room(keys.len())?;
        self.metrics.deleted(keys.len());
        keys.into_iter().for_each(|key| self.staged.remove(key));
        Ok(())
    }

    fn make_room(&mut self, keys: usize) -> Result<(), io::Error> {
        if self.staged_keys + keys > BATCH_KEYS {
            self.write()?;
        }
        self.staged_keys += keys;
        Ok(())
    }
}
