//! The client crate against a real cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_client::{Client, ConnectError, ConnectRequest};
use hapi_cluster_tests::{Cluster, document, publish_all, wait_until};

fn client(cluster: &Cluster) -> Client {
    let nodes = (0..cluster.size()).map(|place| cluster.node(place).http().to_owned());
    Client::builder().nodes(nodes.collect::<Vec<_>>()).credential(cluster.client_token()).build().unwrap()
}

#[tokio::test]
async fn a_client_goes_on_when_the_node_that_it_talks_to_dies() {
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0"), document("ai.acme/b", "1.0.0")])
        .await;
    let client = client(&cluster);
    let first = client.connect(&ConnectRequest::new("ai.acme/a")).await.unwrap();
    assert_eq!(first.claims.server.id, "ai.acme/a");
    cluster.kill(0);
    let survivor = cluster.running()[0];
    wait_until("the survivors decide again", async || {
        (cluster.client(survivor).connect("ai.acme/b").await.status == 200).then_some(())
    })
    .await;
    let second = client.connect(&ConnectRequest::new("ai.acme/b")).await.unwrap();
    assert_eq!(second.endpoint, "https://ai.acme.b.example/mcp");
    assert!(second.claims.seq >= first.claims.seq, "no decision rests on an older state");
}

#[tokio::test]
async fn a_suspension_is_a_hard_stop_until_someone_forgets_it() {
    let cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let client = client(&cluster);
    cluster.moderator(2).moderate("suspend", "server", "ai.acme/a").await.ok();
    let request = ConnectRequest::new("ai.acme/a");
    let is_stop = |error| matches!(error, ConnectError::HardStop { code, .. } if code == "server_revoked");
    assert!(is_stop(client.connect(&request).await.unwrap_err()));
    let lifted = cluster.moderator(1).moderate("reinstate", "server", "ai.acme/a").await.ok();
    assert!(is_stop(client.connect(&request).await.unwrap_err()), "a program does not undo a human's no");
    client.forget("ai.acme/a").await;
    // Another node may hear a moment later that the server is there again.
    let request = ConnectRequest { min_index: lifted["index"].as_u64(), ..request };
    client.connect(&request).await.unwrap();
}
