//! What was acknowledged is there after any crash.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Options, Publishing, document, publish_all, wait_until};
use serde_json::Value;
use std::collections::BTreeSet;

async fn catalog(cluster: &Cluster, place: usize) -> BTreeSet<String> {
    let (mut names, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page =
            cluster.operator(place).get(&format!("/v0.1/servers?limit=100&cursor={cursor}")).await.ok();
        for entry in page["servers"].as_array().unwrap() {
            assert!(
                names.insert(entry["server"]["name"].as_str().unwrap().to_owned()),
                "an entry came twice"
            );
        }
        match page["metadata"]["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return names,
        }
    }
}

/// Every acknowledged publish is on every node, and all nodes have the same state.
async fn assert_nothing_lost(cluster: &Cluster, acknowledged: &BTreeSet<usize>) {
    cluster.assert_same_state().await;
    for place in cluster.running() {
        let there = catalog(cluster, place).await;
        let lost: Vec<_> =
            acknowledged.iter().filter(|number| !there.contains(&Publishing::name(**number))).collect();
        assert!(lost.is_empty(), "node {place} has lost {lost:?}");
    }
}

async fn kill_in_the_middle(victim_is_leader: bool) {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let victim = if victim_is_leader { leader } else { cluster.other_than(leader) };
    let publishing = Publishing::start(&cluster, 5_000);
    publishing.wait_for(2_000).await;
    cluster.kill(victim);
    publishing.wait_for(3_000).await;
    cluster.restart(victim);
    let acknowledged = publishing.finish().await;
    assert!(acknowledged.len() > 3_000, "only {} publishes went through", acknowledged.len());
    assert!(acknowledged.iter().any(|number| *number > 3_000), "nothing was acknowledged after the crash");
    cluster.wait_ready().await;
    assert_nothing_lost(&cluster, &acknowledged).await;
    eprintln!("{} of 5000 publishes acknowledged, none lost", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_killed_in_the_middle_of_5000_publishes() {
    kill_in_the_middle(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_killed_in_the_middle_of_5000_publishes() {
    kill_in_the_middle(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_are_killed_under_load_and_start_again() {
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    cluster.moderator(0).moderate("suspend", "server", "ai.acme/a").await.ok();
    let publishing = Publishing::start(&cluster, usize::MAX);
    publishing.wait_for(500).await;
    for place in 0..3 {
        cluster.kill(place);
    }
    let acknowledged = publishing.stop().await;
    for place in 0..3 {
        cluster.restart(place);
    }
    cluster.wait_ready().await;
    assert_nothing_lost(&cluster, &acknowledged).await;
    for place in 0..3 {
        let answer = cluster.client(place).connect("ai.acme/a").await;
        assert_eq!(answer.code(), "server_revoked", "a suspension outlives the cluster's death");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_missed_purged_entries_catches_up_by_snapshot() {
    let options =
        Options::default().set("HAPI_RAFT_SNAPSHOT_ENTRIES", "2000").set("HAPI_RAFT_KEEP_ENTRIES", "1000");
    let mut cluster = Cluster::start_with(3, options).await;
    let behind = cluster.other_than(cluster.leader().await);
    cluster.kill(behind);
    let publishing = Publishing::start(&cluster, 5_000);
    let acknowledged = publishing.finish().await;
    cluster.restart(behind);
    cluster.wait_ready().await;
    assert_nothing_lost(&cluster, &acknowledged).await;
    let status = cluster.status(behind).await.unwrap().body;
    let installed = status["snapshots"]["installed"].as_u64();
    assert!(installed.is_some_and(|count| count >= 1), "no snapshot was installed: {}", status["snapshots"]);
    let metrics = cluster.node(behind).door().get("/metrics").await.text;
    let counter = metrics.lines().find(|line| line.starts_with("hapi_raft_snapshots_installed_total"));
    assert_ne!(counter, None, "the counter is among the metrics");
    assert_ne!(counter, Some("hapi_raft_snapshots_installed_total 0"));
}

#[tokio::test]
async fn a_node_that_is_stopped_in_good_order_hands_over_and_exits_0() {
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let leader = cluster.leader().await;
    cluster.stop(leader);
    let survivor = cluster.other_than(leader);
    let connected = wait_until("a survivor connects again", async || {
        let answer = cluster.client(survivor).connect("ai.acme/a").await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert_ne!(connected["descriptor"], Value::Null);
    cluster.restart(leader);
    cluster.wait_ready().await;
    cluster.assert_same_state().await;
}
