//! Opening and closing a data folder.

use std::{
    fmt,
    fs::OpenOptions,
    io,
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use openraft::RaftTypeConfig;

use crate::{
    Failure, LogStore, MetaStore, OpenError, Options, SnapshotError, SnapshotStore, StorageMetrics, codec,
    disk::{Disk, FORMAT, SyncFile, Unopened},
    folder::Folder,
    queue::{Operation, Queue, completion},
    recovery,
    remedy::is_refusal,
    shared::Shared,
    space::{START_BYTES, free_bytes},
    tail::Tail,
    watchdog,
    watermark::{Mark, Watermark},
    writer::{SyncData, Writer, record},
};

/// An open data folder.
///
/// It stays locked until this value, all clones of its parts, and the writer thread are gone;
/// [`Storage::close`] waits for the thread.
pub struct Storage<C> {
    /// The Raft log, vote and committed log id.
    pub log: LogStore<C>,
    /// Small opaque records.
    pub meta: MetaStore,
    /// Snapshot files.
    pub snapshots: SnapshotStore,
    /// Counters.
    pub watch: StorageMetrics,
    failure: Failure,
    queue: Queue,
}

impl<C: RaftTypeConfig> Storage<C> {
    /// Opens a data folder, making it if it does not exist, and reads the whole log. Blocks.
    ///
    /// # Errors
    /// Refuses a folder that is in use, cannot be written, has another format, or is damaged.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_with(dir, options, |file| Box::new(move || file.sync()))
    }

    /// Opens a data folder with another way to sync the database file.
    pub(crate) fn open_with(
        dir: &Path,
        options: Options,
        sync: impl FnOnce(SyncFile) -> SyncData,
    ) -> Result<Self, OpenError> {
        let folder = Arc::new(Folder::lock(dir)?);
        check_space(dir)?;
        let damaged = |damage| OpenError::Damaged { dir: dir.to_owned(), damage };
        let unwritable = |source| OpenError::Unwritable { dir: dir.to_owned(), source };
        let mut watermark = open_watermark(&folder)?;
        let snapshots = SnapshotStore::open(folder.clone()).map_err(|error| unwritable(cause(error)))?;
        let disk = Disk::open(&folder.database()).map_err(|unopened| match unopened {
            Unopened::Refused(source) => unwritable(source),
            Unopened::Damaged(damage) => damaged(damage),
        })?;
        let sync_file = SyncFile::open(&folder.database()).map_err(unwritable)?;
        check_format(dir, &disk, &watermark, &sync_file)?;
        check_access(&snapshots).map_err(unwritable)?;
        let tail = recovery::recover::<C>(&disk, &snapshots, watermark.mark(), options.cache_bytes)
            .map_err(damaged)?;
        settle(&tail, &sync_file, &mut watermark).map_err(unwritable)?;
        let shared = Arc::new(Shared::new(disk, tail, folder));
        Self::start(shared, snapshots, watermark, sync(sync_file), &options).map_err(unwritable)
    }

    fn start(
        shared: Arc<Shared>,
        snapshots: SnapshotStore,
        watermark: Watermark,
        sync: SyncData,
        options: &Options,
    ) -> io::Result<Self> {
        let metrics = shared.metrics.clone();
        let (queue, inbox) = Queue::new(options.queue_length, metrics.clone());
        let (stop, stopped) = mpsc::channel();
        watchdog::start(options, metrics.clone(), shared.progress.clone(), stopped)?;
        let writer = Writer::new(shared.clone(), inbox, snapshots.clone(), sync, watermark, stop);
        thread::Builder::new().name("storage-writer".to_owned()).spawn(move || writer.run())?;
        Ok(Self {
            failure: shared.breaker.watch(),
            log: LogStore::new(shared.clone(), queue.clone()),
            meta: MetaStore::new(shared, queue.clone()),
            snapshots,
            watch: metrics,
            queue,
        })
    }

    /// Tells when and why storage stops.
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Writes what is queued and waits for the writer to let go of the files. Later calls on clones
    /// of the parts fail.
    pub async fn close(self) {
        let (done, closed) = completion();
        self.queue.push(Operation::Close { done });
        // It cannot fail: whatever happens to the last writes was told to those who asked for them.
        let _ = closed.wait().await;
    }
}

impl<C> fmt::Debug for Storage<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("snapshots", &self.snapshots).finish_non_exhaustive()
    }
}

/// A new folder gets its watermark before its database, so that a database without a watermark is
/// never the work of a crash.
fn open_watermark(folder: &Folder) -> Result<Watermark, OpenError> {
    let (path, dir) = (folder.watermark(), folder.path().to_owned());
    if !path.exists() && !folder.database().exists() {
        Watermark::create(&path).map_err(|source| OpenError::Unwritable { dir: dir.clone(), source })?;
    }
    match OpenOptions::new().read(true).write(true).open(&path) {
        Err(source) if is_refusal(&source) => Err(OpenError::Unwritable { dir, source }),
        // Whatever else is wrong with it, its own reader says.
        _ => Watermark::open(&path).map_err(|damage| OpenError::Damaged { dir, damage }),
    }
}

/// A snapshot that this process may not read is not damaged.
fn check_access(snapshots: &SnapshotStore) -> io::Result<()> {
    match snapshots.newest() {
        Err(SnapshotError::Io { source, .. }) if is_refusal(&source) => Err(source),
        // Recovery looks at it again, and says what else is wrong.
        _ => Ok(()),
    }
}

/// A write that fails half-way stops the database, so that one does not begin what cannot end.
fn check_space(dir: &Path) -> Result<(), OpenError> {
    match free_bytes(dir) {
        Ok(free) if free < START_BYTES => Err(OpenError::Full { dir: dir.to_owned(), free }),
        Ok(_) => Ok(()),
        Err(source) => Err(OpenError::Unwritable { dir: dir.to_owned(), source }),
    }
}

/// Checks the format of a folder, or gives one to a new folder.
fn check_format(dir: &Path, disk: &Disk, watermark: &Watermark, file: &SyncFile) -> Result<(), OpenError> {
    let dir = || dir.to_owned();
    let found = recovery::format(disk, watermark.mark());
    match found.map_err(|damage| OpenError::Damaged { dir: dir(), damage })? {
        Some(FORMAT) => Ok(()),
        Some(found) => Err(OpenError::Format { dir: dir(), found, supported: FORMAT }),
        None => put_format(disk, file).map_err(|source| OpenError::Unwritable { dir: dir(), source }),
    }
}

/// What was read may so far be in the kernel's memory only, if the process before this one was
/// killed. It is made durable before anyone acts on it.
fn settle(tail: &Tail, file: &SyncFile, watermark: &mut Watermark) -> io::Result<()> {
    file.sync()?;
    watermark.raise(Mark { vote: tail.vote().map(<[u8]>::to_vec), last: tail.last().cloned() })
}

fn put_format(disk: &Disk, file: &SyncFile) -> io::Result<()> {
    disk.put_meta(record::FORMAT, &codec::encode("format", &FORMAT)?)?;
    disk.flush()?;
    file.sync()
}

fn cause(error: SnapshotError) -> io::Error {
    match error {
        SnapshotError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}
