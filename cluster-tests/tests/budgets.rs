//! Budgets of connects, as clients feel them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_client::{Client, ConnectError, ConnectRequest};
use hapi_cluster_tests::{Cluster, Door, Metrics, document, publish_all, shared_turn, wait_until};
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SERVER: &str = "ai.acme/a";
const RESOURCE: &str = "https://ai.acme.a.example/mcp";

/// A no for want of a budget, both ways of saying how long it lasts being the same.
struct Limited {
    body: Value,
    retry_after: u64,
}

async fn stocked(size: usize) -> Cluster {
    let cluster = Cluster::start(size).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    for place in 0..size {
        wait_until(&format!("node {place} decides by itself"), async || {
            cluster.client(place).connect(SERVER).await;
            (decided(&cluster, place, "ok").await > 0.0).then_some(())
        })
        .await;
    }
    cluster
}

async fn set(cluster: &Cluster, patch: Value) {
    cluster.operator(0).patch("/v1/settings", &patch).await.ok();
}

async fn client_of(cluster: &Cluster, client: &str, tenant: Option<&str>) -> String {
    cluster.make_token(json!({ "role": "client", "client": client, "tenant": tenant })).await
}

async fn decided(cluster: &Cluster, place: usize, code: &str) -> f64 {
    let metrics = Metrics::of(&cluster.node(place).door()).await;
    metrics.sum("hapi_connect_decisions_total", &[("code", code)])
}

fn ask(door: &Door, server: &str) -> RequestBuilder {
    door.request(Method::POST, "/v1/connect").json(&json!({ "server_ref": server }))
}

fn ask_oauth(door: &Door, client: &str, token: &str) -> RequestBuilder {
    ask_oauth_for(door, RESOURCE, client, token)
}

fn ask_oauth_for(door: &Door, resource: &str, client: &str, token: &str) -> RequestBuilder {
    let form = format!(
        "grant_type=client_credentials&client_id={client}&client_secret={token}&resource={}",
        resource.replace(':', "%3A").replace('/', "%2F")
    );
    let request = door.request(Method::POST, "/oauth2/token");
    request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
}

/// Sends; a yes, or a no for want of a budget.
async fn send(request: RequestBuilder) -> Result<Value, Limited> {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let header = response.headers().get(header::RETRY_AFTER).cloned();
    let body: Value = response.json().await.unwrap();
    if status == 200 {
        return Ok(body);
    }
    assert_eq!((status, &body["code"]), (429, &json!("rate_limited")), "{body}");
    let retry_after = body["retry_after"].as_u64().unwrap();
    assert_eq!(header.unwrap().to_str().unwrap(), retry_after.to_string());
    assert!(body["index"].as_u64().is_some_and(|index| index > 0), "{body}");
    Err(Limited { body, retry_after })
}

/// Asks until a budget is spent, which is after `share`, and what came back while this went on.
async fn assert_share(share: u64, mut request: impl FnMut() -> RequestBuilder) -> Limited {
    let (began, mut given) = (Instant::now(), 0);
    let limited = loop {
        match send(request()).await {
            Ok(_) => given += 1,
            Err(limited) => break limited,
        }
    };
    let interval = 60.0 / share as f64;
    let back = (began.elapsed().as_secs_f64() / interval) as u64;
    assert!((share..=share + back).contains(&given), "{given} of {share}, {back} came back");
    assert!((1..=interval.ceil() as u64).contains(&limited.retry_after), "{}", limited.body);
    limited
}

#[tokio::test]
async fn a_client_gets_the_share_of_each_node_and_no_more_until_it_is_lifted() {
    let cluster = stocked(3).await;
    let other = client_of(&cluster, "other", None).await;
    set(&cluster, json!({ "client_connects_per_minute": 30 })).await;
    for place in 0..3 {
        let door = cluster.client(place);
        let limited = assert_share(10, || ask(&door, SERVER)).await;
        assert_eq!((&limited.body["error"], &limited.body["status"]), (&json!("rate_limited"), &json!(429)));
        send(ask(&door.with_token(&other), SERVER)).await.ok().expect("another client has its own budget");
        assert_eq!(decided(&cluster, place, "rate_limited").await, 1.0);
        let log = std::fs::read_to_string(cluster.data(place).join("issuance/issuance.jsonl")).unwrap();
        assert!(log.contains("\"ok\"") && !log.contains("rate_limited"), "{log}");
    }
    set(&cluster, json!({ "client_connects_per_minute": 0 })).await;
    for place in 0..3 {
        for _ in 0..20 {
            cluster.client(place).connect(SERVER).await.ok();
        }
    }
}

#[tokio::test]
async fn the_clients_of_a_tenant_share_its_own_budget_in_strict_mode_too() {
    let cluster = stocked(1).await;
    let put = async |policy: Value| cluster.operator(0).put("/v1/tenants/acme", &policy).await.ok();
    put(json!({ "connects_per_minute": 10 })).await;
    set(&cluster, json!({ "tenant_connects_per_minute": 1000, "strict": true })).await;
    let (one, two) =
        (client_of(&cluster, "c1", Some("acme")).await, client_of(&cluster, "c2", Some("acme")).await);
    let door = cluster.node(0).door();
    let mut turn = 0;
    let limited = assert_share(10, || {
        turn += 1;
        ask(&door.with_token(if turn % 2 == 0 { &one } else { &two }), SERVER)
    })
    .await;
    assert!(limited.body["detail"].as_str().unwrap().contains("tenant"), "{}", limited.body);
    cluster.client(0).connect(SERVER).await.ok();
    put(json!({ "connects_per_minute": 0 })).await;
    for _ in 0..20 {
        door.with_token(&one).connect(SERVER).await.ok();
    }
    put(json!({})).await;
    set(&cluster, json!({ "tenant_connects_per_minute": 2 })).await;
    assert_share(2, || ask(&door.with_token(&two), SERVER)).await;
}

#[tokio::test]
async fn a_refused_connect_counts_and_a_stranger_spends_nothing() {
    let cluster = stocked(1).await;
    set(&cluster, json!({ "client_connects_per_minute": 3 })).await;
    let mut stranger = cluster.client_token().to_owned();
    let last = if stranger.ends_with('0') { "1" } else { "0" };
    stranger.replace_range(stranger.len() - 1.., last);
    let door = cluster.client(0);
    for token in [stranger.as_str(), "nonsense", cluster.operator_token()] {
        for _ in 0..10 {
            let status = door.with_token(token).connect(SERVER).await.status;
            assert!(status == 401 || status == 403, "{status}");
        }
    }
    assert_eq!(door.connect("ai.acme/absent").await.status, 404);
    assert_share(2, || ask(&door, SERVER)).await;
    assert_eq!(door.connect("ai.acme/absent").await.status, 429, "nor does it learn what there is");
}

#[tokio::test]
async fn oauth_says_it_in_its_own_words_and_spends_the_same_budget() {
    let cluster = stocked(1).await;
    set(&cluster, json!({ "client_connects_per_minute": 4 })).await;
    let door = cluster.node(0).door();
    let limited = assert_share(4, || ask_oauth(&door, "tester", cluster.client_token())).await;
    assert_eq!(limited.body["error"], "temporarily_unavailable");
    assert_eq!(cluster.client(0).connect(SERVER).await.status, 429);
    let unknown = "https://nobody.example/mcp";
    send(ask_oauth_for(&door, unknown, "tester", cluster.client_token()))
        .await
        .expect_err("nor is it looked for");
    let later = json!({ "server_ref": SERVER, "min_index": 1_u64 << 40 });
    let waited = cluster.client(0).post("/v1/connect", &later).await;
    assert_eq!(waited.code(), "rate_limited", "nor may it wait for what is to come");
}

#[tokio::test]
async fn the_node_that_decides_counts_and_its_answer_is_passed_on_whole() {
    let _turn = shared_turn().await;
    let cluster = Cluster::start_with_leaseless_node().await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    set(&cluster, json!({ "client_connects_per_minute": 15 })).await;
    let door = cluster.client(2);
    let limited = assert_share(5, || ask(&door, SERVER)).await;
    assert_eq!(limited.body["error"], "rate_limited");
    let by_oauth = send(ask_oauth(&cluster.node(2).door(), "tester", cluster.client_token())).await;
    assert_eq!(by_oauth.unwrap_err().body["error"], "temporarily_unavailable");
    assert_eq!(cluster.client(0).connect(SERVER).await.status, 429, "it was the leader's share");
    assert_eq!(decided(&cluster, 0, "rate_limited").await, 3.0);
    let metrics = Metrics::of(&door).await;
    assert!(metrics.sum("hapi_handovers_total", &[("result", "answered")]) >= 7.0);
}

#[tokio::test]
async fn the_client_crate_waits_as_long_as_it_is_told() {
    let cluster = stocked(1).await;
    set(&cluster, json!({ "client_connects_per_minute": 1 })).await;
    let client = Client::builder().nodes([cluster.node(0).http()]).credential(cluster.client_token());
    let client = client.build().unwrap();
    client.connect(&ConnectRequest::new(SERVER)).await.unwrap();
    for _ in 0..3 {
        let error = client.connect(&ConnectRequest::new(SERVER)).await.unwrap_err();
        let ConnectError::RateLimited { retry_after } = error else { panic!("{error:?}") };
        assert!(retry_after > Duration::from_secs(30) && retry_after <= Duration::from_secs(60));
    }
    assert_eq!(decided(&cluster, 0, "rate_limited").await, 1.0, "it asked once and then waited");
}

#[tokio::test]
async fn a_budget_without_measure_is_refused() {
    let cluster = Cluster::start(1).await;
    let operator = cluster.operator(0);
    let large = operator.patch("/v1/settings", &json!({ "client_connects_per_minute": 60_000_001 })).await;
    assert_eq!((large.status, large.code()), (400, "invalid_request"));
    assert!(large.text.contains("client_connects_per_minute is at most 60000000"), "{}", large.text);
    let large = operator.put("/v1/tenants/acme", &json!({ "connects_per_minute": 60_000_001 })).await;
    assert_eq!((large.status, large.code()), (400, "invalid_request"));
    let negative = operator.patch("/v1/settings", &json!({ "tenant_connects_per_minute": -1 })).await;
    assert_eq!((negative.status, negative.code()), (400, "invalid_request"));
    let settings = operator.get("/v1/settings").await.ok();
    assert_eq!(settings["client_connects_per_minute"], 0);
}
