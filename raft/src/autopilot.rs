//! What the leader does by itself: makes learners voters, keeps addresses up to date, takes removed nodes out.

use crate::{node::Node, types::TypeConfig};
use hapi_registry_state::NodeId;
use openraft::{ChangeMembers, Instant as _, metrics::RaftMetrics};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How many voters there are to be. More would make every commit wait for more disks, and five survive the
/// loss of two.
const MOST_VOTERS: usize = 5;

/// A learner this close to the end of the log needs no more than a moment to have all of it.
const NEAR_ENTRIES: u64 = 512;

const TICK: Duration = Duration::from_millis(500);

/// Runs for ever; acts while this node leads.
pub(crate) async fn run(node: Arc<Node>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut steady = BTreeMap::new();
    loop {
        ticks.tick().await;
        let metrics = node.raft_metrics();
        if metrics.state.is_leader() {
            node.tend(&metrics, &mut steady).await;
        } else {
            // A new leadership judges anew.
            steady.clear();
        }
    }
}

impl Node {
    async fn tend(&self, metrics: &RaftMetrics<TypeConfig>, steady: &mut BTreeMap<u64, Instant>) {
        let outdated = self.directory.outdated();
        if !outdated.is_empty() {
            self.change(ChangeMembers::SetNodes(outdated)).await;
            return;
        }
        let departed = self.departed(metrics);
        if !departed.is_empty() {
            self.take_out(metrics, departed).await;
            return;
        }
        let near = near_learners(metrics, Duration::from_millis(self.tuning.election_timeout_max_ms));
        steady.retain(|learner, _| near.contains(learner));
        let now = Instant::now();
        for learner in near {
            steady.entry(learner).or_insert(now);
        }
        let enough = Duration::from_millis(self.tuning.promote_after_ms);
        let ready = steady.iter().filter(|(_, since)| now - **since >= enough).map(|(learner, _)| *learner);
        let promoted = promotions(metrics.membership_config.voter_ids().count(), ready.collect());
        if !promoted.is_empty() {
            let count = promoted.len() as u64;
            let done = self.change(ChangeMembers::AddVoterIds(promoted)).await;
            self.counters.promotions.inc_by(if done { count } else { 0 });
        }
    }

    /// Members that have left the roster. Their draining is sealed: nothing waits for them any more.
    fn departed(&self, metrics: &RaftMetrics<TypeConfig>) -> BTreeSet<u64> {
        let state = self.published.state();
        let members = metrics.membership_config.nodes().map(|(node, _)| *node);
        members.filter(|node| state.has_departed(NodeId(*node))).collect()
    }

    /// Takes removed nodes out of Raft: first their votes, then the rest. A leader that is removed itself lets
    /// another one do it.
    async fn take_out(&self, metrics: &RaftMetrics<TypeConfig>, departed: BTreeSet<u64>) {
        if departed.contains(&self.id) {
            return self.hand_over().await;
        }
        let voters: BTreeSet<u64> =
            metrics.membership_config.voter_ids().filter(|voter| departed.contains(voter)).collect();
        if !voters.is_empty() {
            self.change(ChangeMembers::RemoveVoters(voters)).await;
        } else {
            let count = departed.len() as u64;
            let done = self.change(ChangeMembers::RemoveNodes(departed)).await;
            self.counters.removals.inc_by(if done { count } else { 0 });
        }
    }

    /// Changes the membership unless another change is under way. Tells whether it was committed.
    async fn change(&self, change: ChangeMembers<u64, crate::PeerNode>) -> bool {
        let Ok(_alone) = self.membership.try_lock() else {
            return false;
        };
        tracing::info!(%change, "changing the membership");
        let changed = self.raft.change_membership(change, true).await;
        if let Err(error) = &changed {
            tracing::warn!(%error, "the membership was not changed");
        }
        changed.is_ok()
    }
}

/// Learners that have nearly all of the log and answered the leader just now.
fn near_learners(metrics: &RaftMetrics<TypeConfig>, recent: Duration) -> BTreeSet<u64> {
    let last = metrics.last_log_index.unwrap_or(0);
    let is_near = |learner: &u64| {
        let matched = metrics.replication.as_ref().and_then(|all| *all.get(learner)?);
        matched.is_some_and(|matched| last.saturating_sub(matched.index) <= NEAR_ENTRIES)
    };
    let is_there = |learner: &u64| {
        let answered = metrics.heartbeat.as_ref().and_then(|all| *all.get(learner)?);
        answered.is_some_and(|answered| answered.elapsed() <= recent)
    };
    let learners = metrics.membership_config.membership().learner_ids();
    learners.filter(|learner| is_near(learner) && is_there(learner)).collect()
}

/// Which of the `ready` learners become voters now. The number of voters stays odd or becomes so: an even
/// number survives no more losses than the odd one below it.
fn promotions(voters: usize, ready: BTreeSet<u64>) -> BTreeSet<u64> {
    let room = MOST_VOTERS.saturating_sub(voters).min(ready.len());
    let take = if (voters + room).is_multiple_of(2) { room.saturating_sub(1) } else { room };
    ready.into_iter().take(take).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn promotions_keep_the_number_of_voters_odd_and_at_most_five() {
        // voters, ready learners, voters afterwards
        let cases = [
            (1, 0, 1),
            (1, 1, 1),
            (1, 2, 3),
            (1, 3, 3),
            (1, 4, 5),
            (1, 9, 5),
            (2, 0, 2),
            (2, 1, 3),
            (2, 2, 3),
            (2, 3, 5),
            (3, 1, 3),
            (3, 2, 5),
            (3, 9, 5),
            (4, 1, 5),
            (5, 3, 5),
            (7, 2, 7),
        ];
        for (voters, ready, after) in cases {
            let promoted = promotions(voters, (1..=ready).collect());
            assert_eq!(voters + promoted.len(), after, "{voters} voters, {ready} ready");
        }
    }
}
