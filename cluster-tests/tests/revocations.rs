//! The revocation feed: what is out can be called dead, by a node that may decide and by no other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, boot_ns, document, ms_between, publish_all, wait_until};
use hapi_descriptor::{
    Dead, Expectations, Floors, KeySet, Revocations, Verified, subject_hash, verify, verify_revocations,
};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const ISSUER: &str = "https://registry.example";
const SERVER: &str = "ai.acme/a";
const RESOURCE: &str = "https://ai.acme.a.example/mcp";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn stocked(size: usize) -> Cluster {
    let cluster = Cluster::start(size).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    cluster
}

async fn keys(cluster: &Cluster, place: usize) -> KeySet {
    let set = cluster.node(place).door().get("/.well-known/jwks.json").await.text;
    KeySet::from_jwks(set.as_bytes()).unwrap()
}

/// The message of a node, verified with the keys that it publishes.
async fn message(cluster: &Cluster, place: usize, since: u64) -> Revocations {
    let answer = cluster.node(place).door().get(&format!("/v1/revocations?since={since}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    verify_revocations(&answer.text, &keys(cluster, place).await, ISSUER, now()).unwrap()
}

async fn floors(cluster: &Cluster, place: usize) -> Floors {
    let mut floors = Floors::default();
    floors.merge(&message(cluster, place, 0).await).unwrap();
    floors
}

async fn descriptor(cluster: &Cluster, place: usize) -> Verified {
    let keys = keys(cluster, place).await;
    let answer = cluster.client(place).connect(SERVER).await.ok();
    let expected = Expectations { issuer: ISSUER, audience: RESOURCE, server: Some(SERVER) };
    verify(answer["descriptor"].as_str().unwrap(), &keys, &expected, now()).unwrap()
}

#[tokio::test]
async fn what_was_issued_before_a_suspension_is_dead_and_stays_dead() {
    let cluster = stocked(3).await;
    let before = descriptor(&cluster, 0).await;
    assert_eq!(floors(&cluster, 0).await.is_dead(&before), None);
    let receipt = cluster.moderator(1).moderate("suspend", "server", SERVER).await.ok();
    // Acknowledged: whichever node is asked knows it.
    for place in cluster.running() {
        let message = message(&cluster, place, 0).await;
        let floor = message.min_seq[&subject_hash(ISSUER, "server", SERVER)];
        assert_eq!(floor & ((1 << 40) - 1), receipt["index"].as_u64().unwrap());
        assert!(message.full && message.seq.get() >= floor);
        assert_eq!(floors(&cluster, place).await.is_dead(&before), Some(Dead::Server));
    }
    cluster.moderator(2).moderate("reinstate", "server", SERVER).await.ok();
    let after = wait_until("the server is reached again", async || {
        let answer = cluster.client(0).connect(SERVER).await;
        if answer.status == 200 { Some(descriptor(&cluster, 0).await) } else { None }
    })
    .await;
    let floors = floors(&cluster, 0).await;
    assert_eq!((floors.is_dead(&before), floors.is_dead(&after)), (Some(Dead::Server), None));
}

#[tokio::test]
async fn each_kind_of_denial_kills_what_it_concerns() {
    let cluster = stocked(1).await;
    let operator = cluster.operator(0);
    operator.put("/v1/tenants/globex", &json!({})).await.ok();
    let tenanted =
        cluster.make_token(json!({ "role": "client", "client": "tess", "tenant": "globex" })).await;
    let by = async |token: &str| {
        let keys = keys(&cluster, 0).await;
        let answer = cluster.client(0).with_token(token).connect(SERVER).await.ok();
        let expected = Expectations { issuer: ISSUER, audience: RESOURCE, server: None };
        verify(answer["descriptor"].as_str().unwrap(), &keys, &expected, now()).unwrap()
    };
    let brief = cluster.make_token(json!({ "role": "client", "client": "brief" })).await;
    let id = brief.split('_').nth(2).unwrap();
    let (of_brief, of_tess) = (by(&brief).await, by(&tenanted).await);
    operator.delete(&format!("/v1/tokens/{id}")).await.ok();
    assert_eq!(floors(&cluster, 0).await.is_dead(&of_brief), Some(Dead::Client));
    assert_eq!(floors(&cluster, 0).await.is_dead(&of_tess), None);
    operator.put("/v1/tenants/globex", &json!({ "block": ["org.*"] })).await.ok();
    assert_eq!(floors(&cluster, 0).await.is_dead(&of_tess), Some(Dead::Tenant));
    let of_tess = by(&tenanted).await;
    operator.patch("/v1/settings", &json!({ "governed": "verified" })).await.ok();
    assert_eq!(floors(&cluster, 0).await.is_dead(&of_tess), Some(Dead::Namespace));
}

#[tokio::test]
async fn a_revoked_key_is_listed_and_the_next_one_says_so() {
    let cluster = stocked(1).await;
    let before = descriptor(&cluster, 0).await;
    wait_until("a spare is there", async || {
        let keys = cluster.operator(0).get("/v1/keys").await.ok();
        keys["keys"].as_array().unwrap().iter().any(|key| key["state"] == "prepared").then_some(())
    })
    .await;
    cluster
        .operator(0)
        .post(&format!("/v1/keys/{}/revoke", before.kid), &json!({ "reason": "stolen" }))
        .await
        .ok();
    let message = wait_until("the spare signs the feed", async || {
        let answer = cluster.node(0).door().get("/v1/revocations").await;
        (answer.status == 200).then_some(answer.text)
    })
    .await;
    let message = verify_revocations(&message, &keys(&cluster, 0).await, ISSUER, now()).unwrap();
    assert!(message.revoked_keys.contains(&before.kid));
    let mut floors = Floors::default();
    floors.merge(&message).unwrap();
    assert_eq!(floors.is_dead(&before), Some(Dead::Key));
}

#[tokio::test]
async fn whoever_knows_most_is_sent_the_rest() {
    let cluster = stocked(1).await;
    cluster.moderator(0).moderate("suspend", "server", SERVER).await.ok();
    let all = message(&cluster, 0, 0).await;
    assert!(all.full && all.since == 0);
    cluster.moderator(0).moderate("suspend", "namespace", "ai.acme").await.ok();
    let rest = message(&cluster, 0, all.seq.index()).await;
    assert!(!rest.full && rest.since <= all.seq.index());
    assert!(rest.min_seq.contains_key(&subject_hash(ISSUER, "namespace", "ai.acme")));
    let beyond = message(&cluster, 0, rest.seq.index() + 1_000).await;
    assert!(beyond.full, "a reader that is ahead of this node is told all it knows");
    let bad = cluster.node(0).door().get("/v1/revocations?since=soon").await;
    assert_eq!((bad.status, bad.code()), (400, "invalid_request"));
}

#[tokio::test]
async fn the_message_is_signed_anew_within_a_second_and_has_a_tag() {
    let cluster = stocked(1).await;
    let door = cluster.node(0).door();
    let first = message(&cluster, 0, 0).await;
    let begun = Instant::now();
    wait_until("a later message comes", async || {
        (message(&cluster, 0, 0).await.iat > first.iat).then_some(())
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let response = door.request(Method::GET, "/v1/revocations").send().await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/jwt");
    let tag = response.headers()[header::ETAG].clone();
    let again = door.request(Method::GET, "/v1/revocations").header(header::IF_NONE_MATCH, tag.clone());
    let again = again.send().await.unwrap();
    // Unless it was signed anew between the two.
    assert!(again.status() == StatusCode::NOT_MODIFIED || again.headers()[header::ETAG] != tag);
}

/// A stream of events.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(cluster: &Cluster, place: usize, last: Option<u64>) -> Self {
        let request = cluster.node(place).door().request(Method::GET, "/v1/revocations/stream");
        let request = match last {
            Some(last) => request.header("last-event-id", last.to_string()),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event: its type, id and data. `None` when the stream has ended.
    async fn next(&mut self) -> Option<(String, u64, String)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                    line.unwrap_or_default().trim().to_owned()
                };
                let event = (field("event"), field("id").parse().unwrap(), field("data"));
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_tells_of_a_denial_at_once_and_of_life_each_second() {
    let cluster = stocked(1).await;
    let keys = keys(&cluster, 0).await;
    let mut events = Events::open(&cluster, 0, None).await;
    let mut floors = Floors::default();
    for _ in 0..3 {
        let asked = Instant::now();
        let (kind, id, data) = events.next().await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        let message = verify_revocations(&data, &keys, ISSUER, now()).unwrap();
        assert_eq!((kind.as_str(), id), ("revocations", message.seq.index()));
        floors.merge(&message).unwrap();
    }
    let before = descriptor(&cluster, 0).await;
    cluster.moderator(0).moderate("suspend", "server", SERVER).await.ok();
    let acknowledged = boot_ns();
    while floors.is_dead(&before).is_none() {
        let (_, _, data) = events.next().await.unwrap();
        floors.merge(&verify_revocations(&data, &keys, ISSUER, now()).unwrap()).unwrap();
    }
    let ms = ms_between(acknowledged, boot_ns());
    assert!(ms < 1_000.0, "{ms} ms after the acknowledgement");
    let (_, last, _) = events.next().await.unwrap();
    let mut resumed = Events::open(&cluster, 0, Some(last)).await;
    let message = verify_revocations(&resumed.next().await.unwrap().2, &keys, ISSUER, now()).unwrap();
    assert!(!message.full && message.since <= last);
}

#[tokio::test]
async fn in_strict_mode_a_majority_stands_behind_each_message() {
    let cluster = stocked(3).await;
    cluster.operator(0).patch("/v1/settings", &json!({ "strict": true })).await.ok();
    let before = descriptor(&cluster, 1).await;
    cluster.moderator(0).moderate("suspend", "server", SERVER).await.ok();
    let first = message(&cluster, 1, 0).await;
    let later = wait_until("a later message comes", async || {
        Some(message(&cluster, 1, 0).await).filter(|message| message.iat > first.iat)
    })
    .await;
    let mut floors = Floors::default();
    floors.merge(&later).unwrap();
    assert_eq!(floors.is_dead(&before), Some(Dead::Server));
}

#[tokio::test]
async fn a_node_that_is_to_stop_waits_for_no_stream() {
    let mut cluster = stocked(1).await;
    let mut events = Events::open(&cluster, 0, None).await;
    events.next().await.unwrap();
    let begun = Instant::now();
    cluster.stop(0);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    while events.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_cluster_falls_silent_when_its_lease_ends() {
    let mut cluster = stocked(3).await;
    let leader = cluster.leader().await;
    let last = cluster.other_than(leader);
    let mut events = Events::open(&cluster, last, None).await;
    for place in cluster.running() {
        if place != last {
            cluster.kill(place);
        }
    }
    let killed = Instant::now();
    let refusal: Value = wait_until("the node says nothing more", async || {
        let answer = cluster.node(last).door().get("/v1/revocations").await;
        if answer.status == 200 { None } else { Some(answer.body) }
    })
    .await;
    assert!(killed.elapsed() < Duration::from_secs(6), "{:?}", killed.elapsed());
    assert_eq!((&refusal["code"], &refusal["status"]), (&json!("no_serving_lease"), &json!(503)));
    while events.next().await.is_some() {}
    assert!(killed.elapsed() < Duration::from_secs(8), "{:?}", killed.elapsed());
    let stream = cluster.node(last).door().get("/v1/revocations/stream").await;
    assert_eq!((stream.status, stream.code()), (503, "no_serving_lease"));
}
