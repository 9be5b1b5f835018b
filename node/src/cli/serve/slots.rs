//! Data folders of replicas that share one volume.
//!
//! Compose gives all replicas of a service the same volume. Each takes the lowest `slot-N` folder in it that
//! nobody holds, and a replica that starts anew finds a folder, and so a node, that an earlier one has left.

use crate::cli::Failure;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// More replicas than any one host runs; the search must end when locks do not work at all.
const MAX_SLOTS: u32 = 1_000;

/// A folder that is this process's own for as long as this value lives.
#[derive(Debug)]
pub(super) struct Slot {
    /// The folder.
    pub(super) path: PathBuf,
    /// The kernel lets go of the lock when the file is closed, also when the process is killed.
    _lock: File,
}

/// Takes the lowest free slot under `shared`. Two processes never get the same: taking is one `flock`.
pub(super) fn claim(shared: &Path) -> Result<Slot, Failure> {
    for number in 1..=MAX_SLOTS {
        let path = shared.join(format!("slot-{number}"));
        let claimed = try_claim(&path);
        if let Some(lock) = claimed.map_err(|error| {
            Failure::usage(format!("data_dir: no slot can be made in {}: {error}", shared.display()))
        })? {
            return Ok(Slot { path, _lock: lock });
        }
    }
    Err(Failure::usage(format!("data_dir: all {MAX_SLOTS} slots in {} are taken", shared.display())))
}

/// The slots that `shared` has, taken or left, in order of their numbers.
pub(in crate::cli) fn taken(shared: &Path) -> Vec<PathBuf> {
    let slots = (1..=MAX_SLOTS).map(|number| shared.join(format!("slot-{number}")));
    slots.take_while(|slot| slot.is_dir()).collect()
}

fn try_claim(path: &Path) -> std::io::Result<Option<File>> {
    std::fs::create_dir_all(path)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("slot.lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn each_replica_takes_the_lowest_free_slot() {
        let shared = tempfile::tempdir().unwrap();
        let first = claim(shared.path()).unwrap();
        let second = claim(shared.path()).unwrap();
        assert_eq!(first.path, shared.path().join("slot-1"));
        assert_eq!(second.path, shared.path().join("slot-2"));
        drop(first);
        assert_eq!(claim(shared.path()).unwrap().path, shared.path().join("slot-1"));
        assert_eq!(taken(shared.path()), [1, 2].map(|number| shared.path().join(format!("slot-{number}"))));
    }

    #[test]
    fn many_that_start_at_once_never_share() {
        let shared = tempfile::tempdir().unwrap();
        let slots: Vec<Slot> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| claim(shared.path()).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let paths: std::collections::BTreeSet<_> = slots.iter().map(|slot| slot.path.clone()).collect();
        assert_eq!(paths.len(), 8);
    }
}
