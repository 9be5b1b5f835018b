//! The door of this crate.

use crate::{
    ClusterSecret, Committed, Config, Environment, ProposeError, ReadError, Stage, StartError, Status,
    metrics::Scrape,
    node::Node,
    read_index::READ_TIMEOUT,
    runtime::Runtime,
    start::{self, Started},
    types::TypeConfig,
};
use hapi_registry_state::{Command, NodeId, Principal, Registry};
use hapi_storage::Storage;
use openraft::async_runtime::watch::WatchReceiver;
use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

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
    secrets: Arc<Vec<ClusterSecret>>,
}

impl Replica {
    /// Recovers what is on disk, opens the peer plane, and starts to look for a cluster, to form one, or to
    /// go on as a member. Forming and joining go on after this returns; see [`Self::formed`].
    ///
    /// # Errors
    /// A [`StartError`]: settings, data folder, key or listener cannot be used.
    pub async fn start(mut config: Config, environment: Arc<dyn Environment>) -> Result<Self, StartError> {
        let runtime = Runtime::start().map_err(StartError::Runtime)?;
        let secrets = Arc::new(std::mem::take(&mut config.secrets));
        let started = runtime.handle().spawn(start::start(config, secrets.clone(), environment)).await;
        match started {
            Ok(Ok(Started { node, storage })) => {
                Ok(Self(Arc::new(Inner { node, runtime, storage: Mutex::new(Some(storage)), secrets })))
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
                // Stopped: never formed again. `failed` tells why.
                return pending().await;
            }
        }
        self.0.node.desk.joined().await;
    }

    /// This node's id, made at its first start.
    pub fn node_id(&self) -> NodeId {
        NodeId(self.0.node.id)
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
        let node = self.0.node.clone();
        let proposed = self.0.runtime.handle().spawn(async move { node.propose(by, command).await });
        proposed.await.unwrap_or(Err(ProposeError::Stopped))
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

    /// Resolves with the reason once this replica cannot go on: Raft or storage has failed, or the cluster
    /// refuses this node. The process must exit then. Never resolves after [`Self::shutdown`].
    pub async fn failed(&self) -> String {
        let mut failure = self.0.node.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match failed {
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

    /// As leader, lets `heir` take over; without effect on other nodes. Returns once another leader is known,
    /// or after two seconds.
    pub async fn transfer_leadership(&self, heir: NodeId) {
        let node = self.0.node.clone();
        let handing = self.0.runtime.handle().spawn(async move { node.hand_over_to(heir.0).await });
        if let Err(error) = handing.await {
            tracing::warn!(%error, "leadership was not handed over");
        }
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

    /// A subkey of the first cluster secret, equal on all nodes (HKDF-SHA-256).
    pub fn derive(&self, label: &str) -> [u8; 32] {
        self.0.secrets[0].derive(label)
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
    async fn hand_over(&self) {
        if let Some(heir) = self.heir() {
            self.hand_over_to(heir).await;
        }
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
        let others = metrics.membership_config.voter_ids().filter(|voter| *voter != self.id);
        others.max_by_key(|voter| matched.get(voter).copied().flatten())
    }
}
