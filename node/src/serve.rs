//! One node of the cluster, from its settings to its end.

use crate::{
    api::{Api, Replays, router},
    budget::Budgets,
    clock::SystemEnvironment,
    clock_source::{self, ClockSource, ClockTrust},
    config::Config,
    console::Rates,
    disk::Disk,
    events::EventStreams,
    faults,
    feed::Feed,
    health::Health,
    identity::Identities,
    issuance_log::IssuanceLog,
    issue::Desk,
    lifting,
    limits::Limits,
    listen::{self, PublicTls, PublicTlsError},
    metrics::Metrics,
    mirror::Mirrors,
    outbound::{Outbound, Outside, SetUpError},
    publisher_auth::PublisherAuth,
    rankings::Rankings,
    secret_files::{SecretError, SecretFiles},
    signing::Signing,
    token_use::TokenUses,
    traces::{Traces, TracesError},
    webhooks::Webhooks,
};
use hapi_raft::{ClusterFacts, Ending, RaftTuning, Replica, StartError};
use hapi_registry_state::NodeId;
use prometheus::core::Collector;
use std::{
    future::Future,
    io,
    net::TcpListener,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Semaphore,
    task::JoinSet,
};

/// Documents that are judged for strangers at a time: each takes memory, and no token is asked for.
const VALIDATIONS: usize = 64;

/// Backups at a time: each reads the whole state.
const BACKUPS: usize = 1;

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
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("TLS of the public port: {0}")]
    PublicTls(#[from] PublicTlsError),
    #[error("cannot listen for SIGHUP: {0}")]
    Signal(io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the signing keys under {path} cannot be opened: {source}", path = path.display())]
    Keys { path: PathBuf, source: io::Error },
    #[error("the issuance log under {path} cannot be opened: {source}", path = path.display())]
    IssuanceLog { path: PathBuf, source: io::Error },
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Traces(#[from] TracesError),
    #[error("nothing outside can be asked: {0}")]
    Outbound(#[from] SetUpError),
    #[error("the public listener failed: {0}")]
    Listen(#[from] io::Error),
    #[error("the replica stopped: {0}")]
    Replica(String),
    /// The process is to begin anew, in the same data folder.
    #[error("the cluster has removed node {0}")]
    Removed(NodeId),
}

impl From<Ending> for ServeError {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Failed(reason) => Self::Replica(reason),
            Ending::Removed(node) => Self::Removed(node),
        }
    }
}

/// Runs a node until `shutdown` or until it can no longer keep its promises.
pub(crate) async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    // First of all: without a handler the signal ends the process.
    let [hangups, public_hangups] = [hangups()?, hangups()?];
    let tls = PublicTls::open(&config.http)?.map(Arc::new);
    let secrets = SecretFiles::new(config.cluster.secret_file.clone());
    let http = config.http_advertise();
    let metrics = Arc::new(Metrics::new()?);
    let limits = Arc::new(open_limits(&config, &metrics)?);
    let replica = start_replica(&config, &secrets, &http, listeners.peer).await?;
    replica.register_metrics(metrics.registry())?;
    // Spans name the node, whose id is known only now.
    let traces = Traces::start(&config.log, &replica.node_id().to_string(), &metrics)?;
    // After the replica: it locks the data folder.
    let log = open_log(&config, &metrics)?;
    let clock_source = judge_clock(config.lease.clock, None);
    let desk = Arc::new(open_desk(&config, log, &clock_source)?);
    // What goes on beside the requests, for as long as the node runs.
    let mut tasks = JoinSet::new();
    tasks.spawn(keep_keys(desk.signing.clone(), replica.clone(), http.clone()));
    metrics.clock(&clock_source);
    tasks.spawn(watch_clock(desk.clone(), metrics.clone(), config.lease.clock, clock_source));
    tasks.spawn(open_disk(&metrics)?.watch(config.data_dir.clone()));
    answer_handovers(&replica, &desk, &metrics);
    tasks.spawn(secrets.keep(hangups, replica.clone(), metrics.clone()));
    let feed = Arc::new(Feed::default());
    tasks.spawn(keep_feed(feed.clone(), replica.clone(), desk.clone()));
    let events = Arc::new(open_events(&metrics)?);
    let outbound = Outbound::new(&config.outbound)?;
    let mirrors = Arc::new(open_mirrors(&metrics, outbound.clone())?);
    tasks.spawn(mirrors.clone().keep(replica.clone()));
    tasks.spawn(Arc::new(open_health(&metrics, outbound.clone())?).keep(replica.clone()));
    let outbound = Arc::new(outbound);
    let webhooks = Arc::new(open_webhooks(&metrics, outbound.clone(), desk.signing.clone())?);
    tasks.spawn(webhooks.clone().keep(replica.clone()));
    let outside: Arc<dyn Outside> = outbound;
    let token_uses = Arc::new(TokenUses::default());
    tasks.spawn(tell_token_uses(token_uses.clone(), replica.clone()));
    tasks.spawn(lifting::keep(replica.clone()));
    let console = config.console.enabled.then(|| Arc::new(Rates::default()));
    if let Some(rates) = &console {
        tasks.spawn(rates.clone().keep(metrics.clone()));
    }
    let api = Arc::new(Api {
        desk,
        feed: feed.clone(),
        events: events.clone(),
        mirrors,
        webhooks,
        token_uses: token_uses.clone(),
        replays: Replays::default(),
        identities: Identities::new(outside.clone()),
        publisher_auth: PublisherAuth::new(&config.publisher_auth, outside),
        replica: replica.clone(),
        metrics,
        limits: limits.clone(),
        rankings: Rankings::default(),
        validations: Semaphore::new(VALIDATIONS),
        backups: Arc::new(Semaphore::new(BACKUPS)),
        console,
        http: http.clone(),
        exports_traces: traces.is_some(),
        caught_up: AtomicBool::new(false),
    });
    tasks.spawn(catch_up(api.clone()));
    tasks.spawn(keep_certificate(tls.clone(), public_hangups, limits.clone()));
    // Tests and tools wait for this line: from now on the node answers.
    tracing::info!(node = %replica.node_id(), http, peer = config.peer_advertise(), "listening");
    let stopping = async {
        shutdown.await;
        // First of all, so that no request that is still taken waits for an election.
        replica.hand_over().await;
        token_uses.tell_at_last(&replica).await;
        // Streams never end by themselves, and would be waited for.
        feed.close();
        events.close();
    };
    let served = tokio::select! {
        served = listen::serve(listeners.http, router(api), limits, tls, stopping) => {
            served.map_err(ServeError::Listen)
        }
        ending = replica.ended() => Err(ending.into()),
    };
    tasks.abort_all();
    if let Some(traces) = traces {
        traces.end().await;
    }
    if matches!(served, Ok(()) | Err(ServeError::Removed(_))) {
        replica.shutdown().await;
        tracing::info!("this node is down");
    }
    served
}

fn hangups() -> Result<Signal, ServeError> {
    signal(SignalKind::hangup()).map_err(ServeError::Signal)
}

fn register(
    metrics: &Metrics,
    collectors: impl IntoIterator<Item = Box<dyn Collector>>,
) -> Result<(), ServeError> {
    Ok(collectors.into_iter().try_for_each(|collector| metrics.registry().register(collector))?)
}

fn open_limits(config: &Config, metrics: &Metrics) -> Result<Limits, ServeError> {
    let limits = Limits::new(&config.http)?;
    register(metrics, limits.counters.collectors())?;
    Ok(limits)
}

fn open_log(config: &Config, metrics: &Metrics) -> Result<IssuanceLog, ServeError> {
    let settings = config.issuance_log();
    let path = settings.folder.clone();
    let log = IssuanceLog::open(settings).map_err(|source| ServeError::IssuanceLog { path, source })?;
    register(metrics, log.collectors())?;
    Ok(log)
}

fn open_disk(metrics: &Metrics) -> Result<Disk, ServeError> {
    let disk = Disk::new()?;
    register(metrics, disk.collectors())?;
    Ok(disk)
}

fn open_events(metrics: &Metrics) -> Result<EventStreams, ServeError> {
    let events = EventStreams::new()?;
    register(metrics, events.collectors())?;
    Ok(events)
}

fn open_webhooks(
    metrics: &Metrics,
    outbound: Arc<Outbound>,
    signing: Arc<Signing>,
) -> Result<Webhooks, ServeError> {
    let webhooks = Webhooks::new(outbound, signing)?;
    register(metrics, webhooks.collectors())?;
    Ok(webhooks)
}

fn open_mirrors(metrics: &Metrics, outbound: Outbound) -> Result<Mirrors, ServeError> {
    let mirrors = Mirrors::new(outbound)?;
    register(metrics, mirrors.collectors())?;
    Ok(mirrors)
}

fn open_health(metrics: &Metrics, outbound: Outbound) -> Result<Health, ServeError> {
    let health = Health::new(outbound)?;
    register(metrics, health.collectors())?;
    Ok(health)
}

fn open_desk(config: &Config, log: IssuanceLog, clock_source: &ClockSource) -> Result<Desk, ServeError> {
    let signing = Signing::open(&config.data_dir)
        .map_err(|source| ServeError::Keys { path: config.data_dir.join("keys"), source })?;
    Ok(Desk {
        issuer: config.issuer.clone(),
        signing: Arc::new(signing),
        log,
        budgets: Budgets::default(),
        handover_wait: Duration::from_millis(config.lease.handover_wait_ms),
        distrusts_clock: AtomicBool::new(!clock_source.trusted),
    })
}

/// Connects that other nodes hand over are decided on this runtime, beside those of this node's own clients.
fn answer_handovers(replica: &Replica, desk: &Arc<Desk>, metrics: &Arc<Metrics>) {
    // The replica holds the handler: a weak reference, or neither would ever end.
    let (replica_of, desk, metrics) = (replica.downgrade(), desk.clone(), metrics.clone());
    replica.answer_handovers(Box::new(move |request| {
        let (replica, desk, metrics) = (replica_of.upgrade(), desk.clone(), metrics.clone());
        Box::pin(async move { desk.answer_handover(&replica?, &metrics, &request).await })
    }));
}

/// How often the clock source is looked at again: the kernel changes it when it finds a counter unstable.
const CLOCK_LOOK: Duration = Duration::from_secs(10);

async fn watch_clock(desk: Arc<Desk>, metrics: Arc<Metrics>, trust: ClockTrust, mut last: ClockSource) {
    loop {
        tokio::time::sleep(CLOCK_LOOK).await;
        last = judge_clock(trust, Some(&last));
        metrics.clock(&last);
        desk.distrusts_clock.store(!last.trusted, Ordering::Relaxed);
    }
}

/// Reads the clock source; says so when connects are confirmed by a majority because of it.
fn judge_clock(trust: ClockTrust, last: Option<&ClockSource>) -> ClockSource {
    let source = clock_source::read().judged(trust);
    if !source.trusted && last.is_none_or(|last| last.trusted) {
        tracing::warn!(
            clock_source = source.name,
            "this machine's clocks may stand still unnoticed: strict mode, a majority confirms each descriptor; \
             `lease.clock = \"trusted\"` for a machine that is never frozen"
        );
    }
    source
}

async fn keep_keys(signing: Arc<Signing>, replica: Replica, http: String) {
    replica.formed().await;
    signing.keep(&replica, &http, env!("CARGO_PKG_VERSION")).await;
}

async fn keep_certificate(tls: Option<Arc<PublicTls>>, hangups: Signal, limits: Arc<Limits>) {
    if let Some(tls) = tls {
        tls.keep(hangups, limits).await;
    }
}

async fn tell_token_uses(uses: Arc<TokenUses>, replica: Replica) {
    uses.keep(&replica).await;
}

async fn catch_up(api: Arc<Api>) {
    api.until_caught_up().await;
}

async fn keep_feed(feed: Arc<Feed>, replica: Replica, desk: Arc<Desk>) {
    feed.keep(&replica, &desk).await;
}

async fn start_replica(
    config: &Config,
    secrets: &SecretFiles,
    http: &str,
    peer: TcpListener,
) -> Result<Replica, ServeError> {
    let replica = hapi_raft::Config {
        data_dir: config.data_dir.clone(),
        secrets: secrets.read()?,
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
            max_voters: config.cluster.max_voters,
            dead_node_grace_ms: config.cluster.dead_node_grace_ms,
            disk_reserve_bytes: config.disk.reserve_bytes,
            ..RaftTuning::default()
        },
        rules: faults::rules(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    Ok(Replica::start(replica, Arc::new(SystemEnvironment)).await?)
}
