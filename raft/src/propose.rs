//! From a command to a committed entry, on any node.

use crate::{
    Unfit,
    node::Node,
    peer::{
        link::AskError,
        message::{Propose, ProposeAnswer},
        route::{COMMAND_BYTES, Lane},
    },
    trace,
    types::{Applied, LogId, Logged, TypeConfig},
    wire,
};
use hapi_registry_state::{Command, Entry, NodeId, Outcome, Principal, RequestKey};
use openraft::{
    errors::{ClientWriteError, ForwardToLeader},
    impls::ProgressResponder,
    raft::ClientWriteResult,
};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long a proposal may take altogether: an election, the commit, and this node's own catching up.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before a proposal that was not taken is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// A committed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its index in the log.
    pub index: u64,
    /// What the state machine said to it.
    pub outcome: Outcome,
    /// The index that must be sealed before the write may be acknowledged: its own, or that of the earlier
    /// one which it repeats. `None` if it denies nothing.
    pub seal: Option<u64>,
}

/// Why a proposal has no outcome to show.
#[derive(Clone, Debug, Error)]
pub enum ProposeError {
    /// Nothing was proposed: no leader was found in time. Safe to repeat.
    #[error("no leader was found within {} s", PROPOSE_TIMEOUT.as_secs())]
    NoLeader,
    /// It may be committed, now or later, or never. Repeat it only with an idempotent command.
    #[error("it is not known whether the command was committed: {0}")]
    Unknown(String),
    /// The same, because the leader's replica is ending, which tells itself why.
    #[error("it is not known whether the command was committed: the leader is stopping")]
    Ending,
    /// Committed with this outcome, but this node has not applied it within the time: its
    /// [`state`](crate::Replica::state) does not show it yet. The write itself needs no repetition.
    #[error("committed at index {}, which this node has not applied yet", .0.index)]
    Lagging(Box<Committed>),
    /// Nothing was proposed: the leader takes no such writes until somebody has mended something.
    #[error(transparent)]
    Unfit(Unfit),
    /// Never taken: too large, or not this caller's to propose here.
    #[error("{0}")]
    Refused(String),
    /// The replica is stopping.
    #[error("the replica is stopping")]
    Stopped,
}

/// This replica takes no more writes; what becomes of the last one is not known.
struct Ending;

impl Node {
    /// Proposes wherever the leader is, and waits until this node's state shows the result.
    ///
    /// A try is repeated only if the one before was certainly not taken; after that, [`ProposeError::Unknown`].
    pub(crate) async fn propose(
        &self,
        by: Principal,
        command: Command,
        key: Option<RequestKey>,
    ) -> Result<Committed, ProposeError> {
        check_size(&command)?;
        let deadline = Instant::now() + PROPOSE_TIMEOUT;
        let committed = self.deliver(Propose { by, command, key }, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if self.wait_applied(committed.index, left).await {
            Ok(committed)
        } else {
            Err(ProposeError::Lagging(Box::new(committed)))
        }
    }

    async fn deliver(&self, propose: Propose, deadline: Instant) -> Result<Committed, ProposeError> {
        let mut hint = None;
        loop {
            let answer = match hint.take().or_else(|| self.leader()) {
                Some(leader) => self.try_at(leader, &propose, deadline).await,
                None => ProposeAnswer::NotLeader { leader: None },
            };
            match answer {
                ProposeAnswer::Committed { index, outcome, seal } => {
                    return Ok(Committed { index, outcome, seal });
                }
                ProposeAnswer::Unknown(reason) => return Err(ProposeError::Unknown(reason)),
                ProposeAnswer::Ending => return Err(ProposeError::Ending),
                ProposeAnswer::Refused(reason) => return Err(ProposeError::Refused(reason)),
                ProposeAnswer::Unfit(unfit) => return Err(ProposeError::Unfit(unfit)),
                ProposeAnswer::NotLeader { leader } => hint = leader.map(|(node, _)| node),
            }
            let pause = Instant::now() + RETRY_PAUSE;
            if pause >= deadline {
                return Err(ProposeError::NoLeader);
            }
            sleep_until(pause).await;
        }
    }

    async fn try_at(&self, leader: u64, propose: &Propose, deadline: Instant) -> ProposeAnswer {
        if leader == self.id {
            return self.propose_until(propose.clone(), deadline).await;
        }
        if let Err(reason) = may_travel(&propose.by, self.id) {
            return ProposeAnswer::Refused(reason);
        }
        let within = deadline.saturating_duration_since(Instant::now());
        let answer = match self.pool.ask(leader, Lane::Talk, propose, within).await {
            Ok(answer) => answer,
            Err(AskError::Unsendable(reason)) => ProposeAnswer::Refused(reason),
            Err(error) if error.is_harmless() => ProposeAnswer::NotLeader { leader: None },
            Err(error) => ProposeAnswer::Unknown(error.to_string()),
        };
        self.counters.forwarded.with_label_values(&[label(&answer)]).inc();
        answer
    }

    /// Proposes as leader, and gives up waiting at `deadline`.
    pub(crate) async fn propose_until(&self, propose: Propose, deadline: Instant) -> ProposeAnswer {
        match timeout_at(deadline, trace::step("commit", self.propose_here(propose))).await {
            Ok(answer) => answer,
            Err(_) => ProposeAnswer::Unknown("no quorum has confirmed it in time".into()),
        }
    }

    /// Proposes as leader.
    async fn propose_here(&self, propose: Propose) -> ProposeAnswer {
        // A node that does not lead has no say in it: its own trouble must not stop the cluster.
        if self.leader() == Some(self.id)
            && let Err(unfit) = self.unfit_for(&propose.by, &propose.command)
        {
            return ProposeAnswer::Unfit(unfit);
        }
        let repeats = repeats(&propose.command);
        match self.write_here(propose).await {
            Ok(result) => self.answer(result, repeats),
            Err(Ending) => ProposeAnswer::Ending,
        }
    }

    async fn write_here(&self, propose: Propose) -> Result<ClientWriteResult<TypeConfig>, Ending> {
        let (responder, answer) = ProgressResponder::complete_only();
        {
            let mut last = self.last_instant.lock().await;
            let at = self.environment.now().max(*last).max(self.published.latest());
            *last = at;
            let Propose { by, command, key } = propose;
            let entry = Logged(Entry { at, by, command, key });
            self.raft.client_write_ff(entry, Some(responder)).await.map_err(|_| Ending)?;
        }
        answer.await.map_err(|_| Ending)
    }

    /// Commits the leader's own housekeeping; the place of the entry, if that came about in time.
    pub(crate) async fn commit_here(
        &self,
        by: Principal,
        command: Command,
        deadline: Instant,
    ) -> Option<LogId> {
        self.unfit_for(&by, &command).ok()?;
        let propose = Propose { by, command, key: None };
        let written = timeout_at(deadline, self.write_here(propose)).await.ok()?.ok()?.ok()?;
        matches!(written.data.outcome, Outcome::Done).then_some(written.log_id)
    }

    fn answer(&self, result: ClientWriteResult<TypeConfig>, repeats: bool) -> ProposeAnswer {
        match result {
            Ok(written) => {
                let (index, Applied { outcome, denies }) = (written.log_id.index, written.data);
                trace::note("hapi.index", index);
                let seal = match outcome {
                    _ if denies => Some(index),
                    Outcome::Repeated { index, since } => Some(since.unwrap_or(index)).filter(|_| repeats),
                    _ => outcome.since().filter(|_| repeats),
                };
                let seal = seal.filter(|_| denies || self.seals_repetitions());
                if let Some(index) = seal {
                    self.begin_seal(&written.log_id, index);
                }
                ProposeAnswer::Committed { index, outcome, seal }
            }
            Err(ClientWriteError::ForwardToLeader(forward)) => not_leader(forward, self.id),
            Err(error) => ProposeAnswer::Unknown(error.to_string()),
        }
    }
}

/// How much longer a forwarded proposal is waited for where it arrived than where it came from would be
/// pointless; this bounds it where the caller's own bound is not known.
pub(crate) fn arrival_deadline() -> Instant {
    Instant::now() + PROPOSE_TIMEOUT
}

/// Whether a command that changed nothing may repeat one that denied something.
fn repeats(command: &Command) -> bool {
    command.may_deny() || matches!(command, Command::Publish(_) | Command::Import(_) | Command::Mirror { .. })
}

pub(crate) fn check_size(command: &Command) -> Result<(), ProposeError> {
    let bytes = wire::encode(command).map_err(|error| ProposeError::Refused(error.to_string()))?.len();
    if bytes > COMMAND_BYTES {
        let text =
            format!("a command of {bytes} bytes is larger than the {COMMAND_BYTES} that the log takes");
        return Err(ProposeError::Refused(text));
    }
    Ok(())
}

/// Whether a proposal of `by` may be sent by the node `from`.
///
/// A node speaks for itself alone. The leader's own housekeeping never comes over the wire, and the cluster
/// secret has a path of its own. A token may travel, and so may what was granted to a publisher or by an
/// identity provider's token: the state machine judges all of them.
pub(crate) fn may_travel(by: &Principal, from: u64) -> Result<(), String> {
    match by {
        Principal::Token(_) | Principal::Publisher(_) | Principal::Oidc(_) => Ok(()),
        Principal::Node(NodeId(node)) if *node == from => Ok(()),
        Principal::Node(_) => Err("a node proposes only in its own name".into()),
        Principal::ClusterSecret => Err("the cluster secret is proven at the leader itself".into()),
        Principal::System => Err("only the leader itself proposes in the name of the system".into()),
    }
}

fn not_leader(forward: ForwardToLeader<TypeConfig>, me: u64) -> ProposeAnswer {
    let leader = forward.leader_id.filter(|leader| *leader != me);
    let address = forward.leader_node.map(|node| node.peer).unwrap_or_default();
    ProposeAnswer::NotLeader { leader: leader.map(|leader| (leader, address)) }
}

fn label(answer: &ProposeAnswer) -> &'static str {
    match answer {
        ProposeAnswer::Committed { .. } => "committed",
        ProposeAnswer::NotLeader { .. } => "not_leader",
        ProposeAnswer::Unknown(_) | ProposeAnswer::Ending => "unknown",
        ProposeAnswer::Refused(_) => "refused",
        ProposeAnswer::Unfit(_) => "unfit",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use hapi_registry_state::{PublisherGrant, Timestamp};

    fn publisher() -> Principal {
        let (subject, globs) = ("dns:example.com".parse().unwrap(), vec!["com.example".parse().unwrap()]);
        let grant = PublisherGrant::new(subject, globs, "k".into(), Timestamp::from_seconds(1));
        Principal::Publisher(grant.unwrap())
    }

    #[test]
    fn only_tokens_and_a_nodes_own_name_travel() {
        assert!(may_travel(&Principal::Node(NodeId(1)), 1).is_ok());
        assert!(may_travel(&publisher(), 1).is_ok());
        assert!(may_travel(&Principal::Node(NodeId(2)), 1).is_err());
        assert!(may_travel(&Principal::ClusterSecret, 1).is_err());
        assert!(may_travel(&Principal::System, 1).is_err());
    }

    #[test]
    fn a_command_beyond_the_limit_is_refused_before_anything_is_sent() {
        let command = |bytes| Command::JoinRoster { http: "x".repeat(bytes), version: "1".into() };
        assert!(check_size(&command(1000)).is_ok());
        assert!(matches!(check_size(&command(COMMAND_BYTES)), Err(ProposeError::Refused(_))));
    }
}
