//! A cluster whose issuer's URL leads to it, with short lives.

use hapi_client::{Client, ConnectError, ConnectRequest};
use hapi_cluster_tests::{Cluster, FrontDoor, Metrics, Options};
use serde_json::{Value, json};

use crate::server::{Almanac, Feed};

/// The shortest life of a descriptor that there is, in seconds.
pub(crate) const TTL: u64 = 30;

/// A registry, and the door that its issuer's URL leads to.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) door: FrontDoor,
}

impl World {
    pub(crate) async fn start(size: usize) -> Self {
        let door = FrontDoor::open().await;
        let options = Options::default().set("HAPI_ISSUER", door.url());
        Self::around(Cluster::start_with(size, options).await, door).await
    }

    /// Takes a cluster in.
    pub(crate) async fn around(cluster: Cluster, door: FrontDoor) -> Self {
        door.lead_to(cluster.whereabouts());
        let settings = json!({ "allow_insecure_endpoints": true, "ttl_default": TTL });
        cluster.operator(0).patch("/v1/settings", &settings).await.ok();
        Self { cluster, door }
    }

    /// A server that knows every node.
    pub(crate) async fn almanac(&self, name: &str) -> Almanac {
        self.almanac_with(name, Feed::Strict, &self.nodes()).await
    }

    /// A server that knows only `registries`, published under its name.
    pub(crate) async fn almanac_with(&self, name: &str, feed: Feed, registries: &[String]) -> Almanac {
        let almanac = Almanac::start(name, self.door.url(), feed, registries).await;
        self.cluster.publisher(0).post("/v0.1/publish", &almanac.document()).await.ok();
        almanac.wait_ready(self).await;
        almanac
    }

    /// The base URLs of the nodes that run.
    pub(crate) fn nodes(&self) -> Vec<String> {
        self.cluster.running().into_iter().map(|place| self.cluster.node(place).http().to_owned()).collect()
    }

    /// Our own client, for the holder of a client token.
    pub(crate) fn client(&self, token: &str) -> Client {
        Client::builder().nodes(self.nodes()).credential(token).build().unwrap()
    }

    /// Another registered client, and its token.
    pub(crate) async fn token(&self, client: &str) -> String {
        self.cluster.make_token(json!({ "role": "client", "client": client })).await
    }

    /// A descriptor of the client `tester`.
    pub(crate) async fn descriptor(&self, server: &str) -> String {
        self.connect(server).await.unwrap()
    }

    pub(crate) async fn connect(&self, server: &str) -> Result<String, ConnectError> {
        let request = ConnectRequest { server_ref: server.into(), ..ConnectRequest::default() };
        let boarding = self.client(self.cluster.client_token()).connect(&request).await;
        boarding.map(|boarding| boarding.descriptor)
    }

    pub(crate) async fn moderate(&self, act: &str, kind: &str, id: &str) -> Value {
        self.cluster.moderator(0).moderate(act, kind, id).await.ok()
    }

    /// How often the nodes have decided on connects with this code.
    pub(crate) async fn decisions(&self, code: &str) -> f64 {
        let mut sum = 0.0;
        for place in self.cluster.running() {
            let metrics = Metrics::of(&self.cluster.node(place).door()).await;
            sum += metrics.sum("hapi_connect_decisions_total", &[("code", code)]);
        }
        sum
    }
}
