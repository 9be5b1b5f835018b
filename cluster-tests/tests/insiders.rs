//! Moderating tokens, signing keys and nodes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Cluster, Issued, document, publish_all, wait_until};
use serde_json::{Value, json};

const SERVER: &str = "ai.acme/a";

async fn stocked(size: usize) -> Cluster {
    let cluster = Cluster::start(size).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    for place in 0..size {
        wait_until(&format!("node {place} issues"), async || {
            (cluster.client(place).connect(SERVER).await.status == 200).then_some(())
        })
        .await;
    }
    cluster
}

/// How many descriptors the node at `place` has issued.
fn issued(cluster: &Cluster, place: usize) -> usize {
    Issued::read(&cluster.data(place)).len()
}

async fn state_of(cluster: &Cluster, place: usize, id: &str) -> Value {
    let status = cluster.operator(place).get("/v1/cluster").await.ok();
    let members = status["members"].as_array().unwrap().clone();
    members.into_iter().find(|member| member["id"] == id).unwrap()["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_node_issues_nothing_until_it_is_reinstated() {
    let cluster = stocked(3).await;
    let suspended = cluster.other_than(cluster.leader().await);
    let (id, other) = (cluster.id(suspended).await, cluster.other_than(suspended));
    let receipt = cluster.moderator(other).moderate("suspend", "node", &id).await.ok();
    assert_eq!(receipt["sealed"], true, "{receipt}");
    assert_eq!(state_of(&cluster, other, &id).await, "suspended");
    let before = issued(&cluster, suspended);
    for _ in 0..20 {
        // Another node may answer for it.
        let answer = cluster.client(suspended).connect(SERVER).await;
        assert!(matches!(answer.status, 200 | 503), "{}", answer.text);
        cluster.client(other).connect(SERVER).await.ok();
    }
    assert_eq!(issued(&cluster, suspended), before);
    let feed = cluster.node(other).door().get("/v1/revocations").await;
    assert_eq!(feed.status, 200, "{}", feed.text);

    cluster.moderator(other).moderate("reinstate", "node", &id).await.ok();
    wait_until("the node issues again", async || {
        cluster.client(suspended).connect(SERVER).await;
        (issued(&cluster, suspended) > before).then_some(())
    })
    .await;
    assert_eq!(state_of(&cluster, other, &id).await, "active");
    let revoke = cluster.moderator(other).moderate("revoke", "node", &id).await;
    assert_eq!((revoke.status, revoke.code()), (400, "act_not_applicable"));
    assert!(revoke.text.contains("let an operator remove it"), "{}", revoke.text);
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_token_proves_nobody_on_any_node() {
    let cluster = stocked(3).await;
    let token = cluster.make_token(json!({ "role": "client", "client": "laptop" })).await;
    let id = token.split('_').nth(2).unwrap();
    let connect = async |place: usize| cluster.node(place).door().with_token(&token).connect(SERVER).await;
    connect(0).await.ok();
    let receipt = cluster.moderator(1).moderate("suspend", "token", id).await.ok();
    assert_eq!(receipt["sealed"], true);
    for place in 0..3 {
        assert_eq!(connect(place).await.status, 401, "{place}");
    }
    cluster.moderator(2).moderate("reinstate", "token", id).await.ok();
    connect(0).await.ok();
    cluster.moderator(1).moderate("revoke", "token", id).await.ok();
    for place in 0..3 {
        assert_eq!(connect(place).await.status, 401, "{place}");
    }
    let tokens = cluster.operator(1).get("/v1/tokens").await.ok();
    let shown = tokens["tokens"].as_array().unwrap().iter().find(|shown| shown["id"] == id).unwrap();
    assert!(shown["revoked_at"].is_string(), "{shown}");
}
