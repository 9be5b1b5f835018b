//! Receipts, writes that are not sealed yet, and repeated requests.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Answer, Cluster, Door, Options, boot_ns, document, publish_all, turn, wait_until};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const SERVER: &str = "ai.acme/a";

fn act(door: &Door, act: &str) -> RequestBuilder {
    let subject = json!({ "kind": "server", "id": SERVER });
    let body = json!({ "act": act, "subject": subject, "reason": "a test" });
    door.request(Method::POST, "/v1/moderation").json(&body)
}

async fn keyed(door: &Door, name: &str, key: &str) -> Answer {
    door.try_send(act(door, name).header("idempotency-key", key)).await.unwrap()
}

fn covers(receipt: &Value, cover: &str) -> usize {
    receipt["nodes"].as_array().unwrap().iter().filter(|node| node["cover"] == cover).count()
}

async fn stocked(cluster: &Cluster) {
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
}

#[tokio::test]
async fn a_receipt_names_every_node_and_how_it_was_covered() {
    let cluster = Cluster::start(3).await;
    stocked(&cluster).await;
    let receipt = cluster.moderator(1).moderate("suspend", "server", SERVER).await.ok();
    assert_eq!((&receipt["sealed"], covers(&receipt, "confirmed")), (&json!(true), 3), "{receipt}");
    for place in 0..3 {
        let id = cluster.id(place).await;
        let nodes = receipt["nodes"].as_array().unwrap();
        assert!(nodes.iter().any(|node| node["node"] == id.as_str() && node["ms"].is_u64()), "{receipt}");
    }
    let later = cluster.moderator(2).get(&format!("/v1/seals/{}", receipt["index"])).await;
    assert_eq!((later.status, &later.body["sealed"]), (200, &json!(true)), "{}", later.text);
    let lifted = cluster.moderator(0).moderate("reinstate", "server", SERVER).await.ok();
    assert_eq!((&lifted["sealed"], &lifted["nodes"]), (&json!(true), &json!([])), "{lifted}");
    let beyond = cluster.moderator(0).get("/v1/seals/1000000").await;
    assert_eq!((beyond.status, beyond.code()), (404, "not_found"), "{}", beyond.text);
}

#[tokio::test]
async fn a_key_used_twice_gives_the_first_answer_and_no_other_command() {
    let cluster = Cluster::start(3).await;
    stocked(&cluster).await;
    let first = keyed(&cluster.moderator(0), "suspend", "case-1").await.ok();
    let lifted = cluster.moderator(1).moderate("reinstate", "server", SERVER).await.ok();
    let again = keyed(&cluster.moderator(2), "suspend", "case-1").await.ok();
    assert_eq!(first["index"], again["index"], "the act is not done again");
    let ask = json!({ "server_ref": SERVER, "min_index": lifted["index"] });
    cluster.client(0).post("/v1/connect", &ask).await.ok();
    let other = keyed(&cluster.moderator(0), "quarantine", "case-1").await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"), "{}", other.text);
    let next = keyed(&cluster.moderator(0), "suspend", "case-2").await.ok();
    assert!(next["index"].as_u64() > first["index"].as_u64());
}

#[tokio::test]
async fn a_publication_repeated_under_its_key_is_the_first_one_and_without_it_a_conflict() {
    let cluster = Cluster::start(3).await;
    let publish = async |place: usize, key: Option<&str>| {
        let door = cluster.publisher(place);
        let request = door.request(Method::POST, "/v0/publish").json(&document(SERVER, "1.0.0"));
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        door.try_send(request).await.unwrap()
    };
    let first = publish(0, Some("release-1")).await.ok();
    for place in 0..3 {
        assert_eq!(publish(place, Some("release-1")).await.ok(), first, "node {place}");
    }
    let cases = [(None, "version_exists"), (Some("release-2"), "version_exists")];
    for (key, code) in cases {
        let again = publish(1, key).await;
        assert_eq!((again.status, again.code()), (400, code), "{key:?}: {}", again.text);
    }
}

/// A write at `door` whose caller does not wait: not sealed, and where to ask.
async fn unsealed(door: &Door, name: &str) -> (u64, String) {
    let response = act(door, name).header("prefer", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert!(response.headers().contains_key("retry-after"));
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let index = body["index"].as_u64().unwrap();
    assert_eq!((&body["code"], &body["status"]), (&json!("not_sealed"), &json!(202)), "{body}");
    assert_eq!(location, format!("/v1/seals/{index}"));
    assert_eq!(body["seal"], location.as_str(), "{body}");
    (index, location)
}

#[tokio::test]
async fn a_write_is_202_until_the_lease_of_a_node_that_was_cut_off_has_ended() {
    let _turn = turn().await;
    let Some(cluster) = Cluster::separable(3, Options::default()).await else { return };
    stocked(&cluster).await;
    let leader = cluster.leader().await;
    let cut_off = cluster.other_than(leader);
    cluster.cut(&[cut_off]);
    let (index, location) = unsealed(&cluster.moderator(leader), "suspend").await;
    // "Already suspended" is not yet "nobody issues any more".
    let (repeated, _) = unsealed(&cluster.moderator(leader), "suspend").await;
    assert_eq!(repeated, index);
    let now = cluster.moderator(leader).get(&location).await;
    assert_eq!((now.status, now.body["code"].as_str()), (202, Some("not_sealed")), "{}", now.text);
    let asked = boot_ns();
    let receipt = wait_until("the write is sealed", async || {
        let door = cluster.moderator(leader);
        let request = door.request(Method::GET, &location).header("prefer", "wait=60");
        let answer = door.try_send(request).await.unwrap();
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    eprintln!("sealed {} ms later: {receipt}", (boot_ns() - asked) / 1_000_000);
    assert_eq!((covers(&receipt, "confirmed"), covers(&receipt, "lease_expired")), (2, 1), "{receipt}");
    cluster.moderator(leader).moderate("suspend", "server", SERVER).await.ok();
    cluster.heal();
}
