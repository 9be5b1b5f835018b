//! How much of the log is kept, in bytes. Raft itself counts entries, and one entry may be a page of an import: the
//! database keeps much of what it has in memory, so that a log of large entries would take several times what the
//! registry does.

use crate::{node::Node, types::TypeConfig};
use hapi_storage::LogStore;
use openraft::async_runtime::watch::WatchReceiver;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// How often the log is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is to be done about the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// Build a snapshot.
    Build,
    /// Let go of the entries up to this one, which a snapshot covers.
    Purge(u64),
}

/// What the log has, and what covers it.
#[derive(Clone, Copy, Debug)]
struct Sight {
    /// The last entry that the newest snapshot covers, and the snapshot's length in bytes.
    snapshot: Option<(u64, u64)>,
    /// The last entry that was let go.
    purged: Option<u64>,
    /// How many bytes the entries behind the snapshot have.
    uncovered: u64,
    /// The first entry of those that may stay.
    first_kept: u64,
}

impl Sight {
    /// A large registry is written anew less often: its snapshot costs more than some more log.
    fn step(self, snapshot_bytes: u64) -> Step {
        let (covered, length) = self.snapshot.unzip();
        if self.uncovered > snapshot_bytes.max(length.unwrap_or(0) / 4) {
            return Step::Build;
        }
        let last_unwanted = self.first_kept.checked_sub(1);
        match covered.zip(last_unwanted).map(|(covered, unwanted)| covered.min(unwanted)) {
            Some(upto) if self.purged.is_none_or(|purged| purged < upto) => Step::Purge(upto),
            _ => Step::Nothing,
        }
    }
}

/// Keeps the log small for as long as the node runs.
pub(crate) async fn run(node: Arc<Node>, log: LogStore<TypeConfig>) {
    loop {
        sleep(LOOK).await;
        let trigger = node.raft.trigger();
        // Neither can fail but for the end of Raft, which others report.
        let _ = match look(&node, &log).step(node.tuning.snapshot_bytes) {
            Step::Nothing => Ok(()),
            Step::Build => trigger.snapshot().await,
            Step::Purge(upto) => trigger.purge_log(upto).await,
        };
    }
}

fn look(node: &Node, log: &LogStore<TypeConfig>) -> Sight {
    let metrics = node.raft.metrics();
    let metrics = metrics.borrow_watched();
    let covered = metrics.snapshot.map(|id| id.index);
    let length = || node.shelf.newest().map_or(0, |(_, file)| file.bytes);
    Sight {
        snapshot: covered.map(|covered| (covered, length())),
        purged: metrics.purged.map(|id| id.index),
        uncovered: log.bytes_from(covered.map_or(0, |covered| covered + 1)),
        first_kept: log.first_within(node.tuning.keep_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1_000;

    fn sight(snapshot: Option<(u64, u64)>, purged: Option<u64>, uncovered: u64, first_kept: u64) -> Step {
        Sight { snapshot, purged, uncovered, first_kept }.step(LIMIT)
    }

    #[test]
    fn what_no_snapshot_covers_is_kept_until_it_is_too_much() {
        assert_eq!(sight(None, None, 1_000, 90), Step::Nothing);
        assert_eq!(sight(None, None, 1_001, 90), Step::Build);
        assert_eq!(sight(Some((50, 8_000)), Some(49), 2_000, 60), Step::Purge(50));
        assert_eq!(sight(Some((50, 8_000)), Some(50), 2_000, 60), Step::Nothing);
        assert_eq!(sight(Some((50, 8_000)), Some(50), 2_001, 60), Step::Build);
    }

    #[test]
    fn what_a_snapshot_covers_goes_but_for_the_recent_end() {
        assert_eq!(sight(Some((50, 0)), None, 0, 30), Step::Purge(29));
        assert_eq!(sight(Some((50, 0)), Some(29), 0, 30), Step::Nothing);
        assert_eq!(sight(Some((50, 0)), Some(40), 0, 30), Step::Nothing);
        assert_eq!(sight(Some((50, 0)), None, 0, 0), Step::Nothing);
    }
}
