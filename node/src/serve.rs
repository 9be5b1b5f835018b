//! One node of the cluster, from its settings to its end.

use crate::{
    api::{Api, router},
    clock::SystemEnvironment,
    config::Config,
    cursor::CursorKey,
    issue::Desk,
    listen,
    metrics::Metrics,
    signing::Signing,
};
use hapi_raft::{ClusterFacts, ClusterSecret, RaftTuning, Replica, StartError, WeakSecret};
use std::{future::Future, io, net::TcpListener, path::PathBuf, sync::Arc};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Documents that are judged for strangers at a time: each takes memory, and no token is asked for.
const VALIDATIONS: usize = 64;

/// The sockets of a node, open already: who opens them can choose any free port and learn which it is.
pub(crate) struct Listeners {
    /// For clients and operators.
    pub(crate) http: TcpListener,
    /// For the other nodes.
    pub(crate) peer: TcpListener,
}

/// Why a node could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("the cluster secret {path} cannot be read: {source}", path = path.display())]
    SecretFile { path: PathBuf, source: io::Error },
    #[error("the cluster secret {path} is weak: {source}", path = path.display())]
    WeakSecret { path: PathBuf, source: WeakSecret },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the signing keys under {path} cannot be opened: {source}", path = path.display())]
    Keys { path: PathBuf, source: io::Error },
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the public listener failed: {0}")]
    Listen(#[from] io::Error),
    #[error("the replica stopped: {0}")]
    Replica(String),
}

/// Runs a node until `shutdown` or until it can no longer keep its promises.
pub(crate) async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let http = config.http_advertise();
    let metrics = Metrics::new()?;
    let replica = start_replica(&config, &http, listeners.peer).await?;
    replica.register_metrics(metrics.registry())?;
    let keys = Signing::open(&config.data_dir)
        .map_err(|source| ServeError::Keys { path: config.data_dir.join("keys"), source })?;
    let signing = Arc::new(keys);
    let keeper = tokio::spawn(keep_keys(signing.clone(), replica.clone(), http.clone()));
    let api = Arc::new(Api {
        desk: Desk { issuer: config.issuer.clone(), signing },
        cursors: CursorKey::new(replica.derive("catalog cursor v1")),
        replica: replica.clone(),
        metrics,
        validations: Semaphore::new(VALIDATIONS),
        http: http.clone(),
    });
    // Tests and tools wait for this line: from now on the node answers.
    tracing::info!(node = %replica.node_id(), http, peer = config.peer_advertise(), "listening");
    let stopping = async {
        shutdown.await;
        // First of all, so that no request that is still taken waits for an election.
        replica.hand_over().await;
    };
    let served = tokio::select! {
        served = listen::serve(listeners.http, router(api), stopping) => served.map_err(ServeError::Listen),
        reason = replica.failed() => Err(ServeError::Replica(reason)),
    };
    keeper.abort();
    if served.is_ok() {
        replica.shutdown().await;
        tracing::info!("this node is down");
    }
    served
}

async fn keep_keys(signing: Arc<Signing>, replica: Replica, http: String) {
    replica.formed().await;
    signing.keep(&replica, &http, env!("CARGO_PKG_VERSION")).await;
}

async fn start_replica(config: &Config, http: &str, peer: TcpListener) -> Result<Replica, ServeError> {
    let secrets = config.cluster.secret_file.iter().map(read_secret).collect::<Result<_, _>>()?;
    let replica = hapi_raft::Config {
        data_dir: config.data_dir.clone(),
        secrets,
        peer_advertise: config.peer_advertise(),
        peer_listener: peer,
        http_advertise: http.to_owned(),
        join: config.cluster.join.clone(),
        bootstrap_expect: config.cluster.bootstrap_expect,
        facts: ClusterFacts { issuer: config.issuer.clone(), lease_duration_ms: config.lease.duration_ms },
        tuning: RaftTuning {
            heartbeat_ms: config.raft.heartbeat_ms,
            election_timeout_min_ms: config.raft.election_timeout_min_ms,
            election_timeout_max_ms: config.raft.election_timeout_max_ms,
            snapshot_entries: config.raft.snapshot_entries,
            keep_entries: config.raft.keep_entries,
            install_timeout_ms: config.raft.install_timeout_ms,
            promote_after_ms: config.raft.promote_after_ms,
        },
        version: env!("CARGO_PKG_VERSION").into(),
    };
    Ok(Replica::start(replica, Arc::new(SystemEnvironment)).await?)
}

/// Reads a cluster secret; the bytes are wiped when the parsed secret has been made.
pub(crate) fn read_secret(path: &PathBuf) -> Result<ClusterSecret, ServeError> {
    let bytes = std::fs::read(path).map(Zeroizing::new);
    let bytes = bytes.map_err(|source| ServeError::SecretFile { path: path.clone(), source })?;
    ClusterSecret::parse(&bytes).map_err(|source| ServeError::WeakSecret { path: path.clone(), source })
}
