//! The one thread that writes: it drains the queue, applies the operations in order, makes the whole
//! group durable with one fsync, and only then completes them, in order.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    SnapshotStore, StorageError, codec,
    disk::panic_message,
    log_id::RawLogId,
    log_writer::LogWriter,
    queue::{Inbox, Operation, Patience},
    remedy::told,
    shared::Shared,
    tail::{Floor, Payload},
    watermark::{Mark, Watermark},
};

/// How long a new committed log id may wait for other operations to share an fsync with.
const LINGER: Duration = Duration::from_millis(50);

/// Names of the meta records of this crate; those of [`MetaStore`](crate::MetaStore) have a prefix.
pub(crate) mod record {
    pub(crate) const FORMAT: &str = "format";
    pub(crate) const VOTE: &str = "vote";
    pub(crate) const COMMITTED: &str = "committed";
    pub(crate) const FLOOR: &str = "floor";
    pub(crate) const OPAQUE: &str = "put/";
}

/// The floor as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FloorRecord {
    pub(crate) floor: Floor,
    /// The newest snapshot when entries were last purged: it, or a newer one, must be there.
    pub(crate) snapshot: Option<String>,
}

/// Syncs the database file.
pub(crate) type SyncData = Box<dyn FnMut() -> io::Result<()> + Send>;

/// The state of the writer thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    inbox: Inbox,
    snapshots: SnapshotStore,
    sync: SyncData,
    watermark: Watermark,
    /// What the watermark will say after the next fsync.
    mark: Mark,
    log: LogWriter,
    /// The watchdog watches as long as this is there.
    _watchdog: Sender<()>,
}

/// What one pass over the queue has to do.
struct Pass {
    operations: Vec<Operation>,
    /// The committed log id has waited long enough for others to share its fsync.
    save_committed: bool,
}

impl Pass {
    /// How many operations wait for the fsync.
    fn waiting(&self) -> usize {
        self.operations.iter().filter(|operation| operation.must_sync()).count()
    }

    fn must_sync(&self) -> bool {
        self.save_committed || self.waiting() > 0
    }

    fn take_close(&mut self) -> Option<Operation> {
        let place =
            self.operations.iter().position(|operation| matches!(operation, Operation::Close { .. }))?;
        Some(self.operations.remove(place))
    }
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: Inbox,
        snapshots: SnapshotStore,
        sync: SyncData,
        watermark: Watermark,
        watchdog: Sender<()>,
    ) -> Self {
        let first = shared.tail().floor().first;
        let log = LogWriter::new(shared.disk.clone(), shared.metrics.clone(), shared.progress.clone(), first);
        let mark = watermark.mark().clone();
        Self { shared, inbox, snapshots, sync, watermark, mark, log, _watchdog: watchdog }
    }

    /// Runs until the queue is closed.
    pub(crate) fn run(mut self) {
        let mut closing = None;
        while closing.is_none()
            && let Some(mut pass) = self.next()
        {
            let result = self.guarded_commit(&pass);
            closing = pass.take_close();
            self.complete(pass.operations, &result);
        }
        if closing.is_none() {
            // Everyone has gone without closing: only the committed log id may be left to write.
            let _ = self.guarded_commit(&Pass { operations: Vec::new(), save_committed: true });
        }
        // The owner may open the folder again as soon as it hears, so the files go first.
        drop(self);
        if let Some(close) = closing {
            close.complete(Ok(()));
        }
    }

    fn next(&self) -> Option<Pass> {
        let patience = self.patience();
        let lingered = matches!(patience, Patience::Linger(_));
        let operations = self.inbox.drain(patience)?;
        let save_committed = lingered && operations.is_empty();
        Some(Pass { operations, save_committed })
    }

    fn patience(&self) -> Patience {
        if self.shared.breaker.check().is_err() {
            return Patience::Endless;
        }
        match (self.log.is_deleting(), self.shared.tail().has_unsaved_committed()) {
            (true, _) => Patience::None,
            (false, true) => Patience::Linger(LINGER),
            (false, false) => Patience::Endless,
        }
    }

    fn guarded_commit(&mut self, pass: &Pass) -> Result<(), StorageError> {
        self.shared.breaker.check()?;
        let outcome = match catch_unwind(AssertUnwindSafe(|| self.commit(pass))) {
            Ok(outcome) => outcome.map_err(|error| told(&error)),
            Err(panic) => Err(format!("the database panicked: {}", panic_message(&*panic))),
        };
        let dir = self.shared.folder().display();
        outcome.map_err(|reason| {
            self.shared.breaker.trip(&format!("data folder {dir} was not written: {reason}"))
        })
    }

    /// Applies, flushes, syncs, and raises the watermark: in this order.
    fn commit(&mut self, pass: &Pass) -> Result<(), io::Error> {
        for operation in &pass.operations {
            self.apply(operation)?;
        }
        if pass.must_sync() {
            self.save_committed()?;
        }
        self.log.write()?;
        self.log.delete_some()?;
        let started = Instant::now();
        self.shared.disk.flush()?;
        self.shared.progress.step();
        if pass.must_sync() {
            (self.sync)()?;
            self.shared.metrics.synced(started.elapsed(), pass.waiting());
            self.watermark.raise(self.mark.clone())?;
            self.shared.progress.step();
        }
        Ok(())
    }

    fn complete(&mut self, operations: Vec<Operation>, result: &Result<(), StorageError>) {
        if result.is_ok() {
            let mut tail = self.shared.tail();
            tail.written(operations.iter().filter(|operation| operation.changes_log()).count() as u64);
            tail.set_vote(self.mark.vote.clone());
        }
        self.inbox
            .completed(operations.len(), operations.iter().filter(|operation| operation.took_room()).count());
        operations.into_iter().for_each(|operation| operation.complete(result.clone()));
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), io::Error> {
        match operation {
            Operation::Append { first, payloads, last, floor, .. } => {
                self.append(*first, payloads, last, floor.as_ref())
            }
            Operation::Truncate { after, .. } => self.truncate(after.as_ref()),
            Operation::Purge { floor, .. } => self.purge(floor),
            Operation::Vote { vote, .. } => {
                self.mark.vote = Some(vote.clone());
                self.put(record::VOTE, vote)
            }
            Operation::Put { key, value, .. } => self.put(key, value),
            Operation::Committed | Operation::Close { .. } => Ok(()),
        }
    }

    fn append(
        &mut self,
        first: u64,
        payloads: &[Payload],
        last: &RawLogId,
        floor: Option<&Floor>,
    ) -> Result<(), io::Error> {
        if let Some(floor) = floor {
            self.put_floor(floor)?;
        }
        for (index, payload) in (first..).zip(payloads) {
            self.log.put(index, payload)?;
        }
        self.mark.last = Some(last.clone());
        Ok(())
    }

    /// Lowers the watermark before anything is deleted. It speaks of what is durable, which the vote
    /// of this pass is not: that one is left out.
    fn truncate(&mut self, after: Option<&RawLogId>) -> Result<(), io::Error> {
        let first = after.map_or(0, |after| after.index + 1);
        let mark = self.watermark.mark();
        if mark.last.as_ref().is_some_and(|last| last.index >= first) {
            self.watermark.lower(Mark { vote: mark.vote.clone(), last: after.cloned() })?;
        }
        self.mark.last = after.cloned();
        self.log.delete_from(first)
    }

    /// Writes the marker. Deleting follows in later steps: a crash in between leaves entries that
    /// the next start ignores and deletes.
    fn purge(&mut self, floor: &Floor) -> Result<(), io::Error> {
        self.put_floor(floor)?;
        self.log.delete_below(floor.first);
        if self.mark.last.as_ref().is_none_or(|last| last.index < floor.first) {
            self.mark.last = floor.purged.clone();
        }
        Ok(())
    }

    fn put_floor(&mut self, floor: &Floor) -> Result<(), io::Error> {
        let snapshot = match &floor.purged {
            Some(_) => self.snapshots.newest_name()?,
            None => None,
        };
        let stored = FloorRecord { floor: floor.clone(), snapshot };
        self.put(record::FLOOR, &codec::encode("floor", &stored)?)
    }

    fn save_committed(&mut self) -> Result<(), io::Error> {
        let Some(committed) = self.shared.tail().take_committed() else { return Ok(()) };
        self.put(record::COMMITTED, &codec::encode("committed", &committed)?)
    }

    /// Writes a meta record after the entries queued before it: what a crash leaves of both trees is
    /// then what some moment of the queue looked like.
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), io::Error> {
        self.log.write()?;
        Ok(self.shared.disk.put_meta(key, value)?)
    }
}
