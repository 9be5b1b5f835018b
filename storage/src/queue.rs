//! The bounded queue of operations between openraft and the writer thread.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use crate::{
    StorageError, StorageMetrics,
    log_id::RawLogId,
    tail::{Floor, Payload},
};

/// Called once the operation is durable, or has failed.
pub(crate) type Done = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// One thing for the writer to do. Operations take effect in the order in which they are queued.
pub(crate) enum Operation {
    /// Write the entries from `first` to `last`; `floor` is given when they begin the log.
    Append { first: u64, payloads: Vec<Payload>, last: RawLogId, floor: Option<Floor>, done: Done },
    /// Delete the entries after this one.
    Truncate { after: Option<RawLogId>, done: Done },
    /// Note the new floor; what is below it is deleted bit by bit afterwards.
    Purge { floor: Floor, done: Done },
    /// Save the vote.
    Vote { vote: Vec<u8>, done: Done },
    /// Save an opaque record.
    Put { key: String, value: Vec<u8>, done: Done },
    /// There is a new committed log id; it is written with whatever comes next.
    Committed,
    /// Finish what is queued and let go of the files.
    Close { done: Done },
}

/// The sending side.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: Sender<Operation>,
    room: Arc<Semaphore>,
    metrics: StorageMetrics,
}

/// Room for one operation.
pub(crate) struct Room<'a>(SemaphorePermit<'a>);

impl Queue {
    /// A queue for `length` operations, and its receiving side.
    pub(crate) fn new(length: usize, metrics: StorageMetrics) -> (Self, Inbox) {
        let (sender, receiver) = mpsc::channel();
        let room = Arc::new(Semaphore::new(length.max(1)));
        let inbox = Inbox { receiver, room: room.clone(), metrics: metrics.clone() };
        (Self { sender, room, metrics }, inbox)
    }

    /// Waits for room. It comes before the lock under which the operation is made visible to
    /// readers and sent, so that both happen in one order.
    pub(crate) async fn room(&self) -> Result<Room<'_>, StorageError> {
        self.room.acquire().await.map(Room).map_err(|_| StorageError::Closed)
    }

    /// Sends an operation; its `done` is called in any case.
    pub(crate) fn send(&self, room: Room<'_>, operation: Operation) {
        room.0.forget();
        self.push(operation);
    }

    /// Sends an operation that no one waits for and that comes at most once at a time.
    pub(crate) fn push(&self, operation: Operation) {
        self.metrics.queued();
        if let Err(mpsc::SendError(operation)) = self.sender.send(operation) {
            self.metrics.completed(1);
            operation.complete(Err(StorageError::Closed));
        }
    }
}

impl Operation {
    /// Whether someone waits for its fsync.
    pub(crate) fn must_sync(&self) -> bool {
        !matches!(self, Self::Committed)
    }

    /// Whether it was counted by `Tail`.
    pub(crate) fn changes_log(&self) -> bool {
        matches!(self, Self::Append { .. } | Self::Truncate { .. } | Self::Purge { .. })
    }

    /// Whether it took room in the queue.
    pub(crate) fn took_room(&self) -> bool {
        !matches!(self, Self::Committed | Self::Close { .. })
    }

    /// Calls its `done`, if someone waits for it.
    pub(crate) fn complete(self, result: Result<(), StorageError>) {
        match self {
            Self::Append { done, .. }
            | Self::Truncate { done, .. }
            | Self::Purge { done, .. }
            | Self::Vote { done, .. }
            | Self::Put { done, .. }
            | Self::Close { done } => done(result),
            Self::Committed => {}
        }
    }
}

/// The receiving side.
pub(crate) struct Inbox {
    receiver: Receiver<Operation>,
    room: Arc<Semaphore>,
    metrics: StorageMetrics,
}

/// How long the writer may wait for the next operation.
pub(crate) enum Patience {
    /// There is other work to do.
    None,
    /// There is something to write that no one waits for.
    Linger(Duration),
    /// There is nothing else to do.
    Endless,
}

impl Inbox {
    /// Everything that is queued: nothing when patience ran out, `None` when all senders are gone.
    pub(crate) fn drain(&self, patience: Patience) -> Option<Vec<Operation>> {
        let first = match patience {
            Patience::None => self.receiver.try_recv().map_err(|error| error == TryRecvError::Disconnected),
            Patience::Linger(time) => {
                self.receiver.recv_timeout(time).map_err(|error| error == RecvTimeoutError::Disconnected)
            }
            Patience::Endless => self.receiver.recv().map_err(|_| true),
        };
        match first {
            Ok(first) => Some(std::iter::once(first).chain(self.receiver.try_iter()).collect()),
            Err(disconnected) => (!disconnected).then(Vec::new),
        }
    }

    /// Makes room again for this many operations.
    pub(crate) fn completed(&self, group: usize, with_room: usize) {
        self.metrics.completed(group);
        self.room.add_permits(with_room);
    }
}

impl Drop for Inbox {
    /// No one may wait for a writer that is gone.
    fn drop(&mut self) {
        self.room.close();
        for operation in self.receiver.try_iter() {
            self.metrics.completed(1);
            operation.complete(Err(StorageError::Closed));
        }
    }
}

/// A `done` to send along, and its other end to wait on.
pub(crate) fn completion() -> (Done, Completion) {
    let (sender, receiver) = oneshot::channel();
    // The receiver may be gone: then no one waits any more.
    (Box::new(move |result| drop(sender.send(result))), Completion(receiver))
}

/// Waits for an operation.
pub(crate) struct Completion(oneshot::Receiver<Result<(), StorageError>>);

impl Completion {
    pub(crate) async fn wait(self) -> Result<(), StorageError> {
        self.0.await.unwrap_or(Err(StorageError::Closed))
    }
}
