//! Everything of one replica that its tasks share.

use crate::{
    ClusterFacts, Environment, RaftTuning,
    counters::Counters,
    directory::{Directory, Roll},
    fitness::Fitness,
    formation::desk::Desk,
    handover::Handovers,
    lease::{clock::Terms, granter::Granter, rules::Rules, seat::Seat},
    machine::Published,
    peer::{message::Hello, pool::Pool},
    read_index::{ReadError, Round, Rounds},
    snapshot::{arrival::Arrival, shelf::Shelf},
    tls::Tls,
    types::{PeerNode, Raft, StoredMembership, TypeConfig},
};
use hapi_registry_state::{NodeId, Timestamp};
use hapi_storage::StorageMetrics;
use openraft::{async_runtime::watch::WatchReceiver, metrics::RaftMetrics};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{sync::watch, time::timeout};

/// How many addresses of callers are remembered while looking for a cluster.
const MOST_CALLERS: usize = 64;

/// How many facts an operator is told once. Others choose what they say of themselves.
const MOST_FACTS: usize = 64;

/// Why a replica ends by itself. The process must go, too.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Ending {
    /// Raft or storage has failed, or the cluster refuses this node.
    #[error("{0}")]
    Failed(String),
    /// The cluster has removed this node. At its next start the content of the data folder is put aside, and
    /// the node joins as a new one.
    #[error(
        "the cluster has removed node {0}: its data is put aside, and the next start joins as a new node"
    )]
    Removed(NodeId),
}

impl From<String> for Ending {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// The shared parts of a replica. Tasks on the Raft runtime hold it; all of them end with that runtime.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) data_dir: PathBuf,
    pub(crate) version: String,
    pub(crate) join: Vec<String>,
    pub(crate) facts: ClusterFacts,
    pub(crate) tuning: RaftTuning,
    pub(crate) rules: Rules,
    pub(crate) terms: Terms,
    /// This node's own lease.
    pub(crate) seat: Arc<Seat>,
    /// What this node grants and seals as leader.
    pub(crate) granter: Granter,
    /// Who answers connects that other nodes hand over.
    pub(crate) handovers: Handovers,
    pub(crate) environment: Arc<dyn Environment>,
    /// Whether it may take writes.
    pub(crate) fitness: Fitness,
    pub(crate) raft: Raft,
    pub(crate) directory: Arc<Directory>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) published: Arc<Published>,
    pub(crate) desk: Desk,
    /// The snapshot files.
    pub(crate) shelf: Shelf,
    pub(crate) arrival: Arrival,
    /// The instant of the last entry that was handed to Raft, held while the next one is handed over, so
    /// that instants follow the order of the log.
    pub(crate) last_instant: tokio::sync::Mutex<Timestamp>,
    /// Read indexes of this node as leader.
    pub(crate) own_rounds: Rounds<Round>,
    /// Read indexes from wherever the leader is.
    pub(crate) rounds: Rounds<Result<u64, ReadError>>,
    /// Held during a change of the membership: one at a time.
    pub(crate) membership: tokio::sync::Mutex<()>,
    /// Addresses from which nodes asked that a lookup may not have found.
    pub(crate) callers: Mutex<BTreeSet<String>>,
    /// Addresses at which somebody with another secret was met and reported.
    pub(crate) strangers: Mutex<BTreeSet<SocketAddr>>,
    /// What was said to the operator once and need not be said again.
    pub(crate) said: Mutex<BTreeSet<String>>,
    /// Whether to look around, since the process has just begun or someone unknown spoke as a member: the membership
    /// may have moved on without this node.
    pub(crate) is_lost: AtomicBool,
    pub(crate) ending: watch::Sender<Option<Ending>>,
    /// Whether the owner has asked for the end, which then is no failure.
    pub(crate) stopping: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) storage: StorageMetrics,
}

impl Node {
    pub(crate) fn raft_metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Both ends of connections to other nodes.
    pub(crate) fn tls(&self) -> &Tls {
        &self.pool.dialer().tls
    }

    /// The leader, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<u64> {
        self.raft.metrics().borrow_watched().current_leader
    }

    /// The leader with its address and key, as far as this node knows.
    pub(crate) fn leader_record(&self) -> Option<(u64, PeerNode)> {
        let leader = self.leader()?;
        self.directory.members().remove(&leader).map(|record| (leader, record))
    }

    /// What this node tells of itself and of the cluster.
    pub(crate) async fn hello(&self) -> Hello {
        let membership = self.raft.metrics().borrow_watched().committed_membership_config.clone();
        Hello { sighting: self.desk.sighting().await, roll: roll(&membership) }
    }

    /// Waits until the published state is at or above `index`, at most `within`.
    pub(crate) async fn wait_applied(&self, index: u64, within: Duration) -> bool {
        let mut applied = self.published.applied();
        let reached = async { applied.wait_for(|applied| *applied >= index).await.is_ok() };
        timeout(within, reached).await.unwrap_or(false)
    }

    /// Says that this replica cannot go on. The first reason counts.
    pub(crate) fn end(&self, ending: Ending) {
        if self.stopping.load(Ordering::Relaxed) {
            return;
        }
        self.ending.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                match &ending {
                    // The owner ends with it as its last words; here it would be said twice.
                    Ending::Failed(reason) => tracing::debug!(%reason, "this replica has failed"),
                    // The process that comes after it says so, and where the data is.
                    Ending::Removed(_) => tracing::info!("{ending}"),
                }
                *known = Some(ending);
            }
            first
        });
    }

    pub(crate) fn fail(&self, reason: String) {
        self.end(Ending::Failed(reason));
    }

    /// Whether nobody was told `fact` yet.
    pub(crate) fn is_news(&self, fact: String) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() < MOST_FACTS && said.insert(fact)
    }

    pub(crate) fn remember_caller(&self, address: &str) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() < MOST_CALLERS {
            callers.insert(address.into());
        }
    }
}

/// All members of a membership.
pub(crate) fn roll(membership: &StoredMembership) -> Roll {
    let members = membership.nodes().map(|(node, record)| (*node, record.clone())).collect();
    Roll { at: *membership.log_id(), members }
}

/// The voters of a membership. One of them leads, now or later.
pub(crate) fn voters(membership: &StoredMembership) -> Roll {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let mut roll = roll(membership);
    roll.members.retain(|node, _| voters.contains(node));
    roll
}
