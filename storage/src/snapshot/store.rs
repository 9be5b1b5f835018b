//! The folder of snapshot files.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{file::SnapshotFile, incoming::Incoming, name, writer::SnapshotWriter};
use crate::{
    SnapshotError,
    folder::{self, Folder},
};

/// The snapshot files of a data folder. All methods block on the disk: call them off the runtime.
#[derive(Clone, Debug)]
pub struct SnapshotStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    /// The newest file, once it was written here or checked: it need not be read whole again.
    newest: Mutex<Option<SnapshotFile>>,
    /// Keeps two snapshots of the same name from sharing a temporary file.
    attempts: AtomicU64,
    /// Absent for who only looks.
    _folder: Option<Arc<Folder>>,
}

impl SnapshotStore {
    /// Removes what a crash left half written. Partly received files stay, to be continued.
    pub(crate) fn open(folder: Arc<Folder>) -> Result<Self, SnapshotError> {
        let dir = folder.snapshots();
        let store = Self::at(dir, Some(folder));
        let leftovers =
            store.files(|path| path.extension().is_some_and(|extension| extension == name::TEMPORARY))?;
        leftovers.iter().try_for_each(|path| store.remove(path))?;
        Ok(store)
    }

    /// The snapshots in `dir`, for who only looks: nothing is locked and nothing removed.
    pub(crate) fn view(dir: &Path) -> Self {
        Self::at(dir.to_owned(), None)
    }

    fn at(dir: PathBuf, folder: Option<Arc<Folder>>) -> Self {
        let (newest, attempts) = (Mutex::default(), AtomicU64::default());
        Self(Arc::new(Inner { dir, newest, attempts, _folder: folder }))
    }

    /// The snapshot with the greatest name, checked whole when this process sees it first.
    ///
    /// # Errors
    /// A damaged newest snapshot is an error, not a reason to fall back to an older one: what it
    /// covers may be gone from the log.
    pub fn newest(&self) -> Result<Option<SnapshotFile>, SnapshotError> {
        let Some(path) = self.finished()?.pop() else { return Ok(None) };
        if let Some(known) = self.known().as_ref().filter(|known| known.path == path) {
            return Ok(Some(known.clone()));
        }
        let file = SnapshotFile::open(path)?;
        self.remember(file.clone());
        Ok(Some(file))
    }

    /// Starts a snapshot file. Names must sort as the snapshots are old: see
    /// [`snapshot_name`](super::snapshot_name).
    ///
    /// # Errors
    /// Fails on an unfit name, a header above [`MAX_HEADER_BYTES`](super::MAX_HEADER_BYTES), or when
    /// the disk refuses.
    pub fn create(&self, header: &[u8], name: &str) -> Result<SnapshotWriter, SnapshotError> {
        name::check(name)?;
        let attempt = self.0.attempts.fetch_add(1, Ordering::Relaxed);
        let path = self.path(&format!("{name}.{attempt}"), name::TEMPORARY);
        SnapshotWriter::start(self.clone(), name.to_owned(), path, header)
    }

    /// Starts or goes on to receive a snapshot file; `id` is the sender's [`SnapshotFile::name`] and
    /// becomes the name here.
    ///
    /// # Errors
    /// Fails on an unfit name, or when the disk refuses.
    pub fn receive(&self, id: &str) -> Result<Incoming, SnapshotError> {
        name::check(id)?;
        Incoming::resume(self.clone(), id.to_owned(), self.path(id, name::PARTIAL))
    }

    /// Removes all but the newest `keep` snapshots (at least one stays), and partly received ones
    /// that are no newer; gives the number of files removed.
    ///
    /// # Errors
    /// Fails when the disk refuses.
    pub fn prune(&self, keep: usize) -> Result<usize, SnapshotError> {
        let mut finished = self.finished()?;
        let Some(newest) = finished.last().cloned() else { return Ok(0) };
        finished.truncate(finished.len().saturating_sub(keep.max(1)));
        let stale =
            |path: &Path| name::of(path, name::PARTIAL).is_some() && path.file_stem() <= newest.file_stem();
        finished.extend(self.files(stale)?);
        finished.iter().try_for_each(|path| self.remove(path))?;
        Ok(finished.len())
    }

    /// Free space of the file system that holds the data folder, in bytes, so that writes can be
    /// refused before the disk is full: a write that fails in the log stops the node.
    ///
    /// # Errors
    /// Fails when the file system does not tell.
    pub fn free_bytes(&self) -> Result<u64, SnapshotError> {
        crate::free_bytes(&self.0.dir).map_err(|source| self.error(source))
    }

    /// The greatest name, without looking into the file.
    pub(crate) fn newest_name(&self) -> Result<Option<String>, SnapshotError> {
        let newest = self.finished()?.pop();
        Ok(newest.and_then(|path| name::of(&path, name::FINISHED).map(str::to_owned)))
    }

    /// Gives a durable file its final name, and makes the name durable.
    pub(super) fn publish(&self, from: &Path, name: &str) -> Result<(PathBuf, Arc<File>), SnapshotError> {
        let path = self.path(name, name::FINISHED);
        let rename = || {
            let file = File::open(from)?;
            fs::rename(from, &path)?;
            folder::sync(&self.0.dir)?;
            Ok(Arc::new(file))
        };
        match rename() {
            Ok(file) => Ok((path, file)),
            Err(source) => Err(SnapshotError::Io { path, source }),
        }
    }

    /// Notes a file that is known to be intact.
    pub(super) fn remember(&self, file: SnapshotFile) {
        let mut known = self.known();
        if known.as_ref().is_none_or(|known| known.name() <= file.name()) {
            *known = Some(file);
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<SnapshotFile>> {
        self.0.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.0.dir.join(format!("{name}.{extension}"))
    }

    /// Finished files, the newest last.
    fn finished(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        self.files(|path| name::of(path, name::FINISHED).is_some())
    }

    fn files(&self, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, SnapshotError> {
        let list =
            || fs::read_dir(&self.0.dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
        let mut paths = list().map_err(|source| self.error(source))?;
        paths.retain(|path| wanted(path));
        paths.sort_by(|one, other| one.file_stem().cmp(&other.file_stem()));
        Ok(paths)
    }

    fn remove(&self, path: &Path) -> Result<(), SnapshotError> {
        fs::remove_file(path).map_err(|source| SnapshotError::Io { path: path.to_owned(), source })
    }

    fn error(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Io { path: self.0.dir.clone(), source }
    }
}
