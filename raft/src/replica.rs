//! The door of this crate.

use crate::{
    ClusterSecret, Committed, Config, Ending, Environment, Handler, HandoverError, Outlook, Permit,
    ProposeError, ReadError, SealError, SealReceipt, SecretsInForce, Stage, StartError, Status, TlsError,
    Verdict,
    autopilot::answering,
    backup::note_secrets,
    metrics::Scrape,
    node::Node,
    peer::{message::Abdicate, route::Lane},
    read_index::READ_TIMEOUT,
    runtime::Runtime,
    start::{self, Started},
    trace,
    types::TypeConfig,
    versions::Release,
};
use hapi_registry_state::{Command, NodeId, Principal, Registry, RequestKey};
use hapi_storage::Storage;
use openraft::async_runtime::watch::WatchReceiver;
use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

/// A replica that is not kept alive by this.
#[derive(Clone)]
pub struct WeakReplica(Weak<Inner>);

impl WeakReplica {
    /// The replica, while somebody else holds it.
    pub fn upgrade(&self) -> Option<Replica> {
        self.0.upgrade().map(Replica)
    }
}

/// Why no other node leads now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransferError {
    /// Only voters lead.
    #[error("node {0} is no voter of this cluster")]
    NotAVoter(NodeId),
    /// There is no leader that could let another one lead.
    #[error("no leader is known, or it did not answer")]
    NoLeader,
    /// The leader has tried, and still leads.
    #[error("no other node has taken over in time")]
    NotTaken,
}

/// How long a leader that stops waits for another one to take over.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);

/// One node's copy of the registry, kept equal to all others.
///
/// Clones share it. Its methods may be called from any Tokio runtime; the work is done on its own. When the
/// last clone is dropped without [`Self::shutdown`], everything just ends, as in a crash.
#[derive(Clone)]
pub struct Replica(Arc<Inner>);

struct Inner {
    node: Arc<Node>,
    runtime: Runtime,
    storage: Mutex<Option<Storage<TypeConfig>>>,
}

impl Replica {
    /// Recovers what is on disk, opens the peer plane, and starts to look for a cluster, to form one, or to
    /// go on as a member. Forming and joining go on after this returns; see [`Self::formed`].
    ///
    /// # Errors
    /// A [`StartError`]: settings, data folder, key or listener cannot be used.
    pub async fn start(config: Config, environment: Arc<dyn Environment>) -> Result<Self, StartError> {
        let runtime = Runtime::start().map_err(StartError::Runtime)?;
        let started = runtime.handle().spawn(start::start(config, environment)).await;
        match started {
            Ok(Ok(Started { node, storage })) => {
                Ok(Self(Arc::new(Inner { node, runtime, storage: Mutex::new(Some(storage)) })))
            }
            Ok(Err(error)) => {
                runtime.stop().await;
                Err(error)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until this node is a member and knows a leader.
    pub async fn formed(&self) {
        let mut metrics = self.0.node.raft.metrics();
        loop {
            let formed = {
                let metrics = metrics.borrow_watched();
                let member = metrics.membership_config.get_node(&self.0.node.id).is_some();
                member && metrics.current_leader.is_some()
            };
            if formed {
                break;
            }
            if metrics.changed().await.is_err() {
                // Stopped: never formed again. `ended` tells why.
                return pending().await;
            }
        }
        self.0.node.desk.joined().await;
    }

    /// This node's id, made at its first start.
    pub fn node_id(&self) -> NodeId {
        NodeId(self.0.node.id)
    }

    /// How long a serving lease lasts, in milliseconds: the same on every node.
    pub fn lease_duration_ms(&self) -> u64 {
        self.0.node.facts.lease_duration_ms
    }

    /// The id of the cluster, made by the node that formed it.
    pub fn cluster_id(&self) -> Option<u128> {
        self.0.node.desk.phase().cluster_id()
    }

    /// The registry as this node has applied it. One atomic load; the value never changes.
    pub fn state(&self) -> Arc<Registry> {
        self.0.node.published.state()
    }

    /// Brings `command` into the log, in the name of `by`. Works on any node; on return the local
    /// [`state`](Self::state) is at or above the entry's index. Dropping the future does not take the
    /// command back.
    ///
    /// # Errors
    /// See [`ProposeError`]; only [`ProposeError::NoLeader`] and [`ProposeError::Refused`] say that nothing
    /// was proposed. A lagging node answers [`ProposeError::Lagging`], never a success that its state does
    /// not show.
    pub async fn propose(&self, by: Principal, command: Command) -> Result<Committed, ProposeError> {
        self.propose_named(by, command, None).await
    }

    /// As [`Self::propose`], under the caller's own name for the request: repeated within a day, it is done
    /// once, and the answer is the first one's.
    ///
    /// # Errors
    /// See [`Self::propose`].
    pub async fn propose_named(
        &self,
        by: Principal,
        command: Command,
        key: Option<RequestKey>,
    ) -> Result<Committed, ProposeError> {
        let node = self.0.node.clone();
        let proposing = async move { node.propose(by, command, key).await };
        let proposed = self.0.runtime.handle().spawn(trace::carry(proposing));
        proposed.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// Waits until every node obeys all entries up to `index`: each has confirmed that its issuers see them,
    /// or every lease that it may have from before has run out. Works on any node.
    ///
    /// # Errors
    /// [`SealError::Pending`] if that took longer than `within`. It goes on all the same; ask again.
    pub async fn sealed(&self, index: u64, within: Duration) -> Result<SealReceipt, SealError> {
        let node = self.0.node.clone();
        let sealing = async move { node.sealed(index, within).await };
        let sealed = self.0.runtime.handle().spawn(trace::carry(sealing));
        sealed.await.unwrap_or(Err(SealError::Pending(index)))
    }

    /// Everything at or below this index is known here to be sealed.
    pub fn sealed_index(&self) -> u64 {
        self.0.node.granter.sealed().max(self.state().sealed())
    }

    /// The right to decide on the state of this moment. `None` while this node has no valid lease. Takes no
    /// lock and sends nothing.
    pub fn permit(&self) -> Option<Permit> {
        self.0.node.permit()
    }

    /// Reads the state for the last time and says whether a descriptor that was decided under `permit` may be
    /// handed out: unless something was denied meanwhile, or the lease that was captured is over.
    pub fn release(&self, permit: &mut Permit) -> Verdict {
        self.0.node.judge(permit)
    }

    /// `CLOCK_BOOTTIME` in nanoseconds, for logs that are compared.
    pub fn boottime_ns(&self) -> u64 {
        self.0.node.environment.boottime_ns()
    }

    /// Hands a connect to the leader, which decides it under its own lease.
    ///
    /// # Errors
    /// [`HandoverError`]: nobody there who may decide.
    pub async fn hand_to_leader(&self, request: Vec<u8>, within: Duration) -> Result<Vec<u8>, HandoverError> {
        let node = self.0.node.clone();
        let handing = async move { node.hand_to_leader(request, within).await };
        let handed = self.0.runtime.handle().spawn(trace::carry(handing));
        handed.await.unwrap_or_else(|error| Err(HandoverError::Failed(error.to_string())))
    }

    /// Lets `handler` decide what other nodes hand over, on the runtime from which this is called.
    pub fn answer_handovers(&self, handler: Handler) {
        self.0.node.handovers.set(tokio::runtime::Handle::current(), handler);
    }

    /// An index at or above every write that was acknowledged anywhere before this call; on return the local
    /// [`state`](Self::state) is at or above it. Callers at the same time share one round with a quorum.
    ///
    /// # Errors
    /// [`ReadError`]: no leader that a quorum confirms, or this node lags.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        let deadline = Instant::now() + READ_TIMEOUT * 2;
        let index = self.0.node.rounds.join().await.unwrap_or(Err(ReadError::Stopped))?;
        let left = deadline.saturating_duration_since(Instant::now());
        if self.0.node.wait_applied(index, left).await { Ok(index) } else { Err(ReadError::Lagging(index)) }
    }

    /// Waits until the local state is at or above `index`. `false` if that took longer than `within`.
    pub async fn wait_applied(&self, index: u64, within: Duration) -> bool {
        self.0.node.wait_applied(index, within).await
    }

    /// Whether every member runs this version's release or a later one. What an older program does not know must not
    /// enter the log before.
    pub fn all_run(&self, version: &str) -> bool {
        Release::parse(version).is_some_and(|release| self.0.node.all_run(release))
    }

    /// The replica's state at this moment.
    pub fn status(&self) -> Status {
        self.0.node.status()
    }

    /// Registers counters and gauges; gauges are read when the registry is scraped.
    ///
    /// # Errors
    /// If a metric of one of these names is registered already.
    pub fn register_metrics(&self, registry: &prometheus::Registry) -> prometheus::Result<()> {
        for counter in self.0.node.counters.collectors() {
            registry.register(counter)?;
        }
        registry.register(Box::new(Scrape::new(Arc::downgrade(&self.0.node))?))
    }

    /// Resolves with the reason once this replica cannot go on. The process must exit then. Never resolves after
    /// [`Self::shutdown`].
    pub async fn ended(&self) -> Ending {
        let mut ending = self.0.node.ending.subscribe();
        let ended = ending.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match ended {
            Some(reason) => reason,
            None => pending().await,
        }
    }

    /// Takes back this node's word to an inviter that is lost for good, so that it may form or join another
    /// cluster. `false` if it has given none. If the inviter lives and counts on the word, two clusters may
    /// come to be: the caller must know that it does not.
    ///
    /// # Errors
    /// The word is durable; an error of the store that cannot forget it.
    pub async fn forget_invitation(&self) -> Result<bool, String> {
        let Stage::Accepted { inviter, cluster_id } = self.status().stage else {
            return Ok(false);
        };
        self.0.node.desk.decide(|formation| formation.released(inviter, cluster_id)).await?;
        Ok(true)
    }

    /// Lets another voter lead: `heir`, or the one that has most of the log. Works on any node. Returns the
    /// new leader; at once, if `heir` leads already.
    ///
    /// # Errors
    /// [`TransferError`]; the old leader goes on then, or another election decides.
    pub async fn transfer_leader(&self, heir: Option<NodeId>) -> Result<NodeId, TransferError> {
        let node = self.0.node.clone();
        let transferring = self.0.runtime.handle().spawn(async move { node.transfer_leader(heir).await });
        transferring.await.unwrap_or(Err(TransferError::NoLeader))
    }

    /// This replica, not kept alive.
    pub fn downgrade(&self) -> WeakReplica {
        WeakReplica(Arc::downgrade(&self.0))
    }

    /// Lets another voter lead, if this node does. Called before a node stops taking requests, so that none
    /// has to wait for an election.
    pub async fn hand_over(&self) {
        let node = self.0.node.clone();
        let handing = self.0.runtime.handle().spawn(async move { node.hand_over().await });
        if let Err(error) = handing.await {
            tracing::warn!(%error, "leadership was not handed over");
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }

    /// Subkeys of the cluster secrets in force (HKDF-SHA-256), equal on all nodes that have the same: the first is to
    /// be used, all are to be accepted.
    pub fn derive(&self, label: &str) -> Vec<[u8; 32]> {
        self.0.node.tls().keys().secrets.iter().map(|secret| secret.derive(label)).collect()
    }

    /// Takes other cluster secrets, one or two: the first signs from now on, all verify. Connections are made anew;
    /// one whose other end has proven no secret of these is cut off within a second. `false` if nothing changes.
    ///
    /// # Errors
    /// [`TlsError`]: these secrets cannot be used, and those from before stay.
    pub async fn exchange_secrets(&self, secrets: &[ClusterSecret]) -> Result<bool, TlsError> {
        let exchanged = self.0.node.tls().exchange(secrets)?;
        if let Some(storage) = self.0.storage.lock().await.as_ref().filter(|_| exchanged)
            && let Err(error) = note_secrets(&storage.meta, secrets).await
        {
            tracing::warn!(%error, "the secrets in force are not on record in the data folder");
        }
        Ok(exchanged)
    }

    /// The cluster secrets that this node has in force.
    pub fn secrets(&self) -> SecretsInForce {
        self.0.node.tls().keys().in_force.clone()
    }

    /// The same of all members that the leader, or else this node, has heard of late.
    pub async fn secrets_of_members(&self) -> BTreeMap<NodeId, SecretsInForce> {
        let node = self.0.node.clone();
        let asked = self.0.runtime.handle().spawn(async move { node.secrets_of_members().await });
        asked.await.unwrap_or_default()
    }

    /// What the leader sees of the others, and of the seal of an index; nothing if it is not to be had. For people: nothing
    /// may be decided by it.
    pub async fn outlook(&self, seal: Option<u64>) -> Option<Outlook> {
        let node = self.0.node.clone();
        let asked = self.0.runtime.handle().spawn(async move { node.outlook(seal).await });
        asked.await.unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn counters(&self) -> &crate::counters::Counters {
        &self.0.node.counters
    }

    /// Hands leadership over if this node leads, then stops everything and closes the data folder.
    pub async fn shutdown(&self) {
        self.0.node.stopping.store(true, Ordering::Relaxed);
        let node = self.0.node.clone();
        let storage = self.0.storage.lock().await.take();
        let stopping = self.0.runtime.handle().spawn(async move {
            node.hand_over().await;
            if let Err(error) = node.raft.shutdown().await {
                tracing::warn!(%error, "Raft did not stop in order");
            }
            if let Some(storage) = storage {
                storage.close().await;
            }
        });
        if let Err(error) = stopping.await {
            tracing::warn!(%error, "the replica did not stop in order");
        }
        self.0.runtime.stop().await;
    }
}

impl Node {
    /// As leader, lets the voter with the most of the log take over.
    pub(crate) async fn hand_over(&self) {
        if let Some(heir) = self.heir() {
            self.hand_over_to(heir).await;
        }
    }

    async fn transfer_leader(&self, heir: Option<NodeId>) -> Result<NodeId, TransferError> {
        let leader = self.leader().ok_or(TransferError::NoLeader)?;
        if let Some(heir) = heir {
            let is_voter = self.raft_metrics().membership_config.voter_ids().any(|voter| voter == heir.0);
            if !is_voter {
                return Err(TransferError::NotAVoter(heir));
            }
            if heir.0 == leader {
                return Ok(heir);
            }
        }
        if leader == self.id {
            self.abdicate(heir.map(|heir| heir.0)).await;
        } else {
            let asked = Abdicate { heir: heir.map(|heir| heir.0) };
            let asked = self.pool.ask(leader, Lane::Talk, &asked, HANDOVER_TIMEOUT * 2).await;
            asked.map_err(|_| TransferError::NoLeader)?;
        }
        self.leader_after(leader).await.ok_or(TransferError::NotTaken)
    }

    /// As leader, lets `heir` take over, or whoever has most of the log.
    pub(crate) async fn abdicate(&self, heir: Option<u64>) {
        match heir {
            Some(heir) => self.hand_over_to(heir).await,
            None => self.hand_over().await,
        }
    }

    /// The leader that comes after `leader`.
    async fn leader_after(&self, leader: u64) -> Option<NodeId> {
        let other = async {
            loop {
                match self.leader().filter(|other| *other != leader) {
                    Some(other) => break NodeId(other),
                    None => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(HANDOVER_TIMEOUT, other).await.ok()
    }

    async fn hand_over_to(&self, heir: u64) {
        if self.leader() != Some(self.id) || heir == self.id {
            return;
        }
        tracing::info!(heir = format_args!("{heir:016x}"), "handing leadership over");
        if self.raft.trigger().transfer_leader(heir).await.is_err() {
            return;
        }
        let gone = async {
            while self.leader().is_none_or(|leader| leader == self.id) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(HANDOVER_TIMEOUT, gone).await.is_err() {
            tracing::warn!("no other node has taken over; the others will elect one");
        }
    }

    fn heir(&self) -> Option<u64> {
        let metrics = self.raft_metrics();
        let matched: BTreeMap<_, _> =
            metrics.replication.as_ref().filter(|_| metrics.state.is_leader())?.clone();
        let state = self.published.state();
        let stays = |voter: &u64| *voter != self.id && !state.has_departed(NodeId(*voter));
        // One that died a moment ago may have as much of the log as any, and would leave everybody to an election.
        let recent = Duration::from_millis(self.tuning.election_timeout_min_ms);
        let lives = answering(&metrics, recent);
        let others = metrics.membership_config.voter_ids().filter(stays);
        others.max_by_key(|voter| (lives.contains(voter), matched.get(voter).copied().flatten()))
    }
}
