//! Putting the parts of a [`Node`] together.

use crate::{
    Config, Environment, StartError,
    certificate::key_sha256,
    counters::Counters,
    directory::Directory,
    fitness::Fitness,
    formation::desk::Desk,
    handover::Handovers,
    identity::Identity,
    lease::{clock::Terms, granter::Granter, seat::Seat},
    machine::{Machine, Published, SnapshotCounters},
    network::Network,
    node::{Node, roll},
    peer::{dial::Dialer, pool::Pool, resolve::Names},
    read_index::{ReadError, Round, Rounds},
    snapshot::{arrival::Arrival, shelf::Shelf},
    tls::Tls,
    types::{PeerNode, Raft, TypeConfig},
};
use hapi_registry_state::{NodeId, Timestamp};
use hapi_storage::{MetaStore, SnapshotStore, Storage};
use openraft::async_runtime::watch::WatchReceiver;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, Weak, atomic::AtomicBool},
    time::Duration,
};
use tokio::{sync::watch, task::spawn_blocking};

fn open_desk(
    config: &Config,
    identity: &Identity,
    meta: MetaStore,
    directory: Arc<Directory>,
) -> Result<Desk, StartError> {
    let record = PeerNode {
        peer: config.peer_advertise.clone(),
        http: config.http_advertise.clone(),
        key_sha256: key_sha256(&identity.key),
        version: config.version.clone(),
    };
    let me = (identity.id, record);
    Desk::open(meta, directory, me, config.facts.clone(), config.bootstrap_expect).map_err(StartError::Raft)
}

pub(crate) async fn assemble(
    config: Config,
    environment: Arc<dyn Environment>,
    storage: &Storage<TypeConfig>,
    identity: &Identity,
    tls: &Tls,
) -> Result<Arc<Node>, StartError> {
    let counters = Counters::new()?;
    let directory = Arc::new(Directory::default());
    let desk = open_desk(&config, identity, storage.meta.clone(), directory.clone())?;
    let dialer = Dialer { names: Names::system(), tls: tls.clone() };
    let pool = Pool::new(dialer, directory.clone(), counters.sent.clone());
    let published = Arc::new(Published::default());
    let terms = Terms::new(Duration::from_millis(config.facts.lease_duration_ms));
    let seat = Arc::new(Seat::new(config.rules, terms, counters.lease_drops.clone()));
    let shelf = open_shelf(storage.snapshots.clone()).await?;
    let machine = machine(shelf.clone(), &published, &seat, &counters);
    let network = Network { pool: pool.clone(), snapshots_sent: counters.snapshots_sent.clone() };
    let engine = config.tuning.engine("hapi").map_err(|error| StartError::Config(error.to_string()))?;
    let raft = Raft::new(identity.id, Arc::new(engine), network, storage.log.clone(), machine).await;
    let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;
    // From the first message on it is clear who is a member.
    directory.set_own(roll(&raft.metrics().borrow_watched().membership_config));
    let parts = Parts { desk, directory, pool, published, terms, seat, shelf, counters, raft };
    Ok(connect(config, environment, identity.id, parts, storage))
}

async fn open_shelf(store: SnapshotStore) -> Result<Shelf, StartError> {
    spawn_blocking(move || Shelf::open(store)).await?.map_err(StartError::Snapshot)
}

fn machine(shelf: Shelf, published: &Arc<Published>, seat: &Arc<Seat>, counters: &Counters) -> Machine {
    let counters = SnapshotCounters {
        built: counters.snapshots_built.clone(),
        installed: counters.snapshots_installed.clone(),
    };
    Machine::new(shelf, published.clone(), seat.clone(), counters)
}

struct Parts {
    desk: Desk,
    directory: Arc<Directory>,
    pool: Arc<Pool>,
    published: Arc<Published>,
    terms: Terms,
    seat: Arc<Seat>,
    shelf: Shelf,
    counters: Counters,
    raft: Raft,
}

fn connect(
    config: Config,
    environment: Arc<dyn Environment>,
    id: u64,
    parts: Parts,
    storage: &Storage<TypeConfig>,
) -> Arc<Node> {
    let Parts { desk, directory, pool, published, terms, seat, shelf, counters, raft } = parts;
    let fitness = Fitness::new(&config.data_dir, config.tuning.disk_reserve_bytes, environment.clocks());
    Arc::new_cyclic(|node: &Weak<Node>| Node {
        id,
        data_dir: config.data_dir,
        version: config.version,
        join: config.join,
        facts: config.facts,
        tuning: config.tuning,
        rules: config.rules,
        terms,
        seat,
        granter: Granter::new(config.rules, terms, NodeId(id)),
        handovers: Handovers::default(),
        fitness,
        environment,
        raft,
        directory,
        pool,
        published,
        desk,
        shelf,
        arrival: Arrival::new(storage.snapshots.clone()),
        last_instant: tokio::sync::Mutex::new(Timestamp(0)),
        own_rounds: own_rounds(node.clone(), &counters),
        rounds: rounds(node.clone()),
        membership: tokio::sync::Mutex::new(()),
        callers: Mutex::new(BTreeSet::new()),
        strangers: Mutex::new(BTreeSet::new()),
        said: Mutex::default(),
        // A first look around, whatever Raft says: with another cluster's data a node may lead itself.
        is_lost: AtomicBool::new(true),
        ending: watch::Sender::new(None),
        stopping: AtomicBool::new(false),
        counters,
        storage: storage.watch.clone(),
    })
}

fn own_rounds(node: Weak<Node>, counters: &Counters) -> Rounds<Round> {
    let (begun, shared) = (counters.read_rounds.clone(), counters.reads.clone());
    let taken = move |callers: usize| {
        begun.inc();
        shared.inc_by(callers as u64);
    };
    let round = move || {
        let node = node.clone();
        async move {
            match node.upgrade() {
                Some(node) => node.round_here().await,
                None => Round::NotLeader { leader: None },
            }
        }
    };
    Rounds::start(round, taken)
}

fn rounds(node: Weak<Node>) -> Rounds<Result<u64, ReadError>> {
    let round = move || {
        let node = node.clone();
        async move {
            match node.upgrade() {
                Some(node) => node.round_anywhere().await,
                None => Err(ReadError::Stopped),
            }
        }
    };
    Rounds::start(round, |_| {})
}
