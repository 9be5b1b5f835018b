//! What a node answers to each message.

use crate::{
    certificate::{Peer, Subject},
    formation::{look::is_own, phase::InviteAnswer, rules::Formation},
    lease::{outlook::Outlook, sealing::CONFIRM_TIMEOUT},
    node::{Node, voters},
    peer::message::{
        Abdicate, Ask, Bootstrap, Confirm, Handover, HandoverAnswer, Hello, Invite, Join, JoinAnswer,
        LeaseAnswer, LeaseRequest, OutlookRequest, PreVoteMessage, Propose, ProposeAnswer, ReadIndex,
        ReadIndexAnswer, Refusal, Release, SealAnswer, SealRequest, SecretsRequest, SnapshotBegin,
        SnapshotChunk, SnapshotInstall, SnapshotProgress, VoteMessage,
    },
    propose::{arrival_deadline, check_size, may_travel},
    secrets::SecretsInForce,
    trace,
    types::{TypeConfig, Vote},
    versions,
};
use hapi_registry_state::{GivenUp, NodeId, Principal};
use openraft::{
    alias::SnapshotOf,
    async_runtime::watch::WatchReceiver,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteResponse,
    },
};
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

/// A message that this node can answer. The gate of its route has been passed.
pub(crate) trait Answer: Ask {
    fn answer(
        self,
        node: &Arc<Node>,
        caller: &Peer,
    ) -> impl Future<Output = Result<<Self as Ask>::Answer, Refusal>> + Send;
}

fn unable(error: impl std::fmt::Display) -> Refusal {
    Refusal::Unable(error.to_string())
}

/// The id that the caller has proven.
fn caller_id(caller: &Peer) -> Result<u64, Refusal> {
    match caller.subject {
        Subject::Node(id) => Ok(id),
        Subject::Operator => Err(Refusal::WrongCaller),
    }
}

/// A leader or candidate speaks for itself: a member must not vote or append in the name of another.
fn speaks_for_itself(vote: &Vote, caller: &Peer) -> Result<(), Refusal> {
    if vote.leader_id.node_id == caller_id(caller)? { Ok(()) } else { Err(Refusal::NotYourself) }
}

impl Answer for Hello {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<Hello, Refusal> {
        if !is_own(&self.sighting, caller) {
            return Err(Refusal::NotYourself);
        }
        if self.sighting.node != node.id {
            node.take_in(&self, caller);
            node.remember_caller(&self.sighting.record.peer);
            // Whoever greets is back: what Raft has for it need not wait any longer.
            node.raft.trigger().reset_backoff([self.sighting.node]).await.map_err(unable)?;
        }
        Ok(node.hello().await)
    }
}

impl Answer for Invite {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<InviteAnswer, Refusal> {
        if self.0.inviter != caller_id(caller)? {
            return Err(Refusal::NotYourself);
        }
        let (answer, void) =
            node.desk.decide(|formation| formation.invited(&self.0)).await.map_err(unable)?;
        if let Some(void) = void {
            let node = node.clone();
            tokio::spawn(async move { node.release(&void).await });
        }
        Ok(answer)
    }
}

impl Answer for Release {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<(), Refusal> {
        let inviter = caller_id(caller)?;
        let released = |formation: &mut Formation| formation.released(inviter, self.cluster_id);
        node.desk.decide(released).await.map_err(unable)
    }
}

impl Answer for Join {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<JoinAnswer, Refusal> {
        if !is_own(&self.0, caller) {
            return Err(Refusal::NotYourself);
        }
        if let Some((name, ours, theirs)) = node.facts.difference(&self.0.facts) {
            let text = format!(
                "its {name} is {theirs}, the cluster has {ours}: set `{name}` to that, the same on every node"
            );
            tracing::warn!(node = format_args!("{:016x}", self.0.node), "refused to take in a node: {text}");
            return Ok(JoinAnswer::Refused(text));
        }
        if let Some(given_up) = node.published.state().is_given_up(caller.secret) {
            let (secret, GivenUp { node: removed, .. }) = (caller.secret, given_up);
            let text = format!(
                "the cluster secret {secret} is given up, since node {removed} knows it, which was removed as \
                 compromised: start with the new one"
            );
            tracing::warn!(node = format_args!("{:016x}", self.0.node), "refused to take in a node: {text}");
            return Ok(JoinAnswer::Refused(text));
        }
        node.admit(self.0.node, self.0.record).await
    }
}

impl Node {
    /// As leader, adds a node that wants in as a learner. It becomes a voter once it has kept up.
    async fn admit(&self, joiner: u64, record: crate::PeerNode) -> Result<JoinAnswer, Refusal> {
        let membership = self.raft.metrics().borrow_watched().committed_membership_config.clone();
        // Every member may say so: what has departed stays so. Not before its vote is gone, which is still needed.
        if self.published.state().has_departed(NodeId(joiner)) {
            let is_out = membership.get_node(&joiner).is_none();
            return Ok(if is_out { JoinAnswer::Removed } else { JoinAnswer::Later });
        }
        if self.leader() != Some(self.id) {
            return Ok(JoinAnswer::NotLeader { leader: self.leader_record() });
        }
        if membership.get_node(&joiner).is_some() {
            return self.admitted();
        }
        let members = membership.nodes().map(|(node, member)| (*node, member));
        if let Some(text) = versions::misfit(&record.version, members) {
            tracing::warn!(node = format_args!("{joiner:016x}"), "refused to take in a node: {text}");
            return Ok(JoinAnswer::Refused(text));
        }
        let Ok(_alone) = self.membership.try_lock() else {
            return Ok(JoinAnswer::Later);
        };
        match self.raft.add_learner(joiner, record, false).await {
            Ok(_) => self.admitted(),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Ok(JoinAnswer::NotLeader { leader: self.leader_record() })
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_),
            ))) => Ok(JoinAnswer::Later),
            Err(error) => Err(unable(error)),
        }
    }

    fn admitted(&self) -> Result<JoinAnswer, Refusal> {
        let cluster_id =
            self.desk.phase().cluster_id().ok_or_else(|| unable("this node has no cluster yet"))?;
        let membership = self.raft.metrics().borrow_watched().committed_membership_config.clone();
        Ok(JoinAnswer::Admitted { cluster_id, roll: voters(&membership) })
    }
}

impl Answer for Bootstrap {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<ProposeAnswer, Refusal> {
        if node.leader() != Some(node.id) {
            let leader = node.leader_record().map(|(leader, record)| (leader, record.peer));
            return Ok(ProposeAnswer::NotLeader { leader });
        }
        let propose = Propose { by: Principal::ClusterSecret, command: self.0, key: None };
        node.take_proposal(propose).await
    }
}

impl Answer for Propose {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<ProposeAnswer, Refusal> {
        if let Err(reason) = may_travel(&self.by, caller_id(caller)?) {
            return Ok(ProposeAnswer::Refused(reason));
        }
        node.take_proposal(self).await
    }
}

impl Node {
    async fn take_proposal(self: &Arc<Self>, propose: Propose) -> Result<ProposeAnswer, Refusal> {
        if let Err(error) = check_size(&propose.command) {
            return Ok(ProposeAnswer::Refused(error.to_string()));
        }
        // A caller that goes away must not leave a proposal half waited for.
        let node = self.clone();
        let proposing = async move { node.propose_until(propose, arrival_deadline()).await };
        let proposed = tokio::spawn(trace::carry(proposing));
        Ok(proposed.await.unwrap_or_else(|error| ProposeAnswer::Unknown(error.to_string())))
    }
}

impl Answer for ReadIndex {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<ReadIndexAnswer, Refusal> {
        Ok(node.own_rounds.join().await.ok_or_else(|| unable("stopping"))?.into())
    }
}

impl Answer for LeaseRequest {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<LeaseAnswer, Refusal> {
        let asker = caller_id(caller)?;
        tracing::trace!(asker = format_args!("{asker:016x}"), applied = self.applied, "asked for a lease");
        Ok(node.grant(asker, self.nonce).await)
    }
}

impl Answer for Confirm {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<u64, Refusal> {
        node.wait_applied(self.index, CONFIRM_TIMEOUT).await;
        Ok(node.published.applied_index())
    }
}

/// The longest that a caller may make this node wait for a seal.
const MOST_SEAL_WAIT: Duration = Duration::from_secs(60);

impl Answer for SealRequest {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<SealAnswer, Refusal> {
        Ok(node.seal_here(self.index, Duration::from_millis(self.wait_ms).min(MOST_SEAL_WAIT)).await)
    }
}

impl Answer for Handover {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<HandoverAnswer, Refusal> {
        Ok(HandoverAnswer(node.handovers.answer(self.0).await))
    }
}

impl Answer for Abdicate {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<(), Refusal> {
        node.abdicate(self.heir).await;
        Ok(())
    }
}

impl Answer for AppendEntriesRequest<TypeConfig> {
    async fn answer(
        self,
        node: &Arc<Node>,
        caller: &Peer,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Refusal> {
        speaks_for_itself(&self.vote, caller)?;
        if !self.entries.is_empty() {
            node.unfit_to_follow().map_err(unable)?;
        }
        node.raft.append_entries(self).await.map_err(unable)
    }
}

impl Answer for VoteMessage {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<VoteResponse<TypeConfig>, Refusal> {
        speaks_for_itself(&self.0.vote, caller)?;
        node.raft.vote(self.0).await.map_err(unable)
    }
}

impl Answer for PreVoteMessage {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<VoteResponse<TypeConfig>, Refusal> {
        speaks_for_itself(&self.0.vote, caller)?;
        node.raft.pre_vote(self.0).await.map_err(unable)
    }
}

impl Answer for TransferLeaderRequest<TypeConfig> {
    async fn answer(
        self,
        node: &Arc<Node>,
        caller: &Peer,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Refusal> {
        speaks_for_itself(self.from_leader(), caller)?;
        node.raft.handle_transfer_leader(self).await.map_err(unable)
    }
}

impl Answer for SnapshotBegin {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<SnapshotProgress, Refusal> {
        node.unfit_to_follow().map_err(unable)?;
        Ok(SnapshotProgress { offset: node.arrival.begin(self).await? })
    }
}

impl Answer for SnapshotChunk {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<SnapshotProgress, Refusal> {
        node.unfit_to_follow().map_err(unable)?;
        Ok(SnapshotProgress { offset: node.arrival.take(self).await? })
    }
}

impl Answer for SnapshotInstall {
    async fn answer(self, node: &Arc<Node>, caller: &Peer) -> Result<SnapshotResponse<TypeConfig>, Refusal> {
        speaks_for_itself(&self.vote, caller)?;
        let image = node.arrival.complete(self.sha256).await?;
        let snapshot = SnapshotOf::<TypeConfig, _> { meta: self.meta, snapshot: image };
        node.raft.install_full_snapshot(self.vote, snapshot).await.map_err(unable)
    }
}

impl Answer for OutlookRequest {
    async fn answer(self, node: &Arc<Node>, _caller: &Peer) -> Result<Option<Outlook>, Refusal> {
        Ok(node.outlook_here(self.seal))
    }
}

impl Answer for SecretsRequest {
    async fn answer(
        self,
        node: &Arc<Node>,
        _caller: &Peer,
    ) -> Result<BTreeMap<u64, SecretsInForce>, Refusal> {
        Ok(node.secrets_heard())
    }
}
