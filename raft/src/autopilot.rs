//! What the leader does by itself: makes learners voters, also in the place of dead ones, removes the dead, keeps
//! addresses up to date, takes removed nodes out.

use crate::{
    node::Node,
    peer::message::Propose,
    types::TypeConfig,
    versions,
    voters::{Census, Change},
};
use hapi_registry_state::{Command, KeyState, MemberState, NodeId, Principal, Registry};
use openraft::{ChangeMembers, Instant as _, metrics::RaftMetrics};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// A learner this close to the end of the log needs no more than a moment to have all of it.
const NEAR_ENTRIES: u64 = 512;

const TICK: Duration = Duration::from_millis(500);

/// How long a step of a removal may take before the next look.
const PATIENCE: Duration = Duration::from_secs(5);

/// A leader that has not looked for longer than this was away itself, and knows nothing of the others' silence.
/// Shorter than any grace, so that a standstill alone makes nobody dead.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// What a leader has seen of the others since it leads.
#[derive(Default)]
struct Watch {
    /// The term in which it leads.
    term: u64,
    /// When it looked last.
    looked: Option<Instant>,
    /// Since when a learner has been near the end of the log.
    steady: BTreeMap<u64, Instant>,
    /// Since when a member has not answered.
    silent: BTreeMap<u64, Instant>,
    /// The members that are dead, all of them reported.
    dead: BTreeSet<u64>,
}

impl Watch {
    fn look(&mut self, near: &BTreeSet<u64>, silent: &BTreeSet<u64>, now: Instant) {
        let was_away = self.looked.is_some_and(|looked| now - looked > LONGEST_GAP);
        self.looked = Some(now);
        if was_away {
            self.silent.clear();
        }
        note(&mut self.steady, near, now);
        note(&mut self.silent, silent, now);
    }
}

/// Keeps for each of `nodes` since when it has been among them.
fn note(since: &mut BTreeMap<u64, Instant>, nodes: &BTreeSet<u64>, now: Instant) {
    since.retain(|node, _| nodes.contains(node));
    for node in nodes {
        since.entry(*node).or_insert(now);
    }
}

/// Those that have been so for at least `enough`.
fn lasting(since: &BTreeMap<u64, Instant>, enough: Duration, now: Instant) -> BTreeSet<u64> {
    since.iter().filter(|(_, since)| now - **since >= enough).map(|(node, _)| *node).collect()
}

/// Runs for ever; acts while this node leads.
pub(crate) async fn run(node: Arc<Node>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::default();
    loop {
        ticks.tick().await;
        let metrics = node.raft_metrics();
        // A new leadership judges anew.
        if !metrics.state.is_leader() || metrics.current_term != watch.term {
            watch = Watch { term: metrics.current_term, ..Watch::default() };
        }
        if metrics.state.is_leader() {
            node.clone().tend(&metrics, &mut watch).await;
        }
    }
}

impl Node {
    async fn tend(self: Arc<Self>, metrics: &RaftMetrics<TypeConfig>, watch: &mut Watch) {
        let census = self.census(metrics, watch);
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
        if let Some(change) = census.due(self.tuning.max_voters) {
            return self.change_voters(change).await;
        }
        if let Some(node) = watch.dead.iter().find(|node| !census.voters.contains(node)) {
            self.remove_dead(*node).await;
        }
    }

    /// Who votes, and who has been away for too long.
    fn census(&self, metrics: &RaftMetrics<TypeConfig>, watch: &mut Watch) -> Census {
        let mut answering = answering(metrics, Duration::from_millis(self.tuning.election_timeout_max_ms));
        answering.insert(self.id);
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let members = metrics.membership_config.nodes().map(|(node, _)| *node);
        let silent: BTreeSet<u64> = members.filter(|member| !answering.contains(member)).collect();
        let now = Instant::now();
        watch.look(&self.near_learners(metrics, &answering), &silent, now);
        let ready = lasting(&watch.steady, Duration::from_millis(self.tuning.promote_after_ms), now);
        let dead = lasting(&watch.silent, Duration::from_millis(self.tuning.dead_node_grace_ms), now);
        for node in dead.difference(&watch.dead) {
            tracing::warn!(
                node = format_args!("{node:016x}"),
                "a node has been silent for too long: it is dead"
            );
        }
        watch.dead = dead;
        Census {
            healthy: voters.difference(&silent).copied().collect(),
            dead: voters.intersection(&watch.dead).copied().collect(),
            voters,
            ready,
        }
    }

    /// Learners that are fit to vote: they have nearly all of the log, are among those `answering`, and could issue if
    /// they were to lead. Whoever leads decides for all that have no lease.
    fn near_learners(&self, metrics: &RaftMetrics<TypeConfig>, answering: &BTreeSet<u64>) -> BTreeSet<u64> {
        let (last, state) = (metrics.last_log_index.unwrap_or(0), self.published.state());
        let is_near = |learner: &u64| {
            let matched = metrics.replication.as_ref().and_then(|all| *all.get(learner)?);
            matched.is_some_and(|matched| last.saturating_sub(matched.index) <= NEAR_ENTRIES)
        };
        let learners = metrics.membership_config.membership().learner_ids();
        learners
            .filter(|learner| {
                answering.contains(learner) && is_near(learner) && signs(&state, NodeId(*learner))
            })
            .collect()
    }

    /// The next step on a dead node's way out, as an operator would take it: it is to issue nothing any more; once
    /// that is sealed it leaves the roster, and then Raft.
    ///
    /// Its vote is gone before. A voter that is needed for the number of voters stays, dead or not, until another
    /// node can take its place.
    async fn remove_dead(self: &Arc<Self>, node: u64) {
        let state = self.published.state();
        let id = NodeId(node);
        let command = match state.member(id) {
            // Older programs would refuse such an entry, and have another state from then on.
            _ if !self.all_run(versions::REMOVES_DEAD_NODES) => return,
            Some(member) if member.state == MemberState::Active => Command::DrainNode(id),
            Some(member) if member.since <= state.sealed() => Command::LeaveRoster(id),
            Some(_) => return,
            None => return self.forget(node).await,
        };
        let act = command.act();
        let propose = Propose { by: Principal::System, command, key: None };
        let answer = self.propose_until(propose, Instant::now() + PATIENCE).await;
        tracing::warn!(node = %id, act, ?answer, "a dead node is being removed");
    }

    /// Takes a node out of Raft that died before it had a place on the roster. It may join again.
    async fn forget(&self, node: u64) {
        if self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node]))).await {
            self.counters.removals.inc();
        }
    }

    /// Lets learners vote, and dead voters no more. These stay members: one that comes back follows as a learner,
    /// and may become a voter again.
    async fn change_voters(&self, Change { promoted, demoted }: Change) {
        let (up, down) = (promoted.len() as u64, demoted.len() as u64);
        if down > 0 {
            tracing::warn!(
                demoted = names(&demoted),
                heirs = names(&promoted),
                "dead voters lose their votes"
            );
        }
        let changes = vec![ChangeMembers::AddVoterIds(promoted), ChangeMembers::RemoveVoters(demoted)];
        if self.change(ChangeMembers::Batch(changes)).await {
            self.counters.promotions.inc_by(up);
            self.counters.demotions.inc_by(down);
            self.counters.replacements.inc_by(up.min(down));
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

/// The nodes that answered the leader within the time that is `recent`.
pub(crate) fn answering(metrics: &RaftMetrics<TypeConfig>, recent: Duration) -> BTreeSet<u64> {
    let answers = metrics.heartbeat.iter().flatten();
    let just_now = answers.filter(|(_, last)| last.as_ref().is_some_and(|last| last.elapsed() <= recent));
    just_now.map(|(node, _)| *node).collect()
}

/// Whether a node has a key that signs. One that is on no roster has none to wait for.
fn signs(state: &Registry, node: NodeId) -> bool {
    state.member(node).is_none() || state.keys_of(node).any(|(_, key)| key.state == KeyState::Active)
}

/// Ids as members are shown.
fn names(nodes: &BTreeSet<u64>) -> String {
    nodes.iter().map(|node| format!("{node:016x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    /// Looks at `seconds` after `begin`, and yields who is dead then, if 2 and 3 are `silent`.
    fn dead(watch: &mut Watch, begin: Instant, seconds: f64, silent: &[u64]) -> Vec<u64> {
        let now = begin + Duration::from_secs_f64(seconds);
        watch.look(&BTreeSet::new(), &silent.iter().copied().collect(), now);
        lasting(&watch.silent, GRACE, now).into_iter().collect()
    }

    #[test]
    fn only_silence_without_a_break_makes_a_voter_dead() {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        for seconds in 0..5 {
            assert!(dead(&mut watch, begin, f64::from(seconds), &[2, 3]).is_empty());
        }
        assert!(dead(&mut watch, begin, 4.5, &[2]).is_empty(), "3 has answered");
        assert_eq!(dead(&mut watch, begin, 5.0, &[2, 3]), [2]);
    }

    #[test]
    fn a_leader_that_stood_still_counts_silence_anew() {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        assert!(dead(&mut watch, begin, 0.0, &[2]).is_empty());
        assert!(dead(&mut watch, begin, 60.0, &[2]).is_empty());
        for half_seconds in 1..10 {
            assert!(dead(&mut watch, begin, 60.0 + f64::from(half_seconds) / 2.0, &[2]).is_empty());
        }
        assert_eq!(dead(&mut watch, begin, 65.0, &[2]), [2]);
    }
}
