//! Homes of replicas, and words to talk about them.

use crate::{
    ClusterFacts, ClusterSecret, Committed, Config, Environment, RaftTuning, Reading, Replica, Role,
    StartError,
};
use hapi_registry_state::{Command, Principal, Timestamp};
use std::{
    net::TcpListener,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const SECRET: &str = "q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiOoTzVwBk=";
pub(crate) const OTHER_SECRET: &str = "B8k2Vz0TqXo1g6eAd4hNtR5LcWm7Ku9pJx3FvYbZs0Q=";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The real clock and the real generator.
pub(crate) struct World;

impl Environment for World {
    fn now(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64)
    }

    fn clocks(&self) -> Reading {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let elapsed = BEGIN.elapsed();
        Reading { boot: elapsed, raw: elapsed, wall: self.now() }
    }

    fn boottime_ns(&self) -> u64 {
        u64::try_from(self.clocks().boot.as_nanos()).unwrap()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }
}

/// A data folder and the settings of the replica that lives in it, across restarts.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
    pub(crate) listener: TcpListener,
    pub(crate) secrets: Vec<&'static str>,
    pub(crate) join: Vec<String>,
    pub(crate) expect: Option<u16>,
    pub(crate) facts: ClusterFacts,
    pub(crate) tuning: RaftTuning,
    pub(crate) version: &'static str,
}

impl Home {
    pub(crate) fn new(expect: Option<u16>) -> Self {
        // Shown for a test that fails, as far as `RUST_LOG` asks for it.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        Self {
            dir: TempDir::new().unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            secrets: vec![SECRET],
            join: Vec::new(),
            expect,
            facts: ClusterFacts { issuer: "https://registry.test".into(), lease_duration_ms: 3000 },
            tuning: RaftTuning { promote_after_ms: 300, ..RaftTuning::default() },
            version: "0.1.0",
        }
    }

    /// As a program of this version has it.
    pub(crate) fn running(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Gives the home a new address, as a restarted container gets one.
    pub(crate) fn move_house(&mut self) {
        self.listener = TcpListener::bind("127.0.0.1:0").unwrap();
    }

    pub(crate) async fn start(&self) -> Replica {
        self.try_start().await.unwrap()
    }

    pub(crate) async fn try_start(&self) -> Result<Replica, StartError> {
        let config = Config {
            data_dir: self.dir.path().into(),
            secrets: self.secrets.iter().map(|text| ClusterSecret::parse(text.as_bytes()).unwrap()).collect(),
            peer_listener: self.listener.try_clone().unwrap(),
            peer_advertise: self.address(),
            http_advertise: format!("https://{}", self.address()),
            join: self.join.clone(),
            bootstrap_expect: self.expect,
            facts: self.facts.clone(),
            tuning: self.tuning.clone(),
            rules: crate::Rules::default(),
            version: self.version.into(),
        };
        Replica::start(config, Arc::new(World)).await
    }
}

/// `count` homes that know each other's addresses and expect each other.
pub(crate) fn homes(count: u16) -> Vec<Home> {
    let mut homes: Vec<Home> = (0..count).map(|_| Home::new(Some(count))).collect();
    introduce(&mut homes);
    homes
}

/// Tells everyone the current addresses of all.
pub(crate) fn introduce(homes: &mut [Home]) {
    let addresses: Vec<String> = homes.iter().map(Home::address).collect();
    for home in homes {
        home.join = addresses.clone();
    }
}

/// Starts all, and waits until they are one cluster.
pub(crate) async fn start_all(homes: &[Home]) -> Vec<Replica> {
    let mut replicas = Vec::new();
    for home in homes {
        replicas.push(home.start().await);
    }
    formed(&replicas).await;
    replicas
}

pub(crate) async fn formed(replicas: &[Replica]) {
    for replica in replicas {
        within("a cluster is formed", replica.formed()).await;
    }
}

/// Awaits `done`, which must come to pass.
pub(crate) async fn within<T>(what: &str, done: impl Future<Output = T>) -> T {
    timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Looks again and again until `reached` holds.
pub(crate) async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The one replica that leads, once all the others follow it.
pub(crate) async fn leader(replicas: &[Replica]) -> Replica {
    let agreed = || {
        let leader = replicas.iter().find(|replica| replica.status().role == Role::Leader)?;
        let id = Some(leader.node_id());
        replicas.iter().all(|replica| replica.status().leader == id).then(|| leader.clone())
    };
    until("all follow one leader", || agreed().is_some()).await;
    agreed().unwrap_or_else(|| panic!("the leader changed at once"))
}

pub(crate) async fn follower(replicas: &[Replica]) -> Replica {
    let leader = leader(replicas).await.node_id();
    replicas.iter().find(|replica| replica.node_id() != leader).unwrap().clone()
}

/// Puts the node's own entry on the roster, with a text that tells one write from another.
pub(crate) async fn write(replica: &Replica, text: &str) -> Committed {
    let command = Command::JoinRoster { http: text.into(), version: "1".into() };
    replica.propose(Principal::Node(replica.node_id()), command).await.unwrap()
}

/// What `replica` has of the last write of `writer`.
pub(crate) fn read(replica: &Replica, writer: &Replica) -> Option<String> {
    let state = replica.state();
    let found = state.roster().find(|(node, _)| *node == writer.node_id());
    found.map(|(_, member)| member.http.clone())
}
