//! A cluster forms, answers alike from every node, and takes in one more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Node, document, publish_all, wait_until};
use hapi_descriptor::{Expectations, KeySet, verify};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn any_node_issues_and_every_other_verifies() {
    let cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/weather", "1.0.0")]).await;
    let mut jwks = Vec::new();
    for place in 0..3 {
        let answer = cluster.node(place).door().get("/.well-known/jwks.json").await;
        jwks.push(answer.text);
    }
    assert!(jwks.iter().all(|set| *set == jwks[0]), "the nodes publish the same key set");
    for place in 0..3 {
        let answer = cluster.client(place).connect("ai.acme/weather").await.ok();
        let token = answer["descriptor"].as_str().unwrap();
        let endpoint = answer["endpoint"].as_str().unwrap();
        assert_eq!(endpoint, "https://ai.acme.weather.example/mcp");
        let (issuer, server) = ("https://registry.example", Some("ai.acme/weather"));
        let expected = Expectations { issuer, audience: endpoint, server };
        for set in &jwks {
            let keys = KeySet::from_jwks(set.as_bytes()).unwrap();
            let verified = verify(token, &keys, &expected, now()).unwrap();
            assert_eq!(verified.claims.client.id, "tester");
            assert_eq!(verified.claims.exp - verified.claims.iat, 60);
            assert!(verified.claims.seq.index() > 0);
        }
    }
}

#[tokio::test]
async fn a_write_through_a_follower_is_seen_by_all() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.other_than(cluster.leader().await);
    let published = cluster.publisher(follower).post("/v0/publish", &document("ai.acme/a", "1.0.0")).await;
    assert_eq!(published.ok()["_meta"]["io.modelcontextprotocol.registry/official"]["status"], "active");
    for place in 0..3 {
        cluster.client(place).connect("ai.acme/a").await.ok();
    }
    cluster.assert_same_state().await;
}

#[tokio::test]
async fn one_node_alone_is_a_cluster() {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    cluster.client(0).connect("ai.acme/a@1.0.0").await.ok();
}

#[tokio::test]
async fn a_node_that_comes_later_joins_and_becomes_a_voter() {
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    // Else a newcomer's key would be published for a minute before it signs, and the newcomer have no vote before.
    cluster.operator(0).patch("/v1/settings", &json!({ "key_prepublish": 0 })).await.ok();
    let fourth = cluster.grow();
    let fifth = cluster.grow();
    for place in [fourth, fifth] {
        wait_until(&format!("node {place} knows the catalog"), async || {
            let door = cluster.operator(place);
            let listed = door.try_send(door.request(reqwest::Method::GET, "/v0.1/servers")).await.ok()?;
            (listed.body["metadata"]["count"] == 1).then_some(())
        })
        .await;
    }
    wait_until("five nodes vote", async || {
        let status = cluster.status(0).await?.body;
        let voters = status["members"].as_array()?.iter().filter(|member| member["role"] == "voter").count();
        (voters == 5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_answers_no_reads_before_it_has_caught_up_and_then_also_without_a_majority() {
    const READS: [&str; 3] =
        ["/.well-known/jwks.json", "/v0/servers", "/v0/servers/ai.acme%2Fa/versions/1.0.0"];
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    let known = cluster.client(0).get(READS[0]).await.ok();
    cluster.kill(1);
    cluster.kill(2);
    for path in READS {
        cluster.client(0).get(path).await.ok();
    }
    cluster.kill(0);
    cluster.restart(0);
    for path in READS {
        let answer = cluster.client(0).get(path).await;
        assert_eq!((answer.status, answer.code()), (503, "not_caught_up"), "{path}: {}", answer.text);
    }
    cluster.restart(1);
    for path in READS {
        wait_until(&format!("{path} is answered"), async || {
            (cluster.client(0).get(path).await.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(cluster.client(0).get(READS[0]).await.ok(), known);
}

#[tokio::test]
async fn a_node_with_another_issuer_is_refused_and_told_both() {
    let mut cluster = Cluster::start(1).await;
    let mut settings: Vec<(String, String)> = cluster.settings().to_vec();
    settings.retain(|(name, _)| name != "HAPI_ISSUER" && name != "HAPI_CLUSTER_BOOTSTRAP_EXPECT");
    settings.push(("HAPI_ISSUER".into(), "https://other.example".into()));
    let join = [cluster.node(0).peer().to_owned()];
    let folder = cluster.scratch().join("stranger");
    let stranger = Node::start(&folder, &cluster.secret(), &join, &settings);
    wait_until("the stranger says why it cannot join", async || {
        let log = stranger.log();
        (log.contains("https://other.example") && log.contains("https://registry.example")).then_some(())
    })
    .await;
    drop(stranger);
    cluster.kill(0);
}

#[tokio::test]
async fn a_member_does_not_start_with_another_issuer_than_its_cluster_has() {
    let mut cluster = Cluster::start(1).await;
    cluster.stop(0);
    let mut settings: Vec<(String, String)> = cluster.settings().to_vec();
    settings.retain(|(name, _)| name != "HAPI_ISSUER");
    settings.push(("HAPI_ISSUER".into(), "https://mistyped.example".into()));
    let said = Node::try_start(&cluster.data(0), &cluster.secret(), &[], &settings);
    let said = said.map(|node| node.log()).unwrap_err();
    assert!(said.contains("https://mistyped.example") && said.contains("https://registry.example"), "{said}");
    cluster.restart(0);
    cluster.wait_ready().await;
}

#[tokio::test]
async fn the_first_operator_token_is_made_once() {
    let cluster = Cluster::start(1).await;
    let again = cluster.bootstrap().unwrap_err();
    assert!(again.contains("bootstrapped already"), "{again}");
}

#[tokio::test]
async fn a_suspension_through_one_node_binds_all_others_at_once() {
    let cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    for round in 0..30 {
        let (here, there) = (round % 3, (round + 1) % 3);
        let receipt = cluster.moderator(here).moderate("suspend", "server", "ai.acme/a").await.ok();
        assert_eq!(receipt["sealed"], true);
        for place in 0..3 {
            let answer = cluster.client(place).connect("ai.acme/a").await;
            assert_eq!((answer.status, answer.code()), (403, "server_revoked"), "{}", answer.text);
            assert!(answer.body["index"].as_u64() >= receipt["index"].as_u64());
        }
        let lifted = cluster.moderator(there).moderate("reinstate", "server", "ai.acme/a").await.ok();
        // A denial may hold a moment longer on a node that has not heard; who knows better can say so.
        let ask = json!({ "server_ref": "ai.acme/a", "min_index": lifted["index"] });
        cluster.client(here).post("/v1/connect", &ask).await.ok();
    }
}

#[tokio::test]
async fn a_repeated_act_names_the_one_that_stands() {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let first = cluster.moderator(0).moderate("suspend", "server", "ai.acme/a").await.ok();
    let second = cluster.moderator(0).moderate("suspend", "server", "ai.acme/a").await.ok();
    assert_eq!((&second["index"], &second["sealed"]), (&first["index"], &json!(true)));
    assert_eq!((&first["unchanged"], &second["unchanged"]), (&Value::Null, &json!(true)));
    let records = cluster.moderator(0).get("/v1/moderation?subject=server/ai.acme/a").await.ok();
    let record: &Value = &records["records"][0];
    assert_eq!((&record["standing"], &record["reason"]), (&json!("suspended"), &json!("a test")));
}
