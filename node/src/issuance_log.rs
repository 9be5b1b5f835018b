//! The issuance log: every decision of this node, written down before its answer leaves.
//!
//! Lines are gathered, and many share one write as long as many come. With [`Durability::Os`] whoever commits writes for all that
//! wait: handing some kilobytes to the operating system takes microseconds, less than waking another thread
//! would. With [`Durability::Disk`] a thread of its own writes, since each batch waits for the disk.
//!
//! The log fails closed: as long as a line cannot be written, its answer is refused, unless the operator chose
//! otherwise.

mod batch;
mod counters;
mod file;
mod line;
mod queue;

pub(crate) use line::{Line, Verdict};

use batch::Batch;
use counters::Counters;
use file::LogFile;
use prometheus::core::Collector;
use queue::Queue;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicU32, Ordering},
    },
    thread::{Builder, JoinHandle},
};

/// How many bytes may wait to be written. Some 10,000 lines: what comes in during a rotation or a slow sync,
/// and nothing like what would endanger the memory of a node whose disk hangs.
const QUEUE_BYTES: usize = 4 << 20;

/// How many writes one task does before it leaves what has come meanwhile to another.
const MOST_WRITES: usize = 8;

/// After so many writes of one line in a row nobody waits for company: letting others run costs more than a write, since
/// an idle runtime wakes a second thread for it.
const ALONE: u32 = 4;

/// Every so many writes company is looked for all the same: there may be more to do by now.
const LOOK_AGAIN: u32 = 16;

/// What the log is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The folder of the files; made if it is missing.
    pub(crate) folder: PathBuf,
    /// When a line counts as written.
    pub(crate) durability: Durability,
    /// A file that would grow beyond this is put aside first.
    pub(crate) rotate_bytes: u64,
    /// So many files that were put aside are kept.
    pub(crate) keep_files: u32,
    /// What becomes of a connect whose line cannot be written.
    pub(crate) on_failure: OnFailure,
}

/// When a line counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// Once the operating system has it: it survives a killed process, not a power failure.
    Os,
    /// Once the disk has it.
    Disk,
}

/// What becomes of a connect whose line cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// It is refused.
    Refuse,
    /// It is answered; the lost line is counted and warned about.
    Ignore,
}

/// A line cannot be written now, so its answer must not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the issuance log cannot be written")]
pub(crate) struct Unavailable;

/// The log of one node. Dropping it writes what is queued.
pub(crate) struct IssuanceLog {
    shared: Arc<Shared>,
    on_failure: OnFailure,
    /// Absent where those who commit write.
    thread: Option<JoinHandle<()>>,
}

/// What those who commit and the writer share.
struct Shared {
    queue: Queue,
    /// Held by whoever writes, and only tried for: nobody blocks on another's write.
    writer: Mutex<Writer>,
    /// How many writes in a row have had one line.
    alone: AtomicU32,
    counters: Counters,
}

/// The file, and the batch that goes into it.
struct Writer {
    file: LogFile,
    bytes: Vec<u8>,
    failing: bool,
}

impl IssuanceLog {
    /// Opens the current file, and completes a line that a killed process left torn.
    ///
    /// # Errors
    /// The folder or the file cannot be made, read or written.
    pub(crate) fn open(settings: Settings) -> io::Result<Self> {
        let thread = settings.durability == Durability::Disk;
        Self::open_with(settings, QUEUE_BYTES, thread)
    }

    fn open_with(settings: Settings, queue_bytes: usize, thread: bool) -> io::Result<Self> {
        let on_failure = settings.on_failure;
        let counters = Counters::new().map_err(io::Error::other)?;
        let file = LogFile::open(settings, counters.rotations.clone())?;
        let writer = Mutex::new(Writer { file, bytes: Vec::new(), failing: false });
        let (queue, alone) = (Queue::new(queue_bytes), AtomicU32::new(0));
        let shared = Arc::new(Shared { queue, writer, alone, counters });
        let thread = thread.then(|| start_thread(shared.clone())).transpose()?;
        Ok(Self { shared, on_failure, thread })
    }

    /// Returns once `line` is written, in the sense of [`Durability`]. The lines of one task keep their order.
    ///
    /// A future that is dropped leaves its line in its place.
    ///
    /// # Errors
    /// The line is not in the log, or nobody knows whether it is. Never with [`OnFailure::Ignore`].
    pub(crate) async fn commit(&self, line: &Line<'_>) -> Result<(), Unavailable> {
        let written = match self.shared.queue.push(line) {
            Some(batch) => self.written(batch).await,
            None => {
                self.shared.counters.failed(1, &"more lines wait than may");
                false
            }
        };
        if written || self.on_failure == OnFailure::Ignore { Ok(()) } else { Err(Unavailable) }
    }

    async fn written(&self, batch: Arc<Batch>) -> bool {
        match self.thread {
            Some(_) => batch.settled().await,
            None => Place { shared: &self.shared, batch }.written().await,
        }
    }

    /// What is counted, for the registry of metrics.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.shared.counters.collectors()
    }
}

impl Drop for IssuanceLog {
    fn drop(&mut self) {
        self.shared.queue.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the issuance log broke down");
        }
        self.shared.write_queued();
    }
}

fn start_thread(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let run = move || {
        while shared.queue.wait() {
            shared.write_queued();
        }
    };
    Builder::new().name("issuance-log".into()).spawn(run)
}

/// A line that is queued, and whose task sees to it that somebody writes it.
struct Place<'a> {
    shared: &'a Shared,
    batch: Arc<Batch>,
}

impl Place<'_> {
    async fn written(&self) -> bool {
        // Whatever else is ready to run comes first, and adds its lines. Without this pause every commit would
        // be a write of its own: between its line and its write a task lets nobody else run.
        if self.shared.expects_company() {
            tokio::task::yield_now().await;
        }
        loop {
            // Before the look, so that no wake-up falls in between.
            let woken = self.batch.woken();
            if let Some(written) = self.batch.outcome() {
                return written;
            }
            if !self.shared.write_queued() {
                woken.await;
            }
        }
    }
}

/// A task that is cancelled writes its line at once: maybe nobody else comes for a long time.
impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.batch.outcome().is_none() {
            self.shared.write_queued();
        }
    }
}

impl Shared {
    /// Whether others are likely to add lines, by what the last writes were like.
    fn expects_company(&self) -> bool {
        let alone = self.alone.load(Ordering::Relaxed);
        alone < ALONE || alone.is_multiple_of(LOOK_AGAIN)
    }

    /// Notes how many lines shared a write.
    fn learn(&self, lines: u64) {
        match lines {
            1 => self.alone.fetch_add(1, Ordering::Relaxed),
            _ => self.alone.swap(0, Ordering::Relaxed),
        };
    }

    /// Writes everything that is queued; `false` if somebody else is writing.
    fn write_queued(&self) -> bool {
        let Some(mut writer) = self.try_writer() else { return false };
        // Who comes meanwhile finds the writer taken and waits: its line goes with the next write. Not for
        // ever: whoever writes has a client of its own that waits.
        for _ in 0..MOST_WRITES {
            self.write_batch(&mut writer);
            if self.queue.is_empty() {
                break;
            }
        }
        drop(writer);
        self.queue.wake();
        true
    }

    fn try_writer(&self) -> Option<MutexGuard<'_, Writer>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(broken)) => Some(broken.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn write_batch(&self, writer: &mut Writer) {
        let Writer { file, bytes, failing } = writer;
        let Some((lines, batch)) = self.queue.take(bytes) else { return };
        self.learn(lines);
        let result = file.append(bytes);
        match &result {
            Ok(()) => self.counters.wrote(lines, bytes.len()),
            Err(error) => self.counters.failed(lines, error),
        }
        if std::mem::replace(failing, result.is_err()) && result.is_ok() {
            tracing::info!("the issuance log is written again");
        }
        batch.settle(result.is_ok());
    }
}

#[cfg(test)]
mod tests;
