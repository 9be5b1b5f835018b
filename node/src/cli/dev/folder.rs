//! The folder of a development cluster: one process at a time, nothing in it for others.

use crate::cli::{Failure, secret_file};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const LOCK: &str = "dev.lock";

/// An open folder. The lock lasts as long as this value.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes or opens the folder; with `fresh` it is emptied first.
    ///
    /// # Errors
    /// A folder of something else is not touched, nor one that another `dev` runs in.
    pub(super) fn open(dir: &Path, fresh: bool) -> Result<Self, Failure> {
        let trouble = |error: std::io::Error| Failure::usage(format!("{}: {error}", dir.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(trouble)?;
        let root = dir.canonicalize().map_err(trouble)?;
        if is_foreign(&root).map_err(trouble)? {
            return Err(Failure::usage(format!("{} holds something else", dir.display()))
                .hint("choose another --dir"));
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join(LOCK))
            .map_err(trouble)?;
        lock.try_lock().map_err(|_| {
            Failure::usage(format!("another `dev` runs in {}", dir.display()))
                .hint("stop it, or choose another --dir")
        })?;
        if fresh {
            empty(&root).map_err(trouble)?;
        }
        Ok(Self { root, _lock: lock })
    }

    /// Its absolute path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The file of ports and progress.
    pub(super) fn plan(&self) -> PathBuf {
        self.root.join("dev.json")
    }

    /// The tokens, for a shell to read.
    pub(super) fn tokens(&self) -> PathBuf {
        self.root.join("tokens.env")
    }

    /// The first operator token, until all tokens are in [`Self::tokens`].
    pub(super) fn operator_token(&self) -> PathBuf {
        self.root.join("operator.token")
    }

    /// The descriptor that the walk-through takes along.
    pub(super) fn descriptor(&self) -> PathBuf {
        self.root.join("descriptor")
    }

    /// The folder of one node, counted from 1.
    pub(super) fn node(&self, number: usize) -> PathBuf {
        self.root.join(format!("node-{number}"))
    }

    /// The file with the cluster secret, made if there is none.
    pub(super) fn secret(&self, random: impl FnOnce() -> String) -> Result<PathBuf, Failure> {
        let path = self.root.join("cluster.secret");
        if !path.exists() {
            secret_file::create(&path, &random())?;
        }
        Ok(path)
    }
}

/// Whether there are files, and none of them is ours.
fn is_foreign(root: &Path) -> std::io::Result<bool> {
    let mut entries = std::fs::read_dir(root)?;
    Ok(entries.next().is_some() && !root.join(LOCK).exists())
}

/// Removes everything but the lock, which is held.
fn empty(root: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != LOCK {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_folder_is_kept_until_it_is_asked_to_be_fresh() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("dev");
        let secret = Folder::open(&dir, false).unwrap().secret(|| "one".into()).unwrap();
        Folder::open(&dir, false).unwrap().secret(|| "two".into()).unwrap();
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "one\n");
        std::fs::create_dir(dir.join("node-1")).unwrap();
        drop(Folder::open(&dir, true).unwrap());
        assert!(!secret.exists() && !dir.join("node-1").exists());
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Folder::open(dir.path(), false).unwrap();
        assert!(Folder::open(dir.path(), true).unwrap_err().message.starts_with("another `dev` runs"));
    }

    #[test]
    fn what_belongs_to_others_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        assert!(Folder::open(dir.path(), true).unwrap_err().message.ends_with("holds something else"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
