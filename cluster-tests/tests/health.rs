//! The health gate: whoever does not answer is not connected to, until it answers again, whoever leads.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use axum::{Router, extract::State, http::StatusCode};
use hapi_cluster_tests::{Answer, Cluster, Metrics, Options, document, turn, wait_until};
use serde_json::{Value, json};
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};
use tokio::net::TcpListener;

/// Never answers, instead of a status.
const HANGS: u16 = 0;

/// An MCP endpoint of a mood that can change.
#[derive(Clone, Default)]
struct Endpoint {
    name: &'static str,
    url: String,
    mood: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

async fn answer(State(endpoint): State<Endpoint>) -> StatusCode {
    endpoint.asked.fetch_add(1, Ordering::Relaxed);
    match endpoint.mood.load(Ordering::Relaxed) {
        HANGS => pending().await,
        status => StatusCode::from_u16(status).unwrap(),
    }
}

impl Endpoint {
    async fn open(name: &'static str, mood: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let endpoint = Self { name, url, mood: Arc::new(mood.into()), ..Self::default() };
        let router = Router::new().fallback(answer).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        endpoint
    }

    /// One that ends every connection.
    async fn closing(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Self { name, url, ..Self::default() }
    }

    fn becomes(&self, mood: u16) {
        self.mood.store(mood, Ordering::Relaxed);
    }

    fn document(&self, version: &str) -> Value {
        let mut document = document(self.name, version);
        document["remotes"] = json!([{ "type": "streamable-http", "url": self.url }]);
        document
    }
}

/// As fast as it may be, and after two failures.
fn gate(state: &str) -> Value {
    json!({
        "health_gate": state, "health_interval": 5, "health_timeout_ms": 400, "health_failures": 2, "health_successes": 1,
    })
}

async fn start(size: usize, allow_private: &str, endpoints: &[&Endpoint]) -> Cluster {
    let options = Options::default().set("HAPI_OUTBOUND_ALLOW_PRIVATE", allow_private);
    let cluster = Cluster::start_with(size, options).await;
    cluster.operator(0).patch("/v1/settings", &json!({ "allow_insecure_endpoints": true })).await.ok();
    for endpoint in endpoints {
        cluster.publisher(0).post("/v0.1/publish", &endpoint.document("1.0.0")).await.ok();
    }
    cluster.wait_leases(&cluster.running()).await;
    cluster
}

async fn connect(cluster: &Cluster, place: usize, endpoint: &Endpoint) -> Answer {
    cluster.client(place).connect(endpoint.name).await
}

/// Waits until every node that runs answers a connect with this code.
async fn until(cluster: &Cluster, endpoint: &Endpoint, code: &str) {
    for place in cluster.running() {
        wait_until(&format!("node {place} answers {code} for {}", endpoint.name), async || {
            let answer = connect(cluster, place, endpoint).await;
            assert!(["ok", "server_unavailable"].contains(&answer.code()), "{}", answer.text);
            (answer.code() == code).then_some(())
        })
        .await;
    }
}

async fn shown(cluster: &Cluster, place: usize, endpoint: &Endpoint) -> Value {
    let path = format!("/v0.1/servers/{}/versions/latest", endpoint.name.replace('/', "%2F"));
    cluster.client(place).get(&path).await.ok()["_meta"]["ai.com.mcp/governance"].clone()
}

async fn sum(cluster: &Cluster, name: &str, labels: &[(&str, &str)]) -> f64 {
    let mut sum = 0.0;
    for place in cluster.running() {
        sum += Metrics::of(&cluster.node(place).door()).await.sum(name, labels);
    }
    sum
}

/// What became of which server, by the events.
async fn transitions(cluster: &Cluster, place: usize) -> Vec<(String, String)> {
    let events = cluster.operator(place).get("/v1/events?limit=1000").await.ok()["events"].clone();
    let noted = events.as_array().unwrap().iter().filter(|event| event["act"] == "note_health").cloned();
    noted
        .flat_map(|event| {
            assert_eq!((&event["kind"], &event["actor"]), (&json!("servers"), &json!("system")));
            event["subjects"].as_array().unwrap().clone()
        })
        .map(|one| (one["subject"].as_str().unwrap().into(), one["outcome"].as_str().unwrap().into()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_not_connected_to_whoever_leads() {
    let _turn = turn().await;
    let well = Endpoint::open("ai.acme/well", 200).await;
    let asks = Endpoint::open("ai.acme/asks", 401).await;
    let hangs = Endpoint::open("ai.acme/hangs", HANGS).await;
    let broken = Endpoint::open("ai.acme/broken", 502).await;
    let closes = Endpoint::closing("ai.acme/closes").await;
    let mut cluster = start(3, "true", &[&well, &asks, &hangs, &broken, &closes]).await;
    for endpoint in [&well, &asks, &hangs, &broken, &closes] {
        assert_eq!(connect(&cluster, 0, endpoint).await.code(), "ok", "nobody is asked without the gate");
    }
    assert_eq!(well.asked.load(Ordering::Relaxed), 0);

    cluster.operator(0).patch("/v1/settings", &gate("on")).await.ok();
    for endpoint in [&hangs, &broken, &closes] {
        until(&cluster, endpoint, "server_unavailable").await;
    }
    let refused = connect(&cluster, 0, &hangs).await;
    assert_eq!((refused.status, &refused.body["retry_after"]), (503, &json!(5)), "{}", refused.text);
    let form = [("grant_type", "client_credentials"), ("resource", hangs.url.as_str())];
    let door = cluster.node(0).door();
    let token = door.form("/oauth2/token", &form).basic_auth("tester", Some(cluster.client_token()));
    let token = door.try_send(token).await.unwrap();
    assert_eq!((token.status, &token.body["error"]), (503, &json!("temporarily_unavailable")));
    for (endpoint, fault) in [(&hangs, "timeout"), (&broken, "status_502"), (&closes, "unreachable")] {
        let shown = shown(&cluster, 1, endpoint).await;
        assert_eq!((&shown["health"]["status"], &shown["health"]["fault"]), (&json!("down"), &json!(fault)));
        assert_eq!(shown["connectable"], false);
    }
    for endpoint in [&well, &asks] {
        until(&cluster, endpoint, "ok").await;
        assert_eq!(shown(&cluster, 1, endpoint).await["health"], Value::Null);
    }
    for outcome in ["alive", "unreachable", "timeout", "status"] {
        assert!(sum(&cluster, "hapi_health_probes_total", &[("outcome", outcome)]).await >= 2.0, "{outcome}");
    }
    let told = transitions(&cluster, 0).await;
    assert_eq!(told.len(), 3, "only what changes is in the log: {told:?}");
    assert!(told.contains(&("server/ai.acme/hangs".into(), "down".into())), "{told:?}");

    // What may not be reached is not told to come back later.
    cluster.moderator(0).moderate("suspend", "server", broken.name).await.ok();
    assert_eq!(connect(&cluster, 0, &broken).await.code(), "server_revoked");
    cluster.moderator(0).moderate("reinstate", "server", broken.name).await.ok();

    let leader = cluster.leader().await;
    cluster.kill(leader);
    let survivors = cluster.running();
    cluster.leader_among(&survivors).await;
    cluster.wait_leases(&survivors).await;
    for endpoint in [&hangs, &broken, &closes] {
        assert_eq!(
            connect(&cluster, survivors[0], endpoint).await.code(),
            "server_unavailable",
            "as it was known"
        );
    }
    hangs.becomes(403);
    well.becomes(503);
    until(&cluster, &hangs, "ok").await;
    until(&cluster, &well, "server_unavailable").await;
    wait_until("each node shows how many are down", async || {
        (sum(&cluster, "hapi_servers_down", &[]).await == 3.0 * survivors.len() as f64).then_some(())
    })
    .await;

    // Another endpoint is not known to be down.
    let moved = Endpoint { name: broken.name, ..Endpoint::open("", 200).await };
    cluster.publisher(survivors[0]).post("/v0.1/publish", &moved.document("2.0.0")).await.ok();
    until(&cluster, &broken, "ok").await;

    cluster.operator(survivors[0]).patch("/v1/settings", &gate("off")).await.ok();
    for endpoint in [&well, &hangs, &closes] {
        assert_eq!(connect(&cluster, survivors[0], endpoint).await.code(), "ok");
    }
    let asked = well.asked.load(Ordering::Relaxed);
    wait_until("nobody counts as down", async || {
        (sum(&cluster, "hapi_servers_down", &[]).await == 0.0).then_some(())
    })
    .await;
    assert!(well.asked.load(Ordering::Relaxed) <= asked + 2, "what was under way is asked at the most");
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_leader_may_not_ask_nobody_is_called_down() {
    let well = Endpoint::open("ai.acme/well", 200).await;
    let cluster = start(1, "false", &[&well]).await;
    cluster.operator(0).patch("/v1/settings", &gate("on")).await.ok();
    wait_until("it would have been asked three times", async || {
        let outcome = [("outcome", "not_allowed")];
        (sum(&cluster, "hapi_health_probes_total", &outcome).await >= 3.0).then_some(())
    })
    .await;
    assert_eq!(connect(&cluster, 0, &well).await.code(), "ok");
    assert_eq!(well.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_nobody_calls_nobody_down_and_settings_have_bounds() {
    const NAMES: [&str; 5] = ["ai.acme/a", "ai.acme/b", "ai.acme/c", "ai.acme/d", "ai.acme/e"];
    let mut endpoints = Vec::new();
    for name in NAMES {
        endpoints.push(Endpoint::open(name, 500).await);
    }
    let cluster = start(1, "true", &endpoints.iter().collect::<Vec<_>>()).await;
    let operator = cluster.operator(0);
    for (name, value) in [
        ("health_interval", json!(4)),
        ("health_interval", json!(3_601)),
        ("health_timeout_ms", json!(99)),
        ("health_failures", json!(0)),
        ("health_successes", json!(11)),
        ("health_gate", json!("maybe")),
        ("health_gate_servers", json!("ai.acme/*")),
    ] {
        let answer = operator.patch("/v1/settings", &json!({ name: value })).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{name} {}", answer.text);
    }
    let gate = json!({ "health_gate_servers": ["ai.acme/*"], "health_interval": 5, "health_failures": 3 });
    operator.patch("/v1/settings", &gate).await.ok();
    wait_until("the node knows that it is blind", async || {
        (sum(&cluster, "hapi_health_blind", &[]).await == 1.0).then_some(())
    })
    .await;
    wait_until("each was asked more often than it may fail", async || {
        (sum(&cluster, "hapi_health_probes_total", &[("outcome", "status")]).await >= 20.0).then_some(())
    })
    .await;
    assert_eq!(connect(&cluster, 0, &endpoints[0]).await.code(), "ok");
    endpoints[0].becomes(200);
    until(&cluster, &endpoints[1], "server_unavailable").await;
    assert_eq!(sum(&cluster, "hapi_health_blind", &[]).await, 0.0);
    operator.patch("/v1/settings", &json!({ "health_gate_exempt": ["*/b"] })).await.ok();
    assert_eq!(connect(&cluster, 0, &endpoints[1]).await.code(), "ok");
    assert_eq!(operator.get("/v1/settings").await.ok()["health_gate_exempt"], json!(["*/b"]));
}
