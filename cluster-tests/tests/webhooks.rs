//! Others are told of what is done: in order, nothing left out, whoever leads and however badly they listen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hapi_cluster_tests::{Cluster, Options, document, publish_all, wait_until};
use hapi_descriptor::KeySet;
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};
use tokio::net::TcpListener;

/// How many acts are told of, unless `HAPI_WEBHOOK_EVENTS` says otherwise.
const ACTS: usize = 300;

/// One call, as it came.
#[derive(Clone, Debug)]
struct Call {
    id: String,
    body: Value,
}

/// Somebody who is told, and fails as many calls of a hundred as it is set to: half of them before it has taken what it
/// was told, half of them afterwards.
#[derive(Clone, Default)]
struct Receiver {
    url: String,
    taken: Arc<Mutex<Vec<Call>>>,
    raw: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    failing: Arc<AtomicU32>,
    failed: Arc<AtomicUsize>,
}

impl Receiver {
    async fn open(failing: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, failing: Arc::new(failing.into()), ..Self::default() };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn fail(&self, failing: u32) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// The indexes of what came, each where it came first.
    fn indexes(&self) -> Vec<u64> {
        let (mut first, mut indexes) = (BTreeMap::new(), Vec::new());
        for Call { id, body } in self.taken.lock().unwrap().iter() {
            match first.get(id) {
                Some(known) => assert_eq!(known, body, "{id} says something else the second time"),
                None => {
                    first.insert(id.clone(), body.clone());
                    indexes.push(body["data"]["index"].as_u64().unwrap());
                }
            }
        }
        indexes
    }

    fn calls(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// Every call verifies as Standard Webhooks do, with the key that it names.
    fn assert_signed(&self, keys: &KeySet) {
        let raw = self.raw.lock().unwrap();
        assert!(!raw.is_empty());
        for (headers, body) in raw.iter() {
            let text = |name: &str| headers[name].to_str().unwrap();
            let signature = text("webhook-signature").strip_prefix("v1a,").unwrap();
            let signature: [u8; 64] = BASE64_STANDARD.decode(signature).unwrap().try_into().unwrap();
            let signed =
                [text("webhook-id").as_bytes(), text("webhook-timestamp").as_bytes(), body].join(&b'.');
            let key = keys.get(text("webhook-key-id")).unwrap();
            assert!(key.verifies(&signed, &signature), "{headers:?}");
            assert!(!key.verifies(&signed[1..], &signature));
        }
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, bytes: Bytes) -> StatusCode {
    let chance = rand::random::<u32>() % 100;
    let failing = receiver.failing.load(Ordering::Relaxed);
    receiver.raw.lock().unwrap().push((headers.clone(), bytes.clone()));
    if chance < failing {
        receiver.failed.fetch_add(1, Ordering::Relaxed);
    }
    if chance < failing.div_ceil(2) {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let body = serde_json::from_slice(&bytes).unwrap();
    receiver.taken.lock().unwrap().push(Call { id, body });
    if chance < failing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}

/// Nodes that may tell somebody on this machine.
async fn cluster(size: usize) -> Cluster {
    Cluster::start_with(size, Options::default().set("HAPI_OUTBOUND_ALLOW_PRIVATE", "true")).await
}

async fn keys(cluster: &Cluster, place: usize) -> KeySet {
    let set = cluster.node(place).door().get("/.well-known/jwks.json").await.text;
    KeySet::from_jwks(set.as_bytes()).unwrap()
}

/// What the audit says was done, by its indexes.
async fn done(cluster: &Cluster, place: usize) -> Vec<u64> {
    let (mut indexes, mut after) = (Vec::new(), 0);
    loop {
        let page = cluster.operator(place).get(&format!("/v1/audit?limit=1000&after={after}")).await.ok();
        let records = page["records"].as_array().unwrap();
        let done = records.iter().filter(|record| record["outcome"] == "done");
        indexes.extend(done.map(|record| record["index"].as_u64().unwrap()));
        match records.last() {
            Some(last) => after = last["index"].as_u64().unwrap(),
            None => return indexes,
        }
    }
}

async fn webhook(cluster: &Cluster, id: &str) -> Option<Value> {
    for place in cluster.awake() {
        let door = cluster.operator(place);
        let answer = door.try_send(door.request(Method::GET, "/v1/webhooks")).await.ok()?;
        let webhooks = answer.body["webhooks"].as_array()?.clone();
        let told =
            webhooks.into_iter().find(|webhook| webhook["id"] == id && webhook["progress"].is_object());
        if told.is_some() {
            return told;
        }
    }
    None
}

/// Acts that change something, at these places in turn. What becomes of one whose node dies meanwhile, the audit tells.
async fn act(cluster: &Cluster, places: &[usize], count: usize) {
    for number in 0..count {
        let door = cluster.operator(places[number % places.len()]);
        let request = door.request(Method::PUT, &format!("/v1/namespaces/ai.made-{number}"));
        let answer = door.try_send(request.json(&json!({ "private": false }))).await.unwrap();
        assert!(answer.status == 200 || answer.status == 503, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_three_calls_of_ten_gets_everything_in_order_though_the_leader_is_killed() {
    let acts = std::env::var("HAPI_WEBHOOK_EVENTS").map_or(ACTS, |text| text.parse().unwrap());
    let mut cluster = cluster(3).await;
    let receiver = Receiver::open(30).await;
    let body = json!({ "id": "all", "url": receiver.url, "since": 0 });
    cluster.operator(0).post("/v1/webhooks", &body).await.ok();
    act(&cluster, &[0, 1, 2], acts / 2).await;
    wait_until("a part was told", async || (receiver.indexes().len() > acts / 8).then_some(())).await;
    let leader = cluster.leader().await;
    let signers = keys(&cluster, leader).await;
    cluster.kill(leader);
    let survivors = cluster.running();
    let next = cluster.leader_among(&survivors).await;
    act(&cluster, &survivors, acts / 2).await;
    let expected = done(&cluster, next).await;
    // Others know of the last ones too: they make none any more.
    let began = std::time::Instant::now();
    while receiver.indexes().last() < expected.last() {
        assert!(began.elapsed().as_secs() < 120 + acts as u64 / 5, "{:?}", webhook(&cluster, "all").await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(receiver.indexes().starts_with(&expected), "{:?}\n{expected:?}", receiver.indexes());
    receiver.assert_signed(&signers);
    let (calls, failed) = (receiver.raw.lock().unwrap().len(), receiver.failed.load(Ordering::Relaxed));
    assert!(failed > acts / 10, "{failed} of {calls}");
    eprintln!(
        "{} events told in {calls} calls, {failed} of which failed; {} were taken twice or more",
        expected.len(),
        receiver.calls() - receiver.indexes().len()
    );
    receiver.fail(0);
    wait_until("the log knows how far that has come", async || {
        (webhook(&cluster, "all").await?["delivered"].as_u64() >= expected.last().copied()).then_some(())
    })
    .await;
    cluster.restart(leader);
    cluster.wait_ready().await;
    cluster.assert_same_state().await;
}

#[tokio::test]
async fn a_webhook_is_told_what_it_wants_and_may_rest_and_skip() {
    let cluster = cluster(1).await;
    let (operator, receiver) = (cluster.operator(0), Receiver::open(100).await);
    let body =
        json!({ "id": "versions", "url": receiver.url, "kinds": ["version"], "acts": ["pub*", "set_*"] });
    operator.post("/v1/webhooks", &body).await.ok();
    assert_eq!(operator.post("/v1/webhooks", &body).await.code(), "webhook_exists");
    let documents = ["ai.acme/a", "ai.acme/b", "ai.acme/c"].map(|name| document(name, "1.0.0"));
    publish_all(&cluster.publisher(0), &documents).await;
    cluster.moderator(0).moderate("verify", "server", "ai.acme/a").await.ok();
    let stuck = wait_until("it fails and says so", async || {
        webhook(&cluster, "versions").await.filter(|it| it["progress"]["failures"].as_u64() > Some(3))
    })
    .await;
    let error = stuck["progress"]["error"].as_str().unwrap();
    assert!(error.contains("500") || error.contains("503"), "{stuck}");
    let waiting = cluster.node(0).door().get("/metrics").await.text;
    let waits =
        |line: &&str| line.starts_with("hapi_webhook_waiting_since_timestamp_seconds{webhook=\"versions\"}");
    assert!(!waiting.lines().find(waits).unwrap().ends_with(" 0"));
    // It is left out what was published first, and told while it rests of nothing.
    let events = operator.get("/v1/events?limit=1000").await.ok();
    let published = events["events"].as_array().unwrap().iter().filter(|event| event["act"] == "publish");
    let published: Vec<_> = published.map(|event| event["index"].as_u64().unwrap()).collect();
    let mut change =
        json!({ "url": receiver.url, "kinds": ["version"], "active": false, "skip_to": published[0] });
    operator.put("/v1/webhooks/versions", &change).await.ok();
    wait_until("nobody tells it", async || webhook(&cluster, "versions").await.is_none().then_some(())).await;
    receiver.fail(0);
    receiver.taken.lock().unwrap().clear();
    change["active"] = json!(true);
    change.as_object_mut().unwrap().remove("skip_to");
    operator.put("/v1/webhooks/versions", &change).await.ok();
    wait_until("it was told of two", async || (receiver.indexes() == published[1..]).then_some(())).await;
    let call = receiver.taken.lock().unwrap()[0].clone();
    assert_eq!(call.body["type"], "version.publish");
    assert_eq!(call.body["data"]["subject"], "version/ai.acme/b@1.0.0");
    assert_eq!(call.id, format!("evt_1_{}", published[1]));
    receiver.assert_signed(&keys(&cluster, 0).await);
    operator.delete("/v1/webhooks/versions").await.ok();
    assert_eq!(operator.delete("/v1/webhooks/versions").await.code(), "webhook_not_found");
}

#[tokio::test]
async fn a_url_that_leads_inside_or_holds_a_password_is_not_taken() {
    let cluster = Cluster::start(1).await;
    for url in
        ["http://a.example/", "https://127.0.0.1/", "https://a:b@a.example/", "ftp://a.example/", "hook"]
    {
        let answer = cluster.operator(0).post("/v1/webhooks", &json!({ "id": "a", "url": url })).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{url}: {}", answer.text);
    }
}
