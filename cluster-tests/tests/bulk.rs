//! One act on all that fit a glob.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Answer, Cluster, Door, document, publish_all, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

const SERVERS: [&str; 3] = ["ai.acme/a", "ai.acme/b", "ai.acme/c"];
const OTHER: &str = "ai.other/a";

async fn stocked(size: usize) -> Cluster {
    let cluster = Cluster::start(size).await;
    let documents: Vec<_> = SERVERS.iter().chain([&OTHER]).map(|name| document(name, "1.0.0")).collect();
    publish_all(&cluster.publisher(0), &documents).await;
    cluster.wait_leases(&cluster.running()).await;
    for place in 0..size {
        wait_until(&format!("node {place} knows all that was published"), async || {
            (cluster.client(place).connect(OTHER).await.status == 200).then_some(())
        })
        .await;
    }
    cluster
}

async fn suspend(door: &Door, dry_run: bool, key: &str) -> Answer {
    let subject = json!({ "kind": "server", "glob": "ai.acme/*" });
    let act = json!({ "act": "suspend", "subject": subject, "reason": "a breach", "dry_run": dry_run });
    let request = door.request(Method::POST, "/v1/moderation").header("idempotency-key", key).json(&act);
    door.try_send(request).await.unwrap()
}

async fn newest(cluster: &Cluster, place: usize) -> Value {
    let records = cluster.operator(place).get("/v1/audit?limit=1000").await.ok()["records"].take();
    records.as_array().unwrap().last().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_act_binds_every_node_and_names_every_subject() {
    let cluster = stocked(3).await;
    let follower = cluster.other_than(cluster.leader().await);
    cluster.moderator(follower).moderate("suspend", "server", SERVERS[1]).await.ok();
    let before = newest(&cluster, follower).await;

    let outcome = |server: &str| if server == SERVERS[1] { "unchanged" } else { "done" };
    let subjects: Vec<_> = SERVERS
        .map(|server| json!({ "subject": format!("server/{server}"), "outcome": outcome(server) }))
        .into();
    let rehearsed = suspend(&cluster.moderator(follower), true, "dry").await.ok();
    assert_eq!(rehearsed["dry_run"], json!({ "outcome": "done", "denies": true }));
    assert_eq!(rehearsed["counts"], json!({ "done": 2, "unchanged": 1 }));
    assert_eq!(rehearsed["subjects"], json!(subjects));
    assert_eq!(newest(&cluster, follower).await, before, "a dry run writes nothing");
    assert_eq!(cluster.client(follower).connect(SERVERS[0]).await.status, 200);

    let done = suspend(&cluster.moderator(follower), false, "once").await.ok();
    assert_eq!((&done["sealed"], &done["dry_run"]), (&json!(true), &Value::Null));
    assert_eq!(done["nodes"].as_array().unwrap().len(), 3);
    assert_eq!((&done["counts"], &done["subjects"]), (&rehearsed["counts"], &rehearsed["subjects"]));
    for place in 0..3 {
        for server in SERVERS {
            let answer = cluster.client(place).connect(server).await;
            assert_eq!((answer.status, answer.code()), (403, "server_revoked"), "{place} {server}");
        }
        assert_eq!(cluster.client(place).connect(OTHER).await.status, 200, "{place}");
    }
    let record = newest(&cluster, follower).await;
    assert_eq!((&record["index"], &record["subject"]), (&done["index"], &json!("server/ai.acme/*")));
    assert_eq!(record["subjects"], json!(subjects));

    let again = suspend(&cluster.moderator(follower), false, "once").await.ok();
    assert_eq!((&again["index"], &again["subjects"]), (&done["index"], &done["subjects"]));
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_refuses_what_the_act_would_be_refused() {
    let cluster = stocked(1).await;
    let moderator = cluster.moderator(0);
    let act =
        |act: &str, subject: Value| json!({ "act": act, "subject": subject, "reason": "r", "dry_run": true });
    for (body, status, code) in [
        (act("reinstate", json!({ "kind": "server", "id": OTHER })), 409, "not_moderated"),
        (act("suspend", json!({ "kind": "server", "id": "ai.acme/none" })), 404, "not_found"),
        (act("suspend", json!({ "kind": "server", "glob": "com.nobody/*" })), 404, "not_found"),
        (act("suspend", json!({ "kind": "client", "glob": "*" })), 400, "invalid_request"),
        (act("suspend", json!({ "kind": "server" })), 400, "invalid_request"),
        (act("suspend", json!({ "kind": "server", "id": OTHER, "glob": "*" })), 400, "invalid_request"),
    ] {
        let answer = moderator.post("/v1/moderation", &body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{body}: {}", answer.text);
    }
    let allowed =
        moderator.post("/v1/moderation", &act("verify", json!({ "kind": "server", "id": OTHER }))).await;
    assert_eq!(allowed.ok()["dry_run"], json!({ "outcome": "done", "denies": false }));
    let records = moderator.get("/v1/moderation").await.ok();
    assert_eq!(records["records"], json!([]));
}
