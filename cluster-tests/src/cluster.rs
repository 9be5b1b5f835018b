//! A cluster of node processes, on loopback or in a network that can be cut.

use crate::{
    Answer, Binary, Door, Launch, Network, Node, Whereabouts, boot_ns, command, node::Log, wait_until,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Mutex,
    time::Duration,
};
use tempfile::TempDir;

/// How long a node may take to say what it knows of the cluster. Paused ones would take for ever.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// What a cluster is like, beyond its defaults.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further settings of every node, as `HAPI_*` variables.
    pub settings: Vec<(String, String)>,
    /// What one node is injected with, as `HAPI_FAULTS`; others may be injected with something else.
    pub faults: Vec<(usize, String)>,
    /// Which build of the program all nodes run.
    pub binary: Binary,
    /// Whether each node has files of its own for the cluster secret, as on machines of their own.
    pub own_secrets: bool,
    /// The words of a command that runs each node as another user or elsewhere; none on a network of their own.
    pub under: Vec<String>,
}

impl Options {
    /// Adds a setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Gives each node two files of its own for the cluster secret, the second of them missing.
    #[must_use]
    pub fn own_secrets(self) -> Self {
        Self { own_secrets: true, ..self }
    }

    /// Runs all nodes with fault injection, and `faults` on every one.
    #[must_use]
    pub fn faulty(mut self, faults: &str) -> Self {
        self.binary = Binary::Faulty;
        if faults.is_empty() { self } else { self.set("HAPI_FAULTS", faults) }
    }

    /// Runs all nodes with fault injection, and `faults` on the one at `place`.
    #[must_use]
    pub fn faulty_at(mut self, place: usize, faults: &str) -> Self {
        self.binary = Binary::Faulty;
        self.faults.push((place, faults.into()));
        self
    }
}

/// A formed, bootstrapped cluster with a token for each role.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Option<Node>>,
    paused: BTreeSet<usize>,
    /// Of every process that ever ran, dead ones too.
    logs: Vec<(usize, Log)>,
    whereabouts: Whereabouts,
    ids: Mutex<Vec<Option<String>>>,
    network: Option<Network>,
    folder: TempDir,
    options: Options,
    operator: String,
    moderator: String,
    publisher: String,
    client: String,
}

impl Cluster {
    /// Starts `size` nodes that form one cluster, and makes its tokens.
    pub async fn start(size: usize) -> Self {
        Self::start_with(size, Options::default()).await
    }

    /// The same, with options.
    pub async fn start_with(size: usize, options: Options) -> Self {
        Self::form(size, options, None).await
    }

    /// Starts three nodes of which the last has a wrong clock and so no lease, and the first leads.
    pub async fn start_with_leaseless_node() -> Self {
        Self::start_leaseless(Options::default()).await
    }

    /// The same, with options.
    pub async fn start_leaseless(options: Options) -> Self {
        let cluster = Self::start_with(3, options.faulty_at(2, "wall.offset_ms=-3000")).await;
        cluster.transfer(0).await;
        cluster.wait_leases(&[0, 1]).await;
        // It may have led before, by its own clock, and have a lease from that time.
        wait_until("the node whose clock is wrong has no lease", async || {
            (cluster.status(2).await?.body["node"]["lease"]["valid"] == false).then_some(())
        })
        .await;
        cluster
    }

    /// Starts `size` nodes in a network whose nodes can be cut apart. Says loudly when this machine has no such thing;
    /// the test that asked then skips, unless `HAPI_REQUIRE_NETWORK` is set.
    pub async fn separable(size: usize, options: Options) -> Option<Self> {
        match Network::make() {
            Ok(network) => Some(Self::form(size, options, Some(network)).await),
            Err(why) => {
                assert!(std::env::var_os("HAPI_REQUIRE_NETWORK").is_none(), "{why}");
                eprintln!("SKIPPED: nodes cannot be cut apart on this machine: {why}");
                None
            }
        }
    }

    async fn form(size: usize, options: Options, network: Option<Network>) -> Self {
        let mut cluster = Self::begin(size, options, network);
        cluster.wait_ready().await;
        cluster.operator = cluster.bootstrap().expect("the first bootstrap works");
        cluster.moderator = cluster.make_token(json!({ "role": "moderator" })).await;
        cluster.publisher = cluster.make_token(json!({ "role": "publisher", "namespaces": ["*"] })).await;
        cluster.client = cluster.make_token(json!({ "role": "client", "client": "tester" })).await;
        cluster
    }

    fn begin(size: usize, mut options: Options, network: Option<Network>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("secret"), random_secret()).expect("the secret can be written");
        let has_issuer = options.settings.iter().any(|(name, _)| name == "HAPI_ISSUER");
        let mut set = |name: &str, value: &str| options.settings.push((name.into(), value.into()));
        if !has_issuer {
            set("HAPI_ISSUER", "https://registry.example");
        }
        set("HAPI_CLUSTER_BOOTSTRAP_EXPECT", &size.to_string());
        let none = String::new;
        let mut cluster = Self {
            nodes: Vec::new(),
            paused: BTreeSet::new(),
            logs: Vec::new(),
            whereabouts: Whereabouts::default(),
            ids: Mutex::default(),
            network,
            folder,
            options,
            operator: none(),
            moderator: none(),
            publisher: none(),
            client: none(),
        };
        for _ in 0..size {
            cluster.grow();
        }
        cluster
    }

    /// How many places the cluster has, running or not.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The places whose nodes run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.size()).filter(|place| self.nodes[*place].is_some()).collect()
    }

    /// The node at `place`.
    ///
    /// # Panics
    /// When it does not run.
    pub fn node(&self, place: usize) -> &Node {
        self.nodes[place].as_ref().expect("the node runs")
    }

    /// The file with the cluster secret.
    pub fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// The files with the cluster secrets of the node at `place`, if it has some of its own.
    pub fn secrets_of(&self, place: usize) -> [PathBuf; 2] {
        ["", "-next"].map(|suffix| self.folder.path().join(format!("secret-{place}{suffix}")))
    }

    /// The settings that every node gets.
    pub fn settings(&self) -> &[(String, String)] {
        &self.options.settings
    }

    /// Adds a setting for nodes that are started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.options.settings.push((name.into(), value.into()));
    }

    /// The data folder of `place`.
    pub fn data(&self, place: usize) -> PathBuf {
        self.folder.path().join(format!("node-{place}"))
    }

    /// A folder for files of the test itself.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the node at `place` without warning.
    pub fn kill(&mut self, place: usize) {
        self.whereabouts.set(place, None);
        self.paused.remove(&place);
        self.nodes[place].take().expect("the node runs").kill();
    }

    /// Waits until the node at `place` ends by itself; how it did, and its log.
    pub fn wait(&mut self, place: usize) -> (ExitStatus, String) {
        self.whereabouts.set(place, None);
        self.nodes[place].take().expect("the node runs").wait()
    }

    /// Stops the node at `place` in good order.
    pub fn stop(&mut self, place: usize) {
        self.whereabouts.set(place, None);
        let status = self.nodes[place].take().expect("the node runs").stop();
        assert!(status.success(), "a node that was asked to stop ended with {status}");
    }

    /// From now on nodes are started with `options` on top of what they were started with.
    pub fn set_options(&mut self, options: Options) {
        self.options.settings.extend(options.settings);
    }

    /// From now on nodes are started as what the words of `under` run.
    pub fn run_under(&mut self, under: &[String]) {
        self.options.under = under.to_vec();
    }

    /// Starts the node at `place` on what it left behind.
    ///
    /// # Panics
    /// With its log, when it does not come up.
    pub fn restart(&mut self, place: usize) {
        let own = &self.secrets_of(place)[0];
        if self.options.own_secrets && !own.exists() {
            std::fs::copy(self.secret(), own).expect("the secret can be copied");
        }
        let join: Vec<_> = self.nodes.iter().flatten().map(|node| node.peer().to_owned()).collect();
        let launch = Launch {
            binary: self.options.binary,
            folder: &self.data(place),
            secret: &self.secret(),
            join: &join,
            settings: &self.settings_of(place),
            site: self.network.as_ref().map(|network| network.site(place)),
            under: &self.options.under,
        };
        let node = Node::try_launch(launch).unwrap_or_else(|log| panic!("a node ended:\n{log}"));
        self.whereabouts.set(place, Some(node.http()));
        self.logs.push((place, node.shared_log()));
        self.nodes[place] = Some(node);
    }

    fn settings_of(&self, place: usize) -> Vec<(String, String)> {
        let mut settings = self.options.settings.clone();
        let faults = self.options.faults.iter().filter(|(at, _)| *at == place);
        settings.extend(faults.map(|(_, faults)| ("HAPI_FAULTS".into(), faults.clone())));
        if self.options.own_secrets {
            let [first, second] = self.secrets_of(place).map(|path| path.display().to_string());
            settings.push(("HAPI_CLUSTER_SECRET_FILE".into(), format!("{first},{second}")));
        }
        settings
    }

    /// Starts one more node, which joins.
    pub fn grow(&mut self) -> usize {
        if let Some(network) = &mut self.network {
            network.add().unwrap_or_else(|error| panic!("a node's network: {error}"));
        }
        self.nodes.push(None);
        let place = self.size() - 1;
        self.restart(place);
        place
    }

    /// SIGSTOPs the node at `place`.
    pub fn pause(&mut self, place: usize) {
        self.node(place).pause();
        self.paused.insert(place);
    }

    /// Wakes the node at `place`.
    pub fn resume(&mut self, place: usize) {
        self.node(place).resume();
        self.paused.remove(&place);
    }

    /// The places whose nodes run and are not paused.
    pub fn awake(&self) -> Vec<usize> {
        self.running().into_iter().filter(|place| !self.paused.contains(place)).collect()
    }

    /// Cuts the nodes at `places` off from all others, both ways; among themselves they talk on. Yields the
    /// instant from which on nothing got through.
    ///
    /// # Panics
    /// When this is no separable cluster, or the cut does not hold.
    pub fn cut(&self, places: &[usize]) -> u64 {
        let inside = |place: &usize| places.contains(place);
        let pairs = self.pairs();
        let pairs = pairs.into_iter().filter(|(from, to)| inside(from) != inside(to));
        self.silence(&pairs.collect::<Vec<_>>())
    }

    /// Cuts the ways from each of `from` to each of `to`; the other direction stays.
    pub fn cut_one_way(&self, from: &[usize], to: &[usize]) -> u64 {
        let pairs = from.iter().flat_map(|from| to.iter().map(|to| (*from, *to)));
        self.silence(&pairs.collect::<Vec<_>>())
    }

    fn silence(&self, pairs: &[(usize, usize)]) -> u64 {
        self.network().silence(pairs);
        let since = boot_ns();
        self.network().probe(pairs, false);
        since
    }

    /// Takes back all cuts, and yields the instant.
    pub fn heal(&self) -> u64 {
        self.network().heal();
        let since = boot_ns();
        self.network().probe(&self.pairs(), true);
        since
    }

    fn network(&self) -> &Network {
        self.network.as_ref().expect("the cluster was started as a separable one")
    }

    /// Every ordered pair of places.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let all = 0..self.size();
        all.clone().flat_map(|from| all.clone().map(move |to| (from, to))).filter(|(a, b)| a != b).collect()
    }

    /// Where each node's public API is just now; clones follow along.
    pub fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    /// The lines that the processes at `place` have logged so far, those of dead ones too.
    pub fn log_lines(&self, place: usize) -> Vec<String> {
        let logs = self.logs.iter().filter(|(at, _)| *at == place);
        logs.flat_map(|(_, log)| log.lock().expect("no holder panics").clone()).collect()
    }

    /// The id of the node at `place`, 16 hexadecimal digits.
    pub async fn id(&self, place: usize) -> String {
        let known = self.ids.lock().expect("no holder panics").get(place).cloned().flatten();
        if let Some(id) = known {
            return id;
        }
        let id = wait_until(&format!("node {place} says its id"), async || {
            Some(self.status(place).await?.body["node"]["id"].as_str()?.to_owned())
        })
        .await;
        let mut ids = self.ids.lock().expect("no holder panics");
        let length = ids.len().max(place + 1);
        ids.resize(length, None);
        ids[place] = Some(id.clone());
        id
    }

    /// Hands leadership to the node at `place`.
    ///
    /// # Panics
    /// When it does not lead then: the fault was not installed.
    pub async fn transfer(&self, place: usize) {
        let to = self.id(place).await;
        wait_until(&format!("node {place} leads"), async || {
            for at in self.awake() {
                let door = self.operator(at);
                let request = door.request(reqwest::Method::POST, "/v1/cluster/transfer-leader");
                let request = request.json(&json!({ "to": to })).timeout(STATUS_WAIT);
                let answer = door.try_send(request).await.ok();
                if answer.is_some_and(|answer| answer.status == 200 && answer.body["leader"] == to.as_str()) {
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    /// Waits until every node that is awake says that it is ready.
    pub async fn wait_ready(&self) {
        for place in self.awake() {
            let door = self.node(place).door();
            wait_until(&format!("node {place} is ready"), async || {
                let answer = door.try_send(door.request(reqwest::Method::GET, "/readyz")).await.ok()?;
                (answer.status == 200).then_some(())
            })
            .await;
        }
    }

    /// Makes the first operator token through the command line; yields it, or what the command line says.
    pub fn bootstrap(&self) -> Result<String, String> {
        let first = self.node(self.running()[0]);
        let output = command()
            .args(["bootstrap", "--peer", first.peer(), "--secret-file"])
            .arg(self.secret())
            .output()
            .expect("the binary runs");
        if output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout);
            let token = text.split_whitespace().find(|word| word.starts_with("hapi_operator_"));
            token.map(str::to_owned).ok_or_else(|| text.into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Makes a token with the operator's right.
    pub async fn make_token(&self, body: Value) -> String {
        let answer = self.operator(self.running()[0]).post("/v1/tokens", &body).await;
        answer.ok()["token"].as_str().expect("a token is text").to_owned()
    }

    /// The operator at the node `place`.
    pub fn operator(&self, place: usize) -> Door {
        self.node(place).door().with_token(&self.operator)
    }

    /// The moderator at the node `place`.
    pub fn moderator(&self, place: usize) -> Door {
        self.node(place).door().with_token(&self.moderator)
    }

    /// A publisher for all namespaces at the node `place`.
    pub fn publisher(&self, place: usize) -> Door {
        self.node(place).door().with_token(&self.publisher)
    }

    /// The client `tester` at the node `place`.
    pub fn client(&self, place: usize) -> Door {
        self.node(place).door().with_token(&self.client)
    }

    /// The text of the operator's token.
    pub fn operator_token(&self) -> &str {
        &self.operator
    }

    /// The text of the moderator's token.
    pub fn moderator_token(&self) -> &str {
        &self.moderator
    }

    /// The text of the client's token.
    pub fn client_token(&self) -> &str {
        &self.client
    }

    /// The place of the leader, once there is one. Of several nodes that say so, the one with the highest
    /// term leads: a node that is cut off may not know yet.
    pub async fn leader(&self) -> usize {
        self.leader_among(&self.awake()).await
    }

    /// The leader, once it is one of `places`.
    pub async fn leader_among(&self, places: &[usize]) -> usize {
        wait_until(&format!("one of the nodes {places:?} leads"), async || {
            let mut leading = None;
            for place in places {
                let Some(status) = self.status(*place).await else { continue };
                if status.status == 200 && status.body["node"]["role"] == "leader" {
                    leading = leading.max(Some((status.body["term"].as_u64(), *place)));
                }
            }
            leading.map(|(_, place)| place)
        })
        .await
    }

    /// Waits until each of `places` holds a serving lease and has a key that signs.
    pub async fn wait_leases(&self, places: &[usize]) {
        for place in places {
            wait_until(&format!("node {place} has a lease"), async || {
                let door = self.operator(*place);
                let status = self.status(*place).await?;
                let ready = door.request(reqwest::Method::GET, "/readyz").timeout(STATUS_WAIT);
                let ready = door.try_send(ready).await.ok()?;
                let leased = status.body["node"]["lease"]["valid"] == true && ready.body["lease"] == "valid";
                (ready.status == 200 && leased).then_some(())
            })
            .await;
        }
    }

    /// What the node at `place` says of the cluster, if it answers.
    pub async fn status(&self, place: usize) -> Option<Answer> {
        let door = self.operator(place);
        door.try_send(door.request(reqwest::Method::GET, "/v1/cluster").timeout(STATUS_WAIT)).await.ok()
    }

    /// A place that is not `place` and runs.
    pub fn other_than(&self, place: usize) -> usize {
        self.running().into_iter().find(|other| *other != place).expect("another node runs")
    }

    /// Commits a checkpoint, and checks that every running node has the same state there.
    pub async fn assert_same_state(&self) -> String {
        let made = self.operator(self.running()[0]).post("/v1/cluster/checkpoint", &json!({})).await.ok();
        for place in self.running() {
            wait_until(&format!("node {place} is at the checkpoint"), async || {
                let status = self.status(place).await?.body;
                let checkpoint = &status["checkpoint"];
                if checkpoint["index"].as_u64() < made["index"].as_u64() {
                    return None;
                }
                assert_eq!(checkpoint, &made_pair(&made), "node {place} has another state");
                Some(())
            })
            .await;
        }
        made["hash"].as_str().expect("a hash is text").to_owned()
    }
}

fn made_pair(made: &Value) -> Value {
    json!({ "index": made["index"], "hash": made["hash"] })
}

fn random_secret() -> String {
    std::iter::repeat_with(|| format!("{:02x}", rand::random::<u8>())).take(32).collect()
}
