//! Data folders of replicas that share one volume.
//!
//! Compose gives all replicas of a service the same volume. Each takes a `slot-N` folder in it that nobody holds:
//! the one that was in use last, since a cluster that has shrunk leaves the folders of former members behind. The
//! lowest ones, taken after a stop of all, might be theirs, and the majority of those who vote would stay away.
//!
//! So a replica shows as long as it runs that its folder is in use: it sets the time of the lock file.

use crate::cli::Failure;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use std::cmp::Reverse;
use std::convert::Infallible;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// More replicas than any one host runs; the search must end when locks do not work at all.
const MAX_SLOTS: u32 = 1_000;

/// How often use is shown. Far shorter than any grace after which a node that is gone is none of the voters any more,
/// so that folders of voters look newer even when all replicas were killed at once.
const SHOW_EVERY: Duration = Duration::from_secs(2);

const LOCK_FILE: &str = "slot.lock";

/// A folder that is this process's own for as long as this value lives.
#[derive(Debug)]
pub(super) struct Slot {
    /// The folder.
    pub(super) path: PathBuf,
    /// The kernel lets go of the lock when the file is closed, also when the process is killed.
    lock: File,
}

impl Slot {
    /// Shows again and again that the folder is in use. Not at once: a process that cannot start, with what is in
    /// this folder, must not make it look better than others each time that it tries.
    pub(super) async fn show_use(&self) -> Infallible {
        loop {
            tokio::time::sleep(SHOW_EVERY).await;
            if let Err(error) = self.touch() {
                tracing::debug!(%error, "the slot cannot be marked as used");
            }
        }
    }

    fn touch(&self) -> rustix::io::Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        futimens(&self.lock, &Timestamps { last_access: now, last_modification: now })
    }
}

/// Takes a free slot under `shared`, or makes one. Two processes never get the same: taking is one `flock`.
pub(super) fn claim(shared: &Path) -> Result<Slot, Failure> {
    for number in used_last(shared).into_iter().chain(1..=MAX_SLOTS) {
        let path = shared.join(format!("slot-{number}"));
        let claimed = try_claim(&path);
        if let Some(lock) = claimed.map_err(|error| {
            Failure::usage(format!("data_dir: no slot can be made in {}: {error}", shared.display()))
        })? {
            return Ok(Slot { path, lock });
        }
    }
    Err(Failure::usage(format!("data_dir: all {MAX_SLOTS} slots in {} are taken", shared.display())))
}

/// The slots that `shared` has, taken or left, in order of their numbers.
pub(in crate::cli) fn taken(shared: &Path) -> Vec<PathBuf> {
    let slots = (1..=MAX_SLOTS).map(|number| shared.join(format!("slot-{number}")));
    slots.take_while(|slot| slot.is_dir()).collect()
}

/// The slots that are there, the one that was in use last first. What cannot be read is no reason to stop: `claim`
/// tries every number anyway, and says what is wrong.
fn used_last(shared: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir(shared).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("slot-")?.parse().ok());
    let used = |number: &u32| {
        let lock = shared.join(format!("slot-{number}")).join(LOCK_FILE);
        std::fs::metadata(lock).and_then(|lock| lock.modified()).ok()
    };
    let mut slots: Vec<_> = numbers.map(|number| (Reverse(used(&number)), number)).collect();
    slots.sort_unstable();
    slots.into_iter().map(|(_, number)| number).collect()
}

fn try_claim(path: &Path) -> std::io::Result<Option<File>> {
    std::fs::create_dir_all(path)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_FILE))?;
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
    use std::time::SystemTime;

    /// Makes a slot whose use was shown last so many seconds ago.
    fn left(shared: &Path, number: u32, seconds_ago: u64) {
        let path = shared.join(format!("slot-{number}"));
        let lock = try_claim(&path).unwrap().unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
    }

    #[test]
    fn replicas_that_start_anew_make_the_lowest_slots() {
        let shared = tempfile::tempdir().unwrap();
        let (first, second) = (claim(shared.path()).unwrap(), claim(shared.path()).unwrap());
        assert_eq!(first.path, shared.path().join("slot-1"));
        assert_eq!(second.path, shared.path().join("slot-2"));
        drop(first);
        assert_eq!(claim(shared.path()).unwrap().path, shared.path().join("slot-1"));
        assert_eq!(taken(shared.path()), [1, 2].map(|number| shared.path().join(format!("slot-{number}"))));
    }

    #[test]
    fn slots_in_use_until_lately_go_before_those_of_former_members() {
        let shared = tempfile::tempdir().unwrap();
        for (number, seconds_ago) in [(1, 90), (2, 3_600), (3, 12), (4, 10), (10, 14)] {
            left(shared.path(), number, seconds_ago);
        }
        let taken: Vec<Slot> = (0..6).map(|_| claim(shared.path()).unwrap()).collect();
        let names: Vec<_> =
            taken.iter().map(|slot| slot.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["slot-4", "slot-3", "slot-10", "slot-1", "slot-2", "slot-5"]);
    }

    #[test]
    fn a_slot_that_is_held_shows_it() {
        let shared = tempfile::tempdir().unwrap();
        left(shared.path(), 1, 90);
        left(shared.path(), 2, 60);
        let slot = claim(shared.path()).unwrap();
        assert_eq!(used_last(shared.path()), [2, 1], "to take a slot is not to use it");
        drop(slot);
        let slot =
            Slot { lock: try_claim(&shared.path().join("slot-1")).unwrap().unwrap(), path: "1".into() };
        slot.touch().unwrap();
        assert_eq!(used_last(shared.path()), [1, 2]);
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
