//! openraft's log storage on top of the queue, the tail and the disk.

use std::{
    fmt::{self, Debug},
    io,
    marker::PhantomData,
    ops::{Range, RangeBounds},
    sync::Arc,
};

use openraft::{
    OptionalSend, RaftTypeConfig,
    storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage},
    type_config::alias::{LogIdOf, VoteOf},
};
use tokio::task::{JoinError, spawn_blocking};

use crate::{
    StorageError, codec,
    entries::{self, Encoded},
    log_id::RawLogId,
    queue::{Operation, Queue, completion},
    shared::Shared,
    tail::Payload,
};

/// How many bytes of entries one replication message takes at most, unless a single entry is larger.
const LIMITED_READ_BYTES: usize = 1 << 20;

/// The Raft log, its vote and its committed log id. Clones share the store; needs a Tokio runtime,
/// for reads that memory cannot answer.
pub struct LogStore<C> {
    shared: Arc<Shared>,
    queue: Queue,
    _config: PhantomData<fn() -> C>,
}

impl<C> Clone for LogStore<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), queue: self.queue.clone(), _config: PhantomData }
    }
}

impl<C> fmt::Debug for LogStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStore").finish_non_exhaustive()
    }
}

impl<C: RaftTypeConfig> LogStore<C> {
    pub(crate) fn new(shared: Arc<Shared>, queue: Queue) -> Self {
        Self { shared, queue, _config: PhantomData }
    }

    /// How many bytes the entries from `index` on have.
    pub fn bytes_from(&self, index: u64) -> u64 {
        self.shared.tail().bytes_from(index)
    }

    /// The index of the first of the last entries that have no more than `bytes` together.
    pub fn first_within(&self, bytes: u64) -> u64 {
        self.shared.tail().first_within(bytes)
    }

    async fn append_entries(&self, entries: Encoded, callback: IOFlushed<C>) -> Result<(), StorageError> {
        let Encoded { first, payloads, last } = entries;
        let room = self.queue.room().await?;
        let mut tail = self.shared.tail();
        let floor = tail.append(first, &payloads, last.clone())?;
        let done = Box::new(move |result: Result<(), StorageError>| {
            callback.io_completed(result.map_err(io::Error::from))
        });
        self.queue.send(room, Operation::Append { first, payloads, last, floor, done });
        Ok(())
    }

    async fn save(&self, vote: Vec<u8>) -> Result<(), StorageError> {
        self.shared.breaker.check()?;
        let (done, written) = completion();
        self.queue.send(self.queue.room().await?, Operation::Vote { vote, done });
        written.wait().await
    }

    async fn truncate(&self, after: Option<RawLogId>) -> Result<(), StorageError> {
        self.shared.breaker.check()?;
        let (done, written) = completion();
        let room = self.queue.room().await?;
        {
            let mut tail = self.shared.tail();
            tail.truncate(after.clone())?;
            self.queue.send(room, Operation::Truncate { after, done });
        }
        written.wait().await
    }

    async fn purge_upto(&self, upto: RawLogId) -> Result<(), StorageError> {
        self.shared.breaker.check()?;
        let (done, written) = completion();
        let room = self.queue.room().await?;
        {
            let mut tail = self.shared.tail();
            let Some(floor) = tail.purge(upto) else { return Ok(()) };
            self.queue.send(room, Operation::Purge { floor, done });
        }
        written.wait().await
    }

    /// Reads the entries of a range that are there, up to `limit` bytes, but at least one.
    async fn read(&self, range: Range<u64>, limit: usize) -> Result<Vec<C::Entry>, StorageError> {
        loop {
            self.shared.breaker.check()?;
            let plan = self.shared.tail().plan(range.clone());
            let from_disk = self.read_disk(plan.disk.clone(), limit).await;
            if self.shared.tail().generation() != plan.generation {
                continue;
            }
            let from_disk = from_disk?;
            let complete = from_disk.len() as u64 == plan.disk.end - plan.disk.start;
            let cached = plan.cached.into_iter().filter(|_| complete);
            let payloads = from_disk.into_iter().chain(cached);
            return entries::decode::<C>(plan.disk.start, entries::up_to(limit, payloads));
        }
    }

    async fn read_disk(&self, range: Range<u64>, limit: usize) -> Result<Vec<Payload>, StorageError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.shared.metrics.read_from_disk();
        let shared = self.shared.clone();
        let read = spawn_blocking(move || entries::read(&shared.disk, range, limit)).await;
        Ok(read.map_err(|error| self.unread(error))??)
    }

    /// A panic of the database stops storage; a runtime that shuts down merely ends the read.
    fn unread(&self, error: JoinError) -> StorageError {
        if error.is_panic() {
            self.shared.breaker.trip(&format!("reading the log: {error}"))
        } else {
            StorageError::Closed
        }
    }
}

fn decode_id<C: RaftTypeConfig>(id: Option<&RawLogId>) -> Result<Option<LogIdOf<C>>, io::Error> {
    id.map(RawLogId::decode::<C>).transpose().map_err(io::Error::other)
}

impl<C: RaftTypeConfig> RaftLogReader<C> for LogStore<C> {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<C::Entry>, io::Error> {
        Ok(self.read(entries::half_open(&range), usize::MAX).await?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<C::Entry>, io::Error> {
        Ok(self.read(start..end, LIMITED_READ_BYTES).await?)
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<C>>, io::Error> {
        self.shared.breaker.check()?;
        let tail = self.shared.tail();
        tail.vote().map(codec::decode).transpose().map_err(io::Error::other)
    }
}

impl<C: RaftTypeConfig> RaftLogStorage<C> for LogStore<C> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<C>, io::Error> {
        self.shared.breaker.check()?;
        let tail = self.shared.tail();
        Ok(LogState {
            last_purged_log_id: decode_id::<C>(tail.floor().purged.as_ref())?,
            last_log_id: decode_id::<C>(tail.last())?,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<C>) -> Result<(), io::Error> {
        Ok(self.save(codec::encode("vote", vote)?).await?)
    }

    /// Written within a moment, with or without other operations; not durable on return.
    async fn save_committed(&mut self, committed: Option<LogIdOf<C>>) -> Result<(), io::Error> {
        self.shared.breaker.check()?;
        let committed = committed.as_ref().map(RawLogId::new::<C>).transpose()?;
        let mut tail = self.shared.tail();
        if tail.set_committed(committed) {
            self.queue.push(Operation::Committed);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<C>>, io::Error> {
        self.shared.breaker.check()?;
        decode_id::<C>(self.shared.tail().committed())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<C>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = C::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.shared.breaker.check()?;
        match entries::encode::<C>(entries)? {
            Some(encoded) => self.append_entries(encoded, callback).await?,
            None => callback.io_completed(Ok(())),
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogIdOf<C>>) -> Result<(), io::Error> {
        let after = last_log_id.as_ref().map(RawLogId::new::<C>).transpose()?;
        Ok(self.truncate(after).await?)
    }

    async fn purge(&mut self, log_id: LogIdOf<C>) -> Result<(), io::Error> {
        Ok(self.purge_upto(RawLogId::new::<C>(&log_id)?).await?)
    }
}
