//! The life of an API token: shown once, used, listed, ended.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Door, wait_until};
use serde_json::{Value, json};

fn id(token: &str) -> String {
    token.split('_').nth(2).unwrap().to_owned()
}

async fn ids(door: &Door, query: &str) -> Vec<String> {
    let list = door.get(&format!("/v1/tokens{query}")).await.ok();
    let tokens = list["tokens"].as_array().unwrap();
    tokens.iter().map(|token| token["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_use_is_known_at_its_node_at_once_and_at_all_when_that_node_has_told() {
    let mut cluster = Cluster::start(3).await;
    let token = cluster.make_token(json!({ "role": "auditor" })).await;
    let path = format!("/v1/tokens/{}", id(&token));
    let used = async |door: Door| door.get(&path).await.ok()["last_used_at"].clone();
    assert_eq!(used(cluster.operator(1)).await, Value::Null);
    cluster.node(1).door().with_token(&token).get("/v1/tokens").await.ok();
    let at = used(cluster.operator(1)).await;
    assert!(at.is_string(), "{at}");
    assert_eq!(used(cluster.operator(0)).await, Value::Null);
    // A refused call is no use.
    let wrong = format!("{}0000000", &token[..token.len() - 7]);
    assert_eq!(cluster.node(0).door().with_token(&wrong).get("/v1/tokens").await.status, 401);
    assert_eq!(used(cluster.operator(0)).await, Value::Null);
    cluster.stop(1);
    let known = wait_until("the node that stopped has told", async || {
        used(cluster.operator(0)).await.as_str().map(str::to_owned)
    });
    assert_eq!(known.await, at);
    assert_eq!(used(cluster.operator(2)).await, at);
    let audit = cluster.operator(0).get("/v1/audit").await.ok().to_string();
    assert!(!audit.contains("note_token_uses"), "{audit}");
    cluster.assert_same_state().await;
}

#[tokio::test]
async fn a_connect_is_a_use_and_so_is_one_that_is_refused_for_other_reasons() {
    let cluster = Cluster::start(1).await;
    let path = format!("/v1/tokens/{}", id(cluster.client_token()));
    let operator = cluster.operator(0);
    assert_eq!(operator.get(&path).await.ok()["last_used_at"], Value::Null);
    assert_eq!(cluster.client(0).connect("ai.acme/absent").await.status, 404);
    assert!(operator.get(&path).await.ok()["last_used_at"].is_string());
}

#[tokio::test]
async fn tokens_are_found_by_role_client_state_and_disuse() {
    let cluster = Cluster::start(1).await;
    let operator = cluster.operator(0);
    let make = async |body: Value| id(&cluster.make_token(body).await);
    let billing = make(json!({ "role": "client", "client": "billing" })).await;
    let brief = make(json!({ "role": "auditor", "expires_in": 1 })).await;
    let dated = make(json!({ "role": "auditor", "expires_at": "2999-01-01T00:00:00Z" })).await;
    let revoked = make(json!({ "role": "auditor" })).await;
    assert_eq!(operator.delete(&format!("/v1/tokens/{revoked}")).await.ok()["sealed"], true);
    wait_until("a token has ended", async || {
        (ids(&operator, "?state=expired").await == std::slice::from_ref(&brief)).then_some(())
    })
    .await;
    assert_eq!(ids(&operator, "?state=revoked").await, [revoked]);
    assert_eq!(ids(&operator, "?client=billing").await, std::slice::from_ref(&billing));
    assert_eq!(ids(&operator, "?role=auditor&state=valid").await, std::slice::from_ref(&dated));
    assert_eq!(operator.get(&format!("/v1/tokens/{dated}")).await.ok()["expires_at"], "2999-01-01T00:00:00Z");
    let unused = ids(&operator, "?unused_since=2020-01-01T00:00:00Z").await;
    assert!(unused.contains(&billing) && unused.contains(&brief), "{unused:?}");
    let bearer = id(cluster.operator_token());
    assert!(!unused.contains(&bearer), "whoever asks has just used it");
    for query in ["?state=odd", "?role=king", "?client=Not%20One", "?unused_since=lately"] {
        let answer = operator.get(&format!("/v1/tokens{query}")).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{query}");
    }
    let both = json!({ "role": "auditor", "expires_in": 9, "expires_at": "2999-01-01T00:00:00Z" });
    assert_eq!(operator.post("/v1/tokens", &both).await.code(), "invalid_request");
    assert_eq!(operator.get("/v1/tokens/AAAAAAAAAAAA").await.code(), "token_not_found");
}
