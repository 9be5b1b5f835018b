//! sled behind the few operations that this crate needs, and the fsync that sled does not do.

use std::{
    any::Any,
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::{ControlFlow, Range},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    damage::{Damage, FrameFault},
    folder, frame, piece,
    remedy::is_refusal,
};

/// The most keys in one batch: sled holds a process-wide lock while it applies one.
pub(crate) const BATCH_KEYS: usize = 256;
/// sled's page cache. The recent end of the log is cached above it, so this only has to hold the
/// pages being written.
const PAGE_CACHE_BYTES: u64 = 4 << 20;
/// How long sled may take to let go of its files, and far more than it does.
const RELEASE: Duration = Duration::from_secs(5);
/// The format of the whole data folder.
pub(crate) const FORMAT: u32 = 3;

/// Why a database was not opened.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// The operating system refuses the folder; nothing is known of its content.
    Refused(io::Error),
    /// The content is not what was written.
    Damaged(Damage),
}

impl From<Fault> for Unopened {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) if is_refusal(&error) => Self::Refused(error),
            other => Self::Damaged(Damage::Database(other.to_string())),
        }
    }
}

/// What came of an operation of the database that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// As the operating system says it.
    #[error("{0}")]
    Io(io::Error),
    /// As the database says it.
    #[error("{0}")]
    Other(String),
}

/// The database of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    db: sled::Db,
    log: sled::Tree,
    meta: sled::Tree,
}

impl Disk {
    /// Opens the database; the one repair it knows is [`remove_unfinished`].
    pub(crate) fn open(dir: &Path) -> Result<Self, Unopened> {
        wait_for_release(&dir.join("db"));
        let first = match guarded(|| Self::try_open(dir)) {
            Ok(disk) => return Ok(disk),
            Err(Fault::Io(error)) if is_refusal(&error) => return Err(Unopened::Refused(error)),
            Err(fault) => fault,
        };
        match remove_unfinished(dir) {
            Ok(0) => Err(first.into()),
            Ok(removed) => {
                tracing::warn!(dir = %dir.display(), removed, error = %first, "removed empty recovery snapshots of the database, opening it again");
                Ok(guarded(|| Self::try_open(dir))?)
            }
            Err(error) => Err(Unopened::Damaged(Damage::Database(format!("{first}; then {error}")))),
        }
    }

    fn try_open(dir: &Path) -> sled::Result<Self> {
        // No flusher thread: it would fsync beside the writer and only log when that fails.
        let config = sled::Config::new().path(dir).cache_capacity(PAGE_CACHE_BYTES).flush_every_ms(None);
        let db = config.open()?;
        let (log, meta) = (db.open_tree("log")?, db.open_tree("meta")?);
        db.flush()?;
        // Names of new files, so that the fsync of their content is worth something.
        folder::sync(dir)?;
        dir.parent().map_or(Ok(()), folder::sync)?;
        Ok(Self { db, log, meta })
    }

    /// Writes a batch to the log tree.
    pub(crate) fn apply(&self, batch: sled::Batch) -> sled::Result<()> {
        self.log.apply_batch(batch)
    }

    /// Reads a meta record.
    pub(crate) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, Damage> {
        let value = self.meta.get(key).map_err(database)?;
        value.map(|value| unframed(key, &value)).transpose()
    }

    /// Writes a meta record.
    pub(crate) fn put_meta(&self, key: &str, payload: &[u8]) -> sled::Result<()> {
        self.meta.insert(key, frame::seal(key.as_bytes(), payload)).map(drop)
    }

    /// Reads every meta record, so that damage is found at start rather than when one is needed.
    pub(crate) fn check_meta(&self) -> Result<usize, Damage> {
        let mut records = 0;
        for record in &self.meta {
            let (key, value) = record.map_err(database)?;
            unframed(&String::from_utf8_lossy(&key), &value)?;
            records += 1;
        }
        Ok(records)
    }

    /// The meta records whose keys begin with `prefix`, by the rest of their keys.
    pub(crate) fn meta_below(&self, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>, Damage> {
        let mut records = BTreeMap::new();
        for record in self.meta.scan_prefix(prefix) {
            let (key, value) = record.map_err(database)?;
            let key = String::from_utf8_lossy(&key).into_owned();
            let payload = unframed(&key, &value)?;
            records.insert(key[prefix.len()..].to_owned(), payload);
        }
        Ok(records)
    }

    /// Calls `visit` with the entries of `range` in order, until it breaks.
    pub(crate) fn entries(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(u64, Vec<u8>) -> Result<ControlFlow<()>, Damage>,
    ) -> Result<(), Damage> {
        let mut pieces = piece::Assembler::default();
        for pair in self.log.range(piece::key(range.start, 0)..piece::key(range.end, 0)) {
            let (key, value) = pair.map_err(database)?;
            if let Some((index, entry)) = pieces.push(&key, &value)?
                && visit(index, entry)?.is_break()
            {
                return Ok(());
            }
        }
        pieces.finish()
    }

    /// Keys below entry `first`, the lowest ones first, at most a batch of them.
    pub(crate) fn keys_below(&self, first: u64) -> sled::Result<Vec<sled::IVec>> {
        self.log.range(..piece::key(first, 0)).keys().take(BATCH_KEYS).collect()
    }

    /// Keys from entry `first` on, the highest ones first.
    pub(crate) fn keys_from(&self, first: u64) -> impl Iterator<Item = sled::Result<sled::IVec>> {
        self.log.range(piece::key(first, 0)..).keys().rev()
    }

    /// Hands everything written to the kernel. On Linux this is no fsync: see [`SyncFile`].
    pub(crate) fn flush(&self) -> sled::Result<()> {
        self.db.flush().map(drop)
    }
}

/// Makes durable what sled has flushed.
///
/// sled's `flush` ends in `sync_file_range`, which neither waits for the disk's cache nor writes the
/// file's length. `fdatasync` does both, on any descriptor of the file.
///
/// What this cannot cover: between two fsyncs sled may write over a segment whose pages it has moved.
/// A power failure just then, on a disk that reorders writes, can lose an older page. The checks at
/// start find that, and the node comes back as a new one. A killed process loses nothing.
#[derive(Debug)]
pub(crate) struct SyncFile(File);

impl SyncFile {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        File::open(dir.join("db")).map(Self)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Waits until an earlier opener in this process has let go of sled's own lock. sled drops its files
/// some time after its handles, in other threads; the lock of the data folder keeps everyone else out.
fn wait_for_release(file: &Path) {
    let Ok(file) = File::open(file) else { return };
    let deadline = Instant::now() + RELEASE;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Removes what sled could not finish: its recovery snapshots (`snap.*`, an index that it can
/// rebuild from the log) that are empty or still have their temporary name. sled takes them for the
/// newest ones and refuses to open. Gives the number of files removed.
fn remove_unfinished(dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let unfinished = name.ends_with(".generating") || entry.metadata()?.len() == 0;
        if name.starts_with("snap.") && unfinished {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// sled panics on some damage; here that is an error like any other.
fn guarded<T>(action: impl FnOnce() -> sled::Result<T>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(Fault::Io(error)),
        Ok(Err(error)) => Err(Fault::Other(error.to_string())),
        Err(panic) => Err(Fault::Other(format!("panic: {}", panic_message(&*panic)))),
    }
}

/// The message of a caught panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn database(error: sled::Error) -> Damage {
    Damage::Database(error.to_string())
}

fn unframed(key: &str, value: &[u8]) -> Result<Vec<u8>, Damage> {
    let fault = |fault: FrameFault| Damage::Frame { tree: "meta", key: key.to_owned(), fault };
    frame::open(key.as_bytes(), value).map(<[u8]>::to_vec).map_err(fault)
}
