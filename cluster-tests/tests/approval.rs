//! New versions that wait for a moderator.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Cluster, Door, document, publish_all, wait_until};
use serde_json::{Value, json};

const SERVER: &str = "ai.acme/a";

/// What a connect without a version leads to.
async fn reached(door: &Door) -> Value {
    door.connect(SERVER).await.ok()["server"]["version"].clone()
}

async fn listed(door: &Door) -> Vec<String> {
    let list = door.get("/v0/servers").await.ok();
    let servers = list["servers"].as_array().unwrap();
    servers.iter().map(|entry| entry["server"]["version"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_seen_by_nobody_until_a_moderator_approves_it() {
    let cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    let shown = cluster.operator(0).patch("/v1/settings", &json!({ "new_entries": "approval" })).await.ok();
    assert_eq!((&shown["new_entries"], &shown["governed"]), (&json!("approval"), &json!("all")));

    let follower = cluster.other_than(cluster.leader().await);
    let published = cluster.publisher(follower).post("/v0/publish", &document(SERVER, "2.0.0")).await.ok();
    let governance = &published["_meta"]["ai.com.mcp/governance"];
    assert_eq!(
        (&governance["moderation"], &governance["connectable"]),
        (&json!("quarantined"), &json!(false))
    );
    let index = governance["index"].as_u64().unwrap();

    for place in 0..3 {
        let door = cluster.client(place);
        let asked = json!({ "server_ref": format!("{SERVER}@2.0.0"), "min_index": index });
        let refused = door.post("/v1/connect", &asked).await;
        assert_eq!((refused.status, refused.code()), (403, "server_revoked"), "{}", refused.text);
        assert_eq!(reached(&door).await, "1.0.0");
        assert_eq!(listed(&door).await, ["1.0.0"]);
        let latest = door.get("/v0/servers/ai.acme%2Fa/versions/latest").await.ok();
        assert_eq!(latest["server"]["version"], "1.0.0");
    }
    let waiting = cluster.moderator(0).get("/v1/moderation?standing=quarantined").await.ok();
    assert_eq!(waiting["records"][0]["subject"]["id"], format!("{SERVER}@2.0.0"));
    assert_eq!(waiting["records"].as_array().unwrap().len(), 1);

    cluster.moderator(follower).moderate("approve", "version", &format!("{SERVER}@2.0.0")).await.ok();
    for place in 0..3 {
        let door = cluster.client(place);
        wait_until(&format!("node {place} knows of the approval"), async || {
            (reached(&door).await == "2.0.0").then_some(())
        })
        .await;
        assert_eq!(listed(&door).await, ["1.0.0", "2.0.0"]);
    }
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_in_pages() {
    let cluster = Cluster::start(1).await;
    let documents: Vec<_> = (0..5).map(|number| document(&format!("ai.acme/s{number}"), "1.0.0")).collect();
    publish_all(&cluster.publisher(0), &documents).await;
    let act = json!({ "act": "suspend", "subject": { "kind": "server", "glob": "*" }, "reason": "r" });
    cluster.moderator(0).post("/v1/moderation", &act).await.ok();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = cluster.moderator(0).get(&format!("/v1/moderation?limit=2{after}")).await.ok();
        let records = page["records"].as_array().unwrap();
        assert!(records.len() <= 2);
        seen.extend(records.iter().map(|record| record["subject"]["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('/', "%2F")),
            None => break,
        }
    }
    assert_eq!(seen, (0..5).map(|number| format!("ai.acme/s{number}")).collect::<Vec<_>>());
}
