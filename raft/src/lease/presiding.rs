//! What a leader does for leases: opens a session, and grants.

use crate::{
    lease::{holder::Grant, rules::Mutant, session::Denied},
    node::Node,
    peer::message::LeaseAnswer,
    read_index::Round,
    types::{Leadership, LogId},
};
use hapi_registry_state::{Command, NodeId, Principal};
use openraft::{async_runtime::watch::WatchReceiver, vote::RaftLeaderId};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How long the opening entry may take before it is proposed anew.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Rest after an opening that did not come about.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Begins and ends sessions with this node's leadership, until the runtime ends.
pub(crate) async fn run(node: Arc<Node>) {
    let mut metrics = node.raft.metrics();
    loop {
        match node.own_leadership() {
            None => node.granter.end(),
            leading if leading == node.granter.leadership() => {}
            Some(leadership) => {
                // Read after the leadership was seen: what earlier leaders granted was asked for before.
                node.granter.begin(leadership, node.environment.clocks());
                if !node.open_session().await {
                    node.granter.end();
                    sleep(RETRY_PAUSE).await;
                    continue;
                }
            }
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

impl Node {
    /// The leadership that this node has now, as far as it knows.
    fn own_leadership(&self) -> Option<Leadership> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let vote = &metrics.vote;
        let leads = metrics.state.is_leader() && vote.is_committed() && vote.leader_id().node_id == self.id;
        leads.then(|| vote.leader_id().to_committed())
    }

    /// Commits the opening entry. It seals what an earlier session left unsealed.
    async fn open_session(&self) -> bool {
        if !self.rules.hold(Mutant::NoSessionOpen) {
            let committed = self.raft.metrics().borrow_watched().local_committed;
            return committed.is_some_and(|entry| self.open_at(&entry));
        }
        let mut id = [0; 16];
        self.environment.fill_random(&mut id);
        let command = Command::SessionOpen { id: u128::from_le_bytes(id) };
        let deadline = Instant::now() + OPEN_TIMEOUT;
        match self.commit_here(Principal::System, command, deadline).await {
            Some(entry) => self.open_at(&entry),
            None => false,
        }
    }

    fn open_at(&self, entry: &LogId) -> bool {
        let opened = self.granter.open(entry, self.roster(), self.environment.clocks());
        match opened {
            Ok(()) => tracing::info!(index = entry.index, "the session of this leader is open"),
            Err(denied) => tracing::info!(?denied, "this leader was elected anew meanwhile"),
        }
        opened.is_ok()
    }

    /// Every node on the roster, draining ones too, as of the state that this node has applied.
    pub(crate) fn roster(&self) -> Vec<NodeId> {
        self.published.state().roster().map(|(node, _)| node).collect()
    }

    /// Grants `node` a lease, after a round with a quorum that began after this was called.
    pub(crate) async fn grant(&self, node: u64, nonce: u64) -> LeaseAnswer {
        match self.round_for_lease().await {
            Ok(read) => match self.grant_at(NodeId(node), &read) {
                Ok(rho) => LeaseAnswer::Granted(Grant { nonce, rho, wall: self.environment.clocks().wall }),
                Err(denied) => LeaseAnswer::Refused(format!("{denied:?}")),
            },
            Err(reason) => LeaseAnswer::Refused(reason),
        }
    }

    fn grant_at(&self, node: NodeId, read: &LogId) -> Result<u64, Denied> {
        let on_roster = self.published.state().is_active_member(node);
        self.granter.grant(node, read, on_roster, || self.environment.clocks())
    }

    async fn round_for_lease(&self) -> Result<LogId, String> {
        if !self.rules.hold(Mutant::NoQuorumRound) {
            let committed = self.raft.metrics().borrow_watched().local_committed;
            return committed.ok_or_else(|| "nothing is committed".into());
        }
        match self.own_rounds.join().await {
            Some(Round::At(read)) => Ok(read),
            Some(Round::NotLeader { .. }) => Err("this node does not lead".into()),
            Some(Round::NoQuorum(reason)) => Err(reason),
            None => Err("this node is stopping".into()),
        }
    }
}
