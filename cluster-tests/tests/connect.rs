//! Every refusal of a connect, as a client sees it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Answer, Cluster, Door, document, placeholder_document, publish_all, wait_until};
use serde_json::{Value, json};

/// The answer is a problem as RFC 9457 has it, with this status and code.
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text);
    assert_eq!(answer.body["error"], code);
    assert_eq!(answer.body["status"], status);
    assert_eq!(answer.body["type"], "about:blank");
    assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}

async fn ask(client: &Door, body: &Value) -> Answer {
    client.post("/v1/connect", body).await
}

async fn stocked() -> Cluster {
    let cluster = Cluster::start(1).await;
    let mut sse = document("ai.acme/sse", "1.0.0");
    sse["remotes"][0]["type"] = json!("sse");
    let mut package = document("ai.acme/package", "1.0.0");
    package.as_object_mut().unwrap().remove("remotes");
    package["packages"] = json!([{
        "registryType": "npm", "identifier": "acme", "version": "1.0.0", "transport": { "type": "stdio" },
    }]);
    let documents = [
        document("ai.acme/a", "1.0.0"),
        document("ai.acme/a", "1.1.0-rc.1"),
        placeholder_document("ai.acme/regional", "1.0.0"),
        document("ai.hidden/a", "1.0.0"),
        sse,
        package,
    ];
    publish_all(&cluster.publisher(0), &documents).await;
    cluster
}

#[tokio::test]
async fn a_bad_request_is_named() {
    let cluster = stocked().await;
    let client = cluster.client(0);
    for (body, part) in [
        (json!({}), "server_ref"),
        (json!({ "server_ref": "no-slash" }), "server_ref"),
        (json!({ "server_ref": "a/b/c" }), "server_ref"),
        (json!({ "server_ref": "ai.acme/a", "ttl": "long" }), "ttl"),
        (json!({ "server_ref": "ai.acme/a", "variables": { "nope": "x" } }), "nope"),
        (json!({ "server_ref": "ai.acme/regional", "variables": { "region": "mars" } }), "region"),
    ] {
        let answer = ask(&client, &body).await;
        assert_refused(&answer, 400, "invalid_request");
        assert!(answer.text.contains(part), "{body}: {}", answer.text);
    }
    let broken = client.request(reqwest::Method::POST, "/v1/connect").body("{\"server_ref\": ");
    assert_refused(&client.try_send(broken).await.unwrap(), 400, "invalid_request");
    let large = client.request(reqwest::Method::POST, "/v1/connect").body(vec![b' '; 16 * 1024 + 1]);
    assert_refused(&client.try_send(large).await.unwrap(), 413, "payload_too_large");
}

#[tokio::test]
async fn a_placeholder_without_a_value_is_asked_for() {
    let cluster = stocked().await;
    let answer = cluster.client(0).connect("ai.acme/regional").await;
    assert_refused(&answer, 400, "variable_required");
    assert!(answer.text.contains("region"));
    let body = json!({ "server_ref": "ai.acme/regional", "variables": { "region": "eu" } });
    let yes = ask(&cluster.client(0), &body).await.ok();
    assert_eq!(yes["endpoint"], "https://regional.example/eu/mcp");
}

#[tokio::test]
async fn no_credential_and_bad_ones_are_answered_alike() {
    let cluster = stocked().await;
    let ended = json!({ "role": "client", "client": "brief", "expires_in": 3 });
    let ended = cluster.make_token(ended).await;
    let revoked = cluster.make_token(json!({ "role": "client", "client": "gone" })).await;
    let id = revoked.split('_').nth(2).unwrap();
    cluster.operator(0).delete(&format!("/v1/tokens/{id}")).await.ok();
    hapi_cluster_tests::wait_until("the brief token has ended", async || {
        (cluster.client(0).with_token(&ended).connect("ai.acme/a").await.status == 401).then_some(())
    })
    .await;
    let mut wrong = cluster.client_token().to_owned();
    let last = if wrong.ends_with('0') { "1" } else { "0" };
    wrong.replace_range(wrong.len() - 1.., last);
    let nobody = cluster.node(0).door();
    let mut answers = vec![nobody.connect("ai.acme/a").await];
    for token in [ended.as_str(), revoked.as_str(), wrong.as_str(), "nonsense"] {
        answers.push(nobody.with_token(token).connect("ai.acme/a").await);
    }
    for answer in &answers {
        assert_refused(answer, 401, "unauthenticated");
        assert_eq!(answer.text, answers[0].text);
    }
}

#[tokio::test]
async fn what_is_moderated_or_deleted_is_a_hard_stop() {
    let cluster = stocked().await;
    let (client, moderator) = (cluster.client(0), cluster.moderator(0));
    for (kind, id) in [("version", "ai.acme/a@1.0.0"), ("server", "ai.acme/a"), ("namespace", "ai.acme")] {
        for act in ["suspend", "quarantine"] {
            moderator.moderate(act, kind, id).await.ok();
            // What is under review is passed over by a bare name, if it is a version.
            let asked = if (kind, act) == ("version", "quarantine") { id } else { "ai.acme/a" };
            assert_refused(&client.connect(asked).await, 403, "server_revoked");
            moderator.moderate("reinstate", kind, id).await.ok();
            client.connect("ai.acme/a").await.ok();
        }
    }
    moderator.moderate("revoke", "version", "ai.acme/a@1.0.0").await.ok();
    assert_refused(&client.connect("ai.acme/a@1.0.0").await, 403, "server_revoked");
    assert_refused(
        &moderator.moderate("reinstate", "version", "ai.acme/a@1.0.0").await,
        409,
        "server_revoked",
    );
    client.connect("ai.acme/a@1.1.0-rc.1").await.ok();
    let mut deleted = document("ai.acme/deleted", "1.0.0");
    deleted["remotes"][0]["url"] = json!("https://deleted.example/mcp");
    let meta = json!({ "io.modelcontextprotocol.registry/official": { "status": "deleted" } });
    let list = json!({ "servers": [{ "server": deleted, "_meta": meta }] });
    assert_eq!(cluster.operator(0).post("/v1/import", &list).await.ok()["imported"], 1);
    assert_refused(&client.connect("ai.acme/deleted").await, 403, "server_revoked");
}

#[tokio::test]
async fn governed_mode_wants_verified_servers() {
    let cluster = stocked().await;
    cluster.operator(0).patch("/v1/settings", &json!({ "governed": "verified" })).await.ok();
    assert_refused(&cluster.client(0).connect("ai.acme/a").await, 403, "server_unverified");
    cluster.moderator(0).moderate("verify", "server", "ai.acme/a").await.ok();
    let yes = cluster.client(0).connect("ai.acme/a").await.ok();
    assert_eq!(yes["server"], json!({ "id": "ai.acme/a", "version": "1.0.0", "verified": true }));
}

#[tokio::test]
async fn policy_blocks_by_list_by_suspension_and_by_identity() {
    let cluster = stocked().await;
    let operator = cluster.operator(0);
    operator.put("/v1/tenants/acme", &json!({ "allow": ["ai.acme/*"], "block": ["*/regional"] })).await.ok();
    let token = cluster.make_token(json!({ "role": "client", "client": "c1", "tenant": "acme" })).await;
    let client = cluster.client(0).with_token(&token);
    client.connect("ai.acme/a").await.ok();
    assert_refused(&client.connect("ai.acme/regional").await, 403, "policy_blocked");
    assert_refused(&client.connect("ai.hidden/a").await, 403, "policy_blocked");
    for claim in [json!({ "client_id": "c2" }), json!({ "tenant_id": "other" })] {
        let answer = ask(&client, &json!({ "server_ref": "ai.acme/a", "client": claim })).await;
        assert_refused(&answer, 403, "policy_blocked");
    }
    let claim = json!({ "client_id": "c1", "tenant_id": "acme" });
    ask(&client, &json!({ "server_ref": "ai.acme/a", "client": claim })).await.ok();
    for (kind, id) in [("client", "c1"), ("tenant", "acme")] {
        cluster.moderator(0).moderate("suspend", kind, id).await.ok();
        assert_refused(&client.connect("ai.acme/a").await, 403, "policy_blocked");
        cluster.moderator(0).moderate("reinstate", kind, id).await.ok();
    }
    client.connect("ai.acme/a").await.ok();
}

#[tokio::test]
async fn only_streamable_http_is_connected() {
    let cluster = stocked().await;
    for name in ["ai.acme/sse", "ai.acme/package"] {
        assert_refused(&cluster.client(0).connect(name).await, 403, "transport_not_supported");
    }
}

#[tokio::test]
async fn absent_and_invisible_are_answered_alike() {
    let cluster = stocked().await;
    let operator = cluster.operator(0);
    operator.put("/v1/namespaces/ai.hidden", &json!({ "private": true })).await.ok();
    let invisible = cluster.client(0).connect("ai.hidden/a").await;
    assert_refused(&invisible, 404, "server_not_found");
    let absent = cluster.client(0).connect("ai.hidden/b").await;
    // The index tells the time of the log, which goes on by itself.
    let told = |answer: &Answer, name: &str| {
        let index = format!(",\"index\":{}", answer.body["index"]);
        answer.text.replace(&index, "").replace(name, "X")
    };
    assert_eq!(told(&invisible, "ai.hidden/a"), told(&absent, "ai.hidden/b"));
    assert_refused(&cluster.client(0).connect("ai.acme/a@9.9.9").await, 404, "version_not_found");
    operator.put("/v1/tenants/insider", &json!({ "private_namespaces": ["ai.hidden"] })).await.ok();
    let token = cluster.make_token(json!({ "role": "client", "client": "c1", "tenant": "insider" })).await;
    cluster.client(0).with_token(&token).connect("ai.hidden/a").await.ok();
}

#[tokio::test]
async fn a_node_without_a_majority_refuses_and_recovers() {
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    cluster.kill(1);
    cluster.kill(2);
    // The lease that it has is good to its end.
    let answer = wait_until("the lease has ended", async || {
        let answer = cluster.client(0).connect("ai.acme/a").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_refused(&answer, 503, "no_serving_lease");
    assert_eq!(answer.body["retry_after"], 1);
    assert_eq!(cluster.node(0).door().get("/readyz").await.status, 503);
    assert_eq!(cluster.node(0).door().get("/livez").await.status, 200);
    cluster.restart(1);
    cluster.wait_ready().await;
    cluster.client(0).connect("ai.acme/a").await.ok();
}

#[tokio::test]
async fn a_client_reads_its_own_writes_by_index() {
    let cluster = stocked().await;
    let index = cluster.status(0).await.unwrap().body["index"].as_u64().unwrap();
    let body = |min_index: u64| json!({ "server_ref": "ai.acme/a", "min_index": min_index });
    let yes = ask(&cluster.client(0), &body(index)).await.ok();
    assert!(yes["index"].as_u64().unwrap() >= index);
    assert_refused(&ask(&cluster.client(0), &body(index + 1_000_000)).await, 503, "no_serving_lease");
}

#[tokio::test]
async fn the_life_of_a_descriptor_is_kept_in_its_range() {
    let cluster = stocked().await;
    for (wanted, given) in [(1, 30), (45, 45), (100_000, 120)] {
        let body = json!({ "server_ref": "ai.acme/a", "ttl": wanted });
        assert_eq!(ask(&cluster.client(0), &body).await.ok()["expires_in"], given);
    }
    let body = json!({ "server_ref": "ai.acme/a" });
    let extension = cluster.client(0).post("/v0.1/x/ai.com.mcp/connect", &body).await;
    assert_eq!(extension.ok()["expires_in"], 60);
}
