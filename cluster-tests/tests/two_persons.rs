//! What one moderator asks for, another one confirms.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Cluster, document, publish_all};
use serde_json::{Value, json};

const SERVER: &str = "ai.acme/a";

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_binds_once_another_moderator_has_confirmed_it() {
    let cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    cluster.operator(0).patch("/v1/settings", &json!({ "two_person": true })).await.ok();
    let second = cluster.make_token(json!({ "role": "moderator" })).await;

    let asked = cluster.moderator(1).moderate("revoke", "server", SERVER).await;
    assert_eq!((asked.status, &asked.body["code"]), (202, &json!("confirmation_needed")), "{}", asked.text);
    let id = asked.body["request"]["id"].as_u64().unwrap();
    assert_eq!(asked.body["index"], id);
    assert_eq!(cluster.client(1).connect(SERVER).await.status, 200, "nothing was done yet");

    let waiting = cluster.operator(2).get("/v1/moderation/requests").await.ok();
    assert_eq!(waiting["requests"], json!([asked.body["request"]]));
    let confirm = format!("/v1/moderation/requests/{id}/confirm");
    let own = cluster.moderator(2).post(&confirm, &json!({})).await;
    assert_eq!((own.status, own.code()), (403, "same_person"), "{}", own.text);

    let done = cluster.node(2).door().with_token(&second).post(&confirm, &json!({})).await.ok();
    assert_eq!(done["sealed"], true);
    for place in 0..3 {
        let refused = cluster.client(place).connect(SERVER).await;
        assert_eq!((refused.status, refused.code()), (403, "server_revoked"), "{place}: {}", refused.text);
    }
    let gone = cluster.node(2).door().with_token(&second).post(&confirm, &json!({})).await;
    assert_eq!((gone.status, gone.code()), (404, "request_not_found"));

    let path = format!("/v1/moderation?subject=server%2F{}", SERVER.replace('/', "%2F"));
    let shown = cluster.operator(1).get(&path).await.ok();
    assert_eq!(shown["records"][0]["standing"], "revoked");
    let acts: Vec<_> = shown["history"].as_array().unwrap().iter().map(told).collect();
    let expected = [("confirm", "done"), ("confirm", "same_person"), ("revoke", "asked")];
    assert_eq!(acts, expected.map(|(act, outcome)| (act.to_owned(), outcome.to_owned())));
    cluster.assert_same_state().await;
}

fn told(record: &Value) -> (String, String) {
    let text = |member: &str| record[member].as_str().unwrap().to_owned();
    (text("act"), text("outcome"))
}
