//! Suspensions that lift themselves.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Cluster, Options, document, publish_all, turn, wait_until};
use serde_json::{Value, json};
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const SERVER: &str = "ai.acme/a";
const OTHER: &str = "ai.acme/b";

/// Long enough for an election in between, on a machine that has much else to do.
const WHILE: Duration = Duration::from_secs(8);

fn instant(text: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(text.as_str().unwrap(), &Rfc3339).unwrap()
}

async fn suspend(cluster: &Cluster, place: usize, server: &str) -> OffsetDateTime {
    let end = OffsetDateTime::now_utc() + WHILE;
    let act = json!({
        "act": "suspend",
        "subject": { "kind": "server", "id": server },
        "reason": "for a while",
        "expires_at": end.format(&Rfc3339).unwrap(),
    });
    assert_eq!(cluster.moderator(place).post("/v1/moderation", &act).await.ok()["sealed"], true);
    end
}

/// How the catalog shows it to somebody who asks for everything.
async fn shown(cluster: &Cluster, place: usize, server: &str) -> Value {
    let path = format!("/v0/servers/{}/versions/1.0.0?include_deleted=true", server.replace('/', "%2F"));
    cluster.client(place).get(&path).await.ok()["_meta"].clone()
}

async fn until_given(cluster: &Cluster, place: usize, server: &str) -> OffsetDateTime {
    wait_until(&format!("node {place} issues for {server} again"), async || {
        let asked = OffsetDateTime::now_utc();
        let answer = cluster.client(place).connect(server).await;
        assert!(answer.status != 403 || answer.code() == "server_revoked", "{}", answer.text);
        (answer.status == 200).then_some(asked)
    })
    .await
}

async fn lifts(cluster: &Cluster, place: usize) -> Vec<Value> {
    let records = cluster.operator(place).get("/v1/audit?limit=1000").await.ok()["records"].clone();
    records.as_array().unwrap().iter().filter(|record| record["act"] == "lift").cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_lifts_itself_though_its_leader_dies_before() {
    let _turn = turn().await;
    let mut cluster = Cluster::start_with(3, Options::default()).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0"), document(OTHER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    let leader = cluster.leader().await;
    let end = suspend(&cluster, leader, SERVER).await;
    // This one gets no end after all.
    suspend(&cluster, leader, OTHER).await;
    cluster.moderator(leader).moderate("suspend", "server", OTHER).await.ok();
    let meta = shown(&cluster, leader, SERVER).await;
    assert_eq!(meta["io.modelcontextprotocol.registry/official"]["status"], "deleted");
    let governance = &meta["ai.com.mcp/governance"];
    assert_eq!(
        (&governance["moderation"], &governance["reason"]),
        (&json!("suspended"), &json!("for a while"))
    );
    assert_eq!(instant(&governance["expires_at"]).unix_timestamp(), end.unix_timestamp());

    cluster.kill(leader);
    let survivors = cluster.running();
    cluster.leader_among(&survivors).await;
    assert!(OffsetDateTime::now_utc() < end, "the election took too long for this test");
    for survivor in &survivors {
        let given = until_given(&cluster, *survivor, SERVER).await;
        assert!(given > end - Duration::from_millis(1), "{given} is before {end}");
    }
    let lifted = lifts(&cluster, survivors[0]).await;
    assert_eq!(lifted.len(), 1, "{lifted:?}");
    assert_eq!((&lifted[0]["actor"], &lifted[0]["outcome"]), (&json!("system"), &json!("done")));
    assert_eq!(lifted[0]["subject"], format!("server/{SERVER}"));
    assert!(instant(&lifted[0]["at"]) >= end, "{lifted:?}");
    let answer = cluster.client(survivors[0]).connect(OTHER).await;
    assert_eq!((answer.status, answer.code()), (403, "server_revoked"));

    cluster.restart(leader);
    cluster.wait_leases(&cluster.running()).await;
    cluster.assert_same_state().await;
    assert_eq!(shown(&cluster, leader, SERVER).await["ai.com.mcp/governance"]["moderation"], "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_whose_end_comes_while_nobody_runs_is_lifted_after_the_start() {
    let _turn = turn().await;
    let mut cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    let end = suspend(&cluster, 0, SERVER).await;
    cluster.stop(0);
    wait_until("its end has come", async || (OffsetDateTime::now_utc() > end).then_some(())).await;
    cluster.restart(0);
    cluster.wait_ready().await;
    until_given(&cluster, 0, SERVER).await;
    assert_eq!(lifts(&cluster, 0).await.len(), 1);
}
