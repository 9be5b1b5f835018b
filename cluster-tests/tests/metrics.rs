//! What a node tells Prometheus about itself.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Cluster, Metrics, Options, document, publish_all, wait_until};

#[tokio::test]
async fn every_decision_is_there_before_the_first_of_its_kind() {
    let cluster = Cluster::start(1).await;
    let text = cluster.node(0).door().get("/metrics").await.text;
    let codes =
        ["ok", "unauthenticated", "server_revoked", "policy_blocked", "no_serving_lease", "rate_limited"];
    for code in codes {
        let sample = format!("hapi_connect_decisions_total{{code=\"{code}\"}} 0");
        assert!(text.lines().any(|line| line == sample), "{sample} is not among\n{text}");
    }
}

#[tokio::test]
async fn the_build_is_that_of_the_version_page() {
    let cluster = Cluster::start(1).await;
    let version = cluster.client(0).get("/v0/version").await.ok();
    let labels = [
        ("version", version["version"].as_str().unwrap()),
        ("commit", version["git_commit"].as_str().unwrap()),
    ];
    let metrics = Metrics::of(&cluster.node(0).door()).await;
    assert_eq!((metrics.sum("hapi_build_info", &labels), metrics.sum("hapi_build_info", &[])), (1.0, 1.0));
}

#[tokio::test]
async fn a_clock_is_trusted_or_not_as_the_node_goes_by_it() {
    for (setting, trusted) in [("trusted", 1.0), ("untrusted", 0.0)] {
        let cluster = Cluster::start_with(1, Options::default().set("HAPI_LEASE_CLOCK", setting)).await;
        let text = cluster.node(0).door().get("/metrics").await.text;
        let samples: Vec<_> = text.lines().filter(|line| line.starts_with("hapi_clock_trusted{")).collect();
        assert_eq!(samples.len(), 1, "{samples:?}");
        assert!(samples[0].ends_with(&format!(" {trusted}")), "{samples:?}");
        let source =
            cluster.operator(0).get("/v1/cluster").await.ok()["node"]["lease"]["clock_source"].clone();
        assert!(samples[0].contains(source.as_str().unwrap()), "{samples:?}: {source}");
    }
}

#[tokio::test]
async fn what_is_written_shows_in_the_counters_of_the_store_and_on_the_disk() {
    let cluster = Cluster::start(1).await;
    let door = cluster.node(0).door();
    let before = Metrics::of(&door).await;
    let documents: Vec<_> = (0..20).map(|number| document(&format!("ai.acme/a{number}"), "1.0.0")).collect();
    publish_all(&cluster.publisher(0), &documents).await;
    let after = Metrics::of(&door).await;
    let grown = |name: &str| after.sum(name, &[]) - before.sum(name, &[]);
    assert!(grown("hapi_storage_entries_appended_total") >= 20.0);
    let bytes: usize = documents.iter().map(|document| document.to_string().len()).sum();
    assert!(grown("hapi_storage_bytes_appended_total") >= bytes as f64);
    assert_eq!(after.sum("hapi_storage_keys_deleted_total", &[]), 0.0);
    after.sum("hapi_storage_group_size", &[]);
    wait_until("the disk was looked at", async || {
        let metrics = Metrics::of(&door).await;
        let log = metrics.sum("hapi_data_bytes", &[("part", "log")]);
        let keys = metrics.sum("hapi_data_bytes", &[("part", "keys")]);
        let all = metrics.sum("hapi_data_bytes", &[]);
        let (free, size) =
            (metrics.sum("hapi_disk_free_bytes", &[]), metrics.sum("hapi_disk_size_bytes", &[]));
        (log > 0.0 && keys > 0.0 && all > log + keys && free > 0.0 && size > free).then_some(())
    })
    .await;
}
