//! The life of signing keys, as an operator leads it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Issued, document, publish_all, wait_until};
use serde_json::{Value, json};

async fn kids(cluster: &Cluster, state: &str) -> Vec<String> {
    let keys = cluster.operator(0).get("/v1/keys").await.ok();
    let in_state = |key: &&Value| key["state"] == state;
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    keys["keys"].as_array().unwrap().iter().filter(in_state).map(kid).collect()
}

/// Waits until exactly `count` keys are in `state`.
async fn wait_for(cluster: &Cluster, state: &str, count: usize) -> Vec<String> {
    wait_until(&format!("{count} keys are {state}"), async || {
        Some(kids(cluster, state).await).filter(|kids| kids.len() == count)
    })
    .await
}

async fn stocked() -> Cluster {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    wait_for(&cluster, "prepared", 1).await;
    cluster
}

#[tokio::test]
async fn a_revoked_key_leaves_the_set_and_the_spare_takes_over() {
    let cluster = stocked().await;
    let (active, spare) = (kids(&cluster, "active").await, kids(&cluster, "prepared").await);
    let path = format!("/v1/keys/{}/revoke", active[0]);
    cluster.operator(0).post(&path, &json!({ "reason": "stolen" })).await.ok();
    let set = cluster.node(0).door().get("/.well-known/jwks.json").await.text;
    assert!(!set.contains(&active[0]) && set.contains(&spare[0]));
    assert_eq!(wait_for(&cluster, "active", 1).await, spare);
    cluster.client(0).connect("ai.acme/a").await.ok();
    wait_for(&cluster, "prepared", 1).await;
    let files = || std::fs::read_dir(cluster.data(0).join("keys")).unwrap().count();
    wait_until("the private half of the revoked key is gone", async || (files() == 2).then_some(())).await;
}

#[tokio::test]
async fn retired_keys_that_fill_all_places_do_not_stop_the_node() {
    let cluster = stocked().await;
    for retired in 1..=2 {
        let active = kids(&cluster, "active").await;
        cluster.operator(0).post(&format!("/v1/keys/{}/retire", active[0]), &json!({})).await.ok();
        wait_for(&cluster, "retired", retired).await;
        wait_for(&cluster, "active", 1).await;
        cluster.client(0).connect("ai.acme/a").await.ok();
    }
    assert_eq!(kids(&cluster, "prepared").await.len(), 0, "three places are taken");
    let retired = kids(&cluster, "retired").await;
    cluster
        .operator(0)
        .post(&format!("/v1/keys/{}/revoke", retired[0]), &json!({ "reason": "r" }))
        .await
        .ok();
    wait_for(&cluster, "prepared", 1).await;
    assert!(!cluster.node(0).log().contains("rejected"), "the node asked for nothing that cannot be");
}

/// The key that signed the last descriptor of the node.
async fn signer(cluster: &Cluster) -> String {
    let answer = cluster.client(0).connect("ai.acme/a").await.ok();
    let given = answer["descriptor"].as_str().unwrap().to_owned();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let asked = cluster.client(0).request(reqwest::Method::POST, "/oauth2/introspect");
    let asked = asked.header(form.0, form.1).body(format!("token={given}"));
    let verified = cluster.client(0).try_send(asked).await.unwrap().ok();
    assert_eq!(verified["active"], true, "{verified}");
    Issued::read(&cluster.data(0)).pop().unwrap().kid.into()
}

#[tokio::test]
async fn an_operator_lets_the_spare_sign_at_once_and_the_former_key_still_verifies() {
    let cluster = stocked().await;
    let node = cluster.id(0).await;
    let rotate =
        async |node: &str| cluster.operator(0).post("/v1/keys/rotate", &json!({ "node": node })).await;
    let (active, spare) = (kids(&cluster, "active").await, kids(&cluster, "prepared").await);
    assert_eq!(signer(&cluster).await, active[0]);
    let receipt = rotate(&node).await.ok();
    assert_eq!(receipt["sealed"], true, "the former key signs nowhere any more: {receipt}");
    assert_eq!(kids(&cluster, "active").await, spare);
    assert_eq!(kids(&cluster, "retired").await, active);
    assert_eq!(signer(&cluster).await, spare[0]);
    let set = cluster.node(0).door().get("/.well-known/jwks.json").await.text;
    assert!(set.contains(&active[0]) && set.contains(&spare[0]));
    wait_for(&cluster, "prepared", 1).await;
    rotate(&node).await.ok();
    let full = rotate(&node).await;
    assert_eq!((full.status, full.code()), (409, "no_spare_key"), "{}", full.text);
    let unknown = rotate("0000000000000009").await;
    assert_eq!((unknown.status, unknown.code()), (404, "node_not_found"), "{}", unknown.text);
    assert_eq!(rotate("nobody").await.status, 400);
    assert!(!cluster.node(0).log().contains("rejected"), "the node asked for nothing that cannot be");
}
