//! Lines that nobody has written yet, as bytes in one buffer.

use super::{batch::Batch, line::Line};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// More than most lines take.
const LINE_BYTES: usize = 512;

/// Holds lines in the order in which they came. Nothing blocks while its lock is held.
pub(super) struct Queue {
    pending: Mutex<Pending>,
    /// For a writer that is a thread of its own.
    arrived: Condvar,
    bound: usize,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    lines: u64,
    batch: Arc<Batch>,
    closed: bool,
    /// Whether a writer sleeps. Waking nobody would be a system call all the same.
    awaited: bool,
}

impl Queue {
    /// A queue that takes no more lines once it holds `bound` bytes.
    pub(super) fn new(bound: usize) -> Self {
        Self { pending: Mutex::default(), arrived: Condvar::new(), bound }
    }

    /// Adds a line, and gives the batch that it is in. `None` if the queue is full.
    pub(super) fn push(&self, line: &Line<'_>) -> Option<Arc<Batch>> {
        // Before the lock is taken: writing a line out takes far longer than copying it.
        let mut text = Vec::with_capacity(LINE_BYTES);
        line.write_to(&mut text).ok()?;
        let mut pending = self.lock();
        if pending.bytes.len() >= self.bound {
            return None;
        }
        pending.bytes.extend_from_slice(&text);
        pending.lines += 1;
        let batch = pending.batch.clone();
        let awaited = std::mem::take(&mut pending.awaited);
        drop(pending);
        if awaited {
            self.arrived.notify_one();
        }
        Some(batch)
    }

    /// Puts everything that is queued into `bytes`, instead of what was there, and says how many lines these
    /// are, in which batch. `None` if nothing is queued.
    pub(super) fn take(&self, bytes: &mut Vec<u8>) -> Option<(u64, Arc<Batch>)> {
        bytes.clear();
        let mut pending = self.lock();
        if pending.bytes.is_empty() {
            return None;
        }
        std::mem::swap(&mut pending.bytes, bytes);
        Some((std::mem::take(&mut pending.lines), std::mem::take(&mut pending.batch)))
    }

    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().bytes.is_empty()
    }

    /// Wakes those who wait for what is queued, if anything is.
    pub(super) fn wake(&self) {
        let pending = self.lock();
        let batch = (!pending.bytes.is_empty()).then(|| pending.batch.clone());
        drop(pending);
        if let Some(batch) = batch {
            batch.wake();
        }
    }

    /// Blocks until something is queued; `false` once the queue is closed and empty.
    pub(super) fn wait(&self) -> bool {
        let empty = |pending: &mut Pending| {
            pending.awaited = pending.bytes.is_empty() && !pending.closed;
            pending.awaited
        };
        let pending = self.arrived.wait_while(self.lock(), empty);
        !pending.unwrap_or_else(PoisonError::into_inner).bytes.is_empty()
    }

    /// No more lines will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Who panics with the lock in hand leaves whole lines behind, or a part of one that was never confirmed.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
