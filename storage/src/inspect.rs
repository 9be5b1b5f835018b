//! A look at a data folder that changes nothing in it: for whoever wants to know what is wrong.
//!
//! Opening the database writes to it, so a copy is opened, which lies elsewhere and goes away again. A folder that a
//! process has open is looked at from outside only: a copy of what is being written would seem damaged.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use openraft::RaftTypeConfig;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::{
    Damage, SnapshotFile, SnapshotStore,
    disk::{Disk, FORMAT, Unopened},
    free_bytes, recovery,
    space::START_BYTES,
    watermark::{Mark, Watermark},
    writer::record,
};

/// A file of a data folder, as the operating system shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFile {
    /// Where it is, below the data folder.
    pub path: PathBuf,
    /// Who owns it.
    pub user: u32,
    /// Who may do what.
    pub mode: u32,
}

/// What could be learned of a data folder.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Whether a process has it open; the database was left alone then.
    pub is_locked: bool,
    /// Free space of its file system, in bytes.
    pub free: Option<u64>,
    /// A start needs so much.
    pub start_needs: u64,
    /// Who owns the folder itself.
    pub user: u32,
    /// Everything in it.
    pub files: Vec<SeenFile>,
    /// What this process may not read, or cannot.
    pub unread: Vec<String>,
    /// What is broken.
    pub damage: Vec<Damage>,
    /// The format of the folder, and the one that this program reads.
    pub format: Option<u32>,
    /// As this program reads it.
    pub supported_format: u32,
    /// The last index that was acknowledged.
    pub acknowledged: Option<u64>,
    /// The first and the last index of the log.
    pub log: Option<(u64, u64)>,
    /// The newest snapshot, whole.
    pub snapshot: Option<SnapshotFile>,
    /// The records of [`MetaStore`](crate::MetaStore), by key.
    pub records: BTreeMap<String, Vec<u8>>,
}

/// Looks at the data folder `dir`; the database is copied to a folder of its own below `scratch` meanwhile. Blocks.
///
/// # Errors
/// The folder does not exist or cannot be listed, or the copy cannot be made.
pub fn inspect<C: RaftTypeConfig>(dir: &Path, scratch: &Path) -> io::Result<Inspection> {
    let mut seen = Inspection {
        user: fs::metadata(dir)?.uid(),
        free: free_bytes(dir).ok(),
        start_needs: START_BYTES,
        supported_format: FORMAT,
        ..Inspection::default()
    };
    seen.walk(dir, dir)?;
    let held = hold(&dir.join("lock"));
    seen.is_locked = matches!(held, Held::ByOther);
    let mark = seen.mark(dir);
    seen.newest_snapshot(dir);
    if let (false, Some(mark), true) = (seen.is_locked, mark, dir.join("db").exists()) {
        let copy = Copy::of(&dir.join("db"), scratch)?;
        drop(held);
        seen.database::<C>(&copy.0, dir, &mark);
    }
    if let (false, Some(acknowledged)) = (dir.join("db").exists(), seen.acknowledged) {
        seen.damage.push(Damage::LostTail { acknowledged, last: None });
    }
    Ok(seen)
}

/// Who has the folder open.
enum Held {
    /// Nobody: and nobody can begin to, while this is there.
    ByUs {
        _lock: File,
    },
    ByOther,
    /// No process has ever had it, or this one may not know.
    Unknown,
}

/// A shared lock lets other looks go on, and keeps a node from starting while the copy is made.
fn hold(path: &Path) -> Held {
    let Ok(lock) = File::open(path) else { return Held::Unknown };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Held::ByUs { _lock: lock },
        Err(Errno::WOULDBLOCK) => Held::ByOther,
        Err(_) => Held::Unknown,
    }
}

impl Inspection {
    fn walk(&mut self, dir: &Path, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let (path, metadata) = match entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))) {
                Ok(found) => found,
                // A running node removes files now and then.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = path.strip_prefix(dir).unwrap_or(&path).to_owned();
            self.files.push(SeenFile { path: name, user: metadata.uid(), mode: metadata.mode() });
            let read = if metadata.is_dir() { self.walk(dir, &path) } else { File::open(&path).map(drop) };
            match read {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.unread.push(format!("{}: {error}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn mark(&mut self, dir: &Path) -> Option<Mark> {
        let path = dir.join("watermark");
        if !path.exists() && !dir.join("db").exists() {
            return None;
        }
        match Watermark::peek(&path) {
            Ok(mark) => {
                self.acknowledged = mark.last.as_ref().map(|last| last.index);
                Some(mark)
            }
            Err(damage) => {
                self.damage.push(damage);
                None
            }
        }
    }

    fn newest_snapshot(&mut self, dir: &Path) {
        match SnapshotStore::view(&dir.join("snapshots")).newest() {
            Ok(newest) => self.snapshot = newest,
            Err(error) => self.damage.push(Damage::Snapshot(error.to_string())),
        }
    }

    fn database<C: RaftTypeConfig>(&mut self, copy: &Path, dir: &Path, mark: &Mark) {
        match Disk::open(copy) {
            Ok(disk) => {
                if let Err(damage) = self.content::<C>(&disk, dir, mark) {
                    self.damage.push(damage);
                }
            }
            Err(Unopened::Damaged(damage)) => self.damage.push(damage),
            Err(Unopened::Refused(error)) => self.unread.push(format!("a copy of the database: {error}")),
        }
    }

    fn content<C: RaftTypeConfig>(&mut self, disk: &Disk, dir: &Path, mark: &Mark) -> Result<(), Damage> {
        self.format = recovery::format(disk, mark)?;
        if self.format.is_some_and(|format| format != FORMAT) {
            return Ok(());
        }
        self.records = disk.meta_below(record::OPAQUE)?;
        let snapshots = SnapshotStore::view(&dir.join("snapshots"));
        let tail = recovery::recover::<C>(disk, &snapshots, mark, 0)?;
        self.log = tail.last().map(|last| (tail.floor().first, last.index));
        Ok(())
    }
}

/// A copy of the database, until it is dropped.
struct Copy(PathBuf, #[expect(dead_code, reason = "it removes the folder when it goes")] tempfile::TempDir);

impl Copy {
    fn of(database: &Path, scratch: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("hapi-doctor-").tempdir_in(scratch)?;
        let copy = folder.path().join("db");
        copy_files(database, &copy)?;
        Ok(Self(copy, folder))
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
