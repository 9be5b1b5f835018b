//! What a replica says about itself.

use crate::{
    DiskStatus, Unfit,
    formation::phase::Stage,
    lease::granter::SessionStatus,
    machine::Checkpoint,
    node::Node,
    types::{LogId, PeerNode},
};
use hapi_registry_state::NodeId;
use openraft::ServerState;
use std::{collections::BTreeSet, time::Duration};

/// What a node does in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Decides the order of entries.
    Leader,
    /// Votes, and follows a leader.
    Follower,
    /// Wants to lead.
    Candidate,
    /// Follows without a vote; also every node that is no member yet.
    Learner,
    /// Stopped.
    Stopped,
}

/// A member of the cluster, as this node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub id: NodeId,
    /// What the membership records of it.
    pub record: PeerNode,
    /// Whether it votes.
    pub is_voter: bool,
    /// How many entries of the leader's log it lacks. Only the leader knows.
    pub lag: Option<u64>,
}

/// A node's serving lease at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Whether it may be used.
    pub valid: bool,
    /// How long it has been held.
    pub age: Duration,
    /// The state that decides is at or above this index.
    pub threshold: u64,
}

/// The state of a replica at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// The cluster it belongs to.
    pub cluster_id: Option<u128>,
    /// How far it has come on its way into a cluster.
    pub stage: Stage,
    /// What it does.
    pub role: Role,
    /// The current term.
    pub term: u64,
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// The last index in its log; `None` for an empty one, as in the next four.
    pub last_log: Option<u64>,
    /// Known to be committed up to here.
    pub committed: Option<u64>,
    /// Applied up to here.
    pub applied: Option<u64>,
    /// The newest snapshot reaches up to here.
    pub snapshot: Option<u64>,
    /// The log begins after this index.
    pub purged: Option<u64>,
    /// All members, by id.
    pub members: Vec<MemberStatus>,
    /// The last state hash that can be compared with those of others.
    pub checkpoint: Option<Checkpoint>,
    /// This node's serving lease, if it has one.
    pub lease: Option<LeaseStatus>,
    /// The session that this node has as leader.
    pub session: Option<SessionStatus>,
    /// The room that this node's disk has.
    pub disk: DiskStatus,
    /// Why this node takes no writes, as it would say as leader.
    pub unfit: Option<Unfit>,
    /// Everything at or below this index is known here to be sealed.
    pub sealed: u64,
    /// Snapshots this process has written.
    pub snapshots_built: u64,
    /// Snapshots this process has received and taken over.
    pub snapshots_installed: u64,
    /// Snapshots this process has brought to others.
    pub snapshots_sent: u64,
}

impl Node {
    pub(crate) fn status(&self) -> Status {
        let metrics = self.raft_metrics();
        let phase = self.desk.phase();
        let index = |id: &Option<LogId>| id.map(|id| id.index);
        Status {
            id: NodeId(self.id),
            cluster_id: phase.cluster_id(),
            stage: phase.stage(),
            role: role(metrics.state),
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            last_log: metrics.last_log_index,
            committed: index(&metrics.local_committed),
            applied: index(&metrics.last_applied),
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            members: members(&metrics),
            checkpoint: self.published.checkpoint(),
            lease: self.lease_status(),
            session: self.granter.status(),
            disk: self.fitness.disk(),
            unfit: self.unfit(),
            sealed: self.granter.sealed().max(self.published.state().sealed()),
            snapshots_built: self.counters.snapshots_built.get(),
            snapshots_installed: self.counters.snapshots_installed.get(),
            snapshots_sent: self.counters.snapshots_sent.get(),
        }
    }
}

impl Node {
    fn lease_status(&self) -> Option<LeaseStatus> {
        let now = self.environment.clocks();
        let lease = self.seat.lease()?;
        Some(LeaseStatus { valid: lease.is_valid(&now), age: lease.age(&now), threshold: lease.threshold() })
    }
}

fn role(state: ServerState) -> Role {
    match state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    }
}

fn members(metrics: &openraft::metrics::RaftMetrics<crate::TypeConfig>) -> Vec<MemberStatus> {
    let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let lag = |node: &u64| {
        let matched = metrics.replication.as_ref()?.get(node)?.map_or(0, |id| id.index);
        Some(last.saturating_sub(matched))
    };
    let members = metrics.membership_config.nodes().map(|(node, record)| MemberStatus {
        id: NodeId(*node),
        record: record.clone(),
        is_voter: voters.contains(node),
        lag: lag(node),
    });
    members.collect()
}
