//! From a [`Config`] to a running [`Node`].

use crate::{
    ClusterFacts, Config, Environment,
    assemble::assemble,
    autopilot,
    backup::{check_finished, note_secrets},
    certificate::Subject,
    compaction, fitness,
    formation::{driver, phase::Phase},
    identity::{Identity, IdentityError},
    lease::{presiding, renewal, sealing, seat::Loss},
    node::Node,
    peer::server,
    tls::{Tls, TlsError},
    types::TypeConfig,
    wire::{self, WireError},
};
use hapi_storage::{Failure, MetaStore, OpenError, Options, Storage, legacy, set_aside};
use openraft::async_runtime::watch::WatchReceiver;
use std::{io, path::PathBuf, sync::Arc};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    task::{JoinError, spawn_blocking},
};

/// The most nodes that may form a cluster at once. Further ones join it.
pub const MOST_FOUNDERS: u16 = 9;

/// Why a replica does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings contradict each other.
    #[error("{0}")]
    Config(String),
    /// The data folder cannot be used.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// The newest snapshot cannot be used.
    #[error("snapshot: {0}")]
    Snapshot(io::Error),
    /// The node's id or key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The listener cannot be used.
    #[error("peer listener: {0}")]
    Listener(io::Error),
    /// The runtime's threads cannot be started.
    #[error("runtime: {0}")]
    Runtime(io::Error),
    /// Raft refuses its settings or the state on disk.
    #[error("Raft: {0}")]
    Raft(String),
}

impl From<JoinError> for StartError {
    fn from(error: JoinError) -> Self {
        Self::Runtime(io::Error::other(error))
    }
}

impl From<prometheus::Error> for StartError {
    fn from(error: prometheus::Error) -> Self {
        Self::Config(error.to_string())
    }
}

/// A running node, and what is left of its storage to watch.
pub(crate) struct Started {
    pub(crate) node: Arc<Node>,
    pub(crate) storage: Storage<TypeConfig>,
}

/// Recovers the state on disk, and starts all tasks. Runs on the Raft runtime.
pub(crate) async fn start(
    mut config: Config,
    environment: Arc<dyn Environment>,
) -> Result<Started, StartError> {
    check(&config)?;
    check_finished(&config.data_dir)?;
    begin_anew(&mut config).await?;
    let storage = open_storage(config.data_dir.clone()).await?;
    note_secrets(&storage.meta, &config.secrets).await?;
    let identity = Identity::load(&config.data_dir, &storage.meta, &*environment).await?;
    let tls = Tls::new(&config.secrets, Subject::Node(identity.id), &identity.key)?;
    let listener = listen(&config)?;
    let facts = config.facts.clone();
    let node = assemble(config, environment, &storage, &identity, &tls).await?;
    check_facts(&storage.meta, &facts, matches!(node.desk.phase(), Phase::Searching)).await?;
    tokio::spawn(compaction::run(node.clone(), storage.log.clone()));
    spawn_tasks(&node, listener, tls, storage.failure());
    Ok(Started { node, storage })
}

fn check(config: &Config) -> Result<(), StartError> {
    let wrong = |text: String| Err(StartError::Config(text));
    match config.bootstrap_expect {
        Some(0) => return wrong("bootstrap_expect is 0; a cluster needs a node".into()),
        Some(expect) if expect > MOST_FOUNDERS => {
            return wrong(format!(
                "bootstrap_expect is {expect}; form with at most {MOST_FOUNDERS}, the others join"
            ));
        }
        _ => {}
    }
    if config.tuning.snapshot_entries == 0 || config.tuning.keep_entries == 0 {
        return wrong("snapshot_entries and keep_entries must be at least 1".into());
    }
    Ok(())
}

/// Puts aside what a removed node has left. Whoever lives in its folder afterwards joins, and forms no cluster: a
/// removed node that finds nobody must not become a registry of its own under the same name. It asks the members that
/// its predecessor knew, too.
async fn begin_anew(config: &mut Config) -> Result<(), StartError> {
    let dir = config.data_dir.clone();
    let (moved, legacy) =
        spawn_blocking(move || Ok::<_, OpenError>((set_aside(&dir)?, legacy(&dir)))).await??;
    let legacy = legacy.map_err(StartError::Snapshot)?;
    if let Some(path) = moved {
        tracing::warn!(
            path = %path.display(),
            "the cluster has removed this node: its data is kept there, and it joins as a new node. Delete what is kept \
             once nobody needs it"
        );
    }
    if let Some(members) = legacy {
        config.bootstrap_expect = None;
        config.join.extend(members);
    }
    Ok(())
}

/// Where the facts stand that this node entered its cluster with.
pub(crate) const FACTS: &str = "facts";

/// What the nodes of a cluster agreed on must not drift with a setting of one of them: its descriptors would
/// be refused everywhere. A node that is in no cluster yet may still change them.
async fn check_facts(meta: &MetaStore, facts: &ClusterFacts, fresh: bool) -> Result<(), StartError> {
    let unreadable = |error: WireError| StartError::Config(format!("the facts on disk: {error}"));
    let stored = meta.get(FACTS).map_err(|error| StartError::Config(error.to_string()))?;
    if let Some(stored) = stored.filter(|_| !fresh) {
        let stored: ClusterFacts = wire::decode(&stored).map_err(unreadable)?;
        return match stored.difference(facts) {
            None => Ok(()),
            Some((name, there, here)) => Err(StartError::Config(format!(
                "{name} is {here} here, but the cluster that this node belongs to has {there}: set `{name}` to that; \
                 what all nodes agreed on when the cluster was formed does not change"
            ))),
        };
    }
    let bytes = wire::encode(facts).map_err(unreadable)?;
    meta.put(FACTS, bytes).await.map_err(|error| StartError::Config(error.to_string()))
}

async fn open_storage(dir: PathBuf) -> Result<Storage<TypeConfig>, StartError> {
    Ok(spawn_blocking(move || Storage::open(&dir, Options::default())).await??)
}

fn listen(config: &Config) -> Result<TcpListener, StartError> {
    let listener = config.peer_listener.try_clone().map_err(StartError::Listener)?;
    listener.set_nonblocking(true).map_err(StartError::Listener)?;
    TcpListener::from_std(listener).map_err(StartError::Listener)
}

fn spawn_tasks(node: &Arc<Node>, listener: TcpListener, tls: Tls, storage: Failure) {
    let fresh = matches!(node.desk.phase(), Phase::Searching);
    tracing::info!(node = format_args!("{:016x}", node.id), fresh, "the replica has started");
    tokio::spawn(server::serve(node.clone(), listener, tls));
    tokio::spawn(driver::follow_membership(node.clone()));
    tokio::spawn(driver::run(node.clone()));
    tokio::spawn(autopilot::run(node.clone()));
    tokio::spawn(fitness::run(node.clone()));
    tokio::spawn(presiding::run(node.clone()));
    tokio::spawn(sealing::run(node.clone()));
    tokio::spawn(renewal::run(node.clone()));
    tokio::spawn(watch_raft(node.clone(), storage.clone()));
    let failing = node.clone();
    tokio::spawn(async move {
        let failure = storage.wait().await.to_string();
        failing.seat.give_up(Loss::Storage);
        failing.fail(failure);
    });
}

/// Reports the end of Raft's core, whatever ended it.
async fn watch_raft(node: Arc<Node>, storage: Failure) {
    let why = raft_ended(&node).await;
    // Raft ends too when storage has, and may be heard of first.
    node.fail(storage.reason().map_or(why, |reason| reason.to_string()));
}

async fn raft_ended(node: &Node) -> String {
    let mut metrics = node.raft.metrics();
    loop {
        let state = metrics.borrow_watched().running_state.clone();
        if let Err(fatal) = state {
            return format!("Raft has stopped: {fatal}");
        }
        if metrics.changed().await.is_err() {
            return "Raft has stopped".into();
        }
    }
}
