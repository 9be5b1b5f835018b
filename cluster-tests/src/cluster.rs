//! A cluster of node processes on loopback.

use crate::{Answer, Door, Node, command, wait_until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a cluster is like, beyond its defaults.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further settings of every node, as `HAPI_*` variables.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// Adds a setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// A formed, bootstrapped cluster with a token for each role.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    nodes: Vec<Option<Node>>,
    settings: Vec<(String, String)>,
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
        let mut cluster = Self::begin(size, options);
        cluster.wait_ready().await;
        cluster.operator = cluster.bootstrap().expect("the first bootstrap works");
        cluster.moderator = cluster.make_token(json!({ "role": "moderator" })).await;
        cluster.publisher = cluster.make_token(json!({ "role": "publisher", "namespaces": ["*"] })).await;
        cluster.client = cluster.make_token(json!({ "role": "client", "client": "tester" })).await;
        cluster
    }

    fn begin(size: usize, options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("secret"), random_secret()).expect("the secret can be written");
        let mut settings = options.settings;
        settings.push(("HAPI_ISSUER".into(), "https://registry.example".into()));
        settings.push(("HAPI_CLUSTER_BOOTSTRAP_EXPECT".into(), size.to_string()));
        let none = String::new;
        let mut cluster = Self {
            folder,
            nodes: (0..size).map(|_| None).collect(),
            settings,
            operator: none(),
            moderator: none(),
            publisher: none(),
            client: none(),
        };
        (0..size).for_each(|place| cluster.restart(place));
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

    /// The settings that every node gets.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
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
        self.nodes[place].take().expect("the node runs").kill();
    }

    /// Stops the node at `place` in good order.
    pub fn stop(&mut self, place: usize) {
        let status = self.nodes[place].take().expect("the node runs").stop();
        assert!(status.success(), "a node that was asked to stop ended with {status}");
    }

    /// Starts the node at `place` on what it left behind.
    pub fn restart(&mut self, place: usize) {
        let join: Vec<_> = self.nodes.iter().flatten().map(|node| node.peer().to_owned()).collect();
        self.nodes[place] = Some(Node::start(&self.data(place), &self.secret(), &join, &self.settings));
    }

    /// Starts one more node, which joins.
    pub fn grow(&mut self) -> usize {
        self.nodes.push(None);
        let place = self.size() - 1;
        self.restart(place);
        place
    }

    /// Waits until every running node says that it is ready.
    pub async fn wait_ready(&self) {
        for place in self.running() {
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

    /// The text of the client's token.
    pub fn client_token(&self) -> &str {
        &self.client
    }

    /// The place of the leader, once there is one.
    pub async fn leader(&self) -> usize {
        wait_until("the cluster has a leader", async || {
            for place in self.running() {
                let status = self.status(place).await?;
                if status.status == 200 && status.body["node"]["role"] == "leader" {
                    return Some(place);
                }
            }
            None
        })
        .await
    }

    /// What the node at `place` says of the cluster, if it answers.
    pub async fn status(&self, place: usize) -> Option<Answer> {
        let door = self.operator(place);
        door.try_send(door.request(reqwest::Method::GET, "/v1/cluster")).await.ok()
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
