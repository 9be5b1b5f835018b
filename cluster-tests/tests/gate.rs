//! A registry of real nodes, and the gate of an MCP server that has nothing of theirs but their URLs.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test stops at the first surprise and shows its figures"
)]

use axum::{Extension, Router, routing::post};
use hapi_cluster_tests::{Cluster, document, publish_all, wait_until};
use hapi_guard::{Config, FeedPolicy, Guard, Verified};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SERVER: &str = "ai.acme/a";
const ISSUER: &str = "https://registry.example";

/// How soon after its acknowledgement a suspension bites at a gate whose feed is connected.
const BITES_WITHIN: Duration = Duration::from_secs(1);

/// An MCP server behind its gate.
struct Gate {
    url: String,
    http: reqwest::Client,
    _guard: Guard,
}

impl Gate {
    async fn open(cluster: &Cluster, feed: FeedPolicy) -> Self {
        let endpoint = document(SERVER, "1.0.0")["remotes"][0]["url"].as_str().unwrap().to_owned();
        let registries = cluster.running().into_iter().map(|place| cluster.node(place).http().to_owned());
        let config = Config { feed, ..Config::new(ISSUER, SERVER, &endpoint, registries) };
        let guard = Guard::start(config).unwrap();
        guard.ready().await;
        let greet = async |Extension(verified): Extension<Verified>| verified.claims.client.id.clone();
        let app: Router = Router::new().route("/mcp", post(greet)).layer(guard.layer());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, http: reqwest::Client::builder().no_proxy().build().unwrap(), _guard: guard }
    }

    /// Status and code of a request with this descriptor; the body of a success.
    async fn knock(&self, descriptor: &str) -> (u16, String) {
        let answer = self.http.post(&self.url).header("MCP-Connect", descriptor).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        (status, body["code"].as_str().map_or(text, str::to_owned))
    }
}

async fn set(size: usize) -> Cluster {
    let cluster = Cluster::start(size).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster
}

async fn descriptor(cluster: &Cluster, place: usize) -> String {
    let yes = cluster.client(place).connect(SERVER).await.ok();
    yes["descriptor"].as_str().unwrap().to_owned()
}

fn opened() -> (u16, String) {
    (200, "tester".into())
}

#[tokio::test]
async fn a_suspension_bites_at_the_gate_within_a_second_and_a_later_descriptor_opens_it() {
    let cluster = set(3).await;
    let gate = Gate::open(&cluster, FeedPolicy::strict()).await;
    let runs = std::env::var("HAPI_GATE_RUNS").map_or(5, |text| text.parse().unwrap());
    let (mut delays, mut lifted) = (Vec::new(), json!(0));
    for run in 0..runs {
        // Another node may hear a moment later that the server is there again.
        let ask = json!({ "server_ref": SERVER, "min_index": lifted });
        let out = cluster.client(run % 3).post("/v1/connect", &ask).await.ok();
        let out = out["descriptor"].as_str().unwrap().to_owned();
        assert_eq!(gate.knock(&out).await, opened());
        cluster.moderator(run % 3).moderate("suspend", "server", SERVER).await.ok();
        let acknowledged = Instant::now();
        wait_until("the descriptor is refused", async || {
            (gate.knock(&out).await == (403, "descriptor_revoked".into())).then_some(())
        })
        .await;
        delays.push(acknowledged.elapsed());
        let again = cluster.moderator(run % 3).moderate("reinstate", "server", SERVER).await.ok();
        lifted = again["index"].clone();
        let ask = json!({ "server_ref": SERVER, "min_index": lifted });
        let later = cluster.client(run % 3).post("/v1/connect", &ask).await.ok();
        assert_eq!(gate.knock(later["descriptor"].as_str().unwrap()).await, opened());
        assert_eq!(gate.knock(&out).await.1, "descriptor_revoked", "what is dead stays dead");
    }
    delays.sort();
    let at = |quantile: usize| delays[(delays.len() * quantile / 100).min(delays.len() - 1)];
    println!("{runs} suspensions at the gate: p50 {:?}, p99 {:?}", at(50), at(99));
    assert!(at(99) <= BITES_WITHIN, "{delays:?}");
}

#[tokio::test]
async fn what_a_revoked_key_signed_is_dead_at_the_gate() {
    let cluster = set(1).await;
    let gate = Gate::open(&cluster, FeedPolicy::strict()).await;
    let out = descriptor(&cluster, 0).await;
    assert_eq!(gate.knock(&out).await, opened());
    let keys = cluster.operator(0).get("/v1/keys").await.ok();
    let active = keys["keys"].as_array().unwrap().iter().find(|key| key["state"] == "active").unwrap();
    let path = format!("/v1/keys/{}/revoke", active["kid"].as_str().unwrap());
    cluster.operator(0).post(&path, &json!({ "reason": "stolen" })).await.ok();
    wait_until("the key is dead", async || (gate.knock(&out).await.0 != 200).then_some(())).await;
}

#[tokio::test]
async fn without_a_registry_a_strict_gate_closes_and_a_lenient_one_goes_on() {
    let mut cluster = set(1).await;
    let strict = Gate::open(&cluster, FeedPolicy::strict()).await;
    let lenient = Gate::open(&cluster, FeedPolicy::BestEffort).await;
    let out = descriptor(&cluster, 0).await;
    assert_eq!((strict.knock(&out).await, lenient.knock(&out).await), (opened(), opened()));
    cluster.kill(0);
    wait_until("the strict gate knows too little", async || {
        (strict.knock(&out).await.1 == "revocations_stale").then_some(())
    })
    .await;
    assert_eq!(lenient.knock(&out).await, opened());
    assert_eq!(lenient.knock("no.such.thing").await, (401, "descriptor_invalid".into()));
}
