//! The OAuth face: a descriptor for a client that knows OAuth alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{
    Answer, Cluster, Metrics, document, placeholder_document, publish_all, shared_turn, wait_until,
};
use hapi_descriptor::{Expectations, KeySet, Signer, Typ, Verified, verify};
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

const ISSUER: &str = "https://registry.example";
const SERVER: &str = "ai.acme/a";
const RESOURCE: &str = "https://ai.acme.a.example/mcp";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

type Pair<'a> = (&'a str, &'a str);

fn form(cluster: &Cluster, place: usize, path: &str, pairs: &[Pair<'_>]) -> RequestBuilder {
    cluster.node(place).door().form(path, pairs)
}

async fn send(cluster: &Cluster, request: RequestBuilder) -> Answer {
    cluster.node(0).door().try_send(request).await.unwrap()
}

/// Asks for a token as the client `tester`, by `client_secret_post`, with further parameters.
async fn ask(cluster: &Cluster, place: usize, pairs: &[Pair<'_>]) -> Answer {
    let own = [("client_id", "tester"), ("client_secret", cluster.client_token())];
    send(cluster, form(cluster, place, "/oauth2/token", &[&own, pairs].concat())).await
}

async fn ask_for(cluster: &Cluster, resource: &str) -> Answer {
    ask(cluster, 0, &[GRANT, ("resource", resource)]).await
}

fn assert_refused(answer: &Answer, status: u16, error: &str, code: &str) {
    let said = (answer.status, answer.body["error"].as_str(), answer.body["code"].as_str());
    assert_eq!(said, (status, Some(error), Some(code)), "{}", answer.text);
    assert!(
        answer.body["error_description"].as_str().is_some_and(|text| !text.is_empty()),
        "{}",
        answer.text
    );
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn verified(cluster: &Cluster, answer: Answer, audience: &str) -> Verified {
    let yes = answer.ok();
    assert_eq!(
        (&yes["token_type"], &yes["expires_in"], &yes["scope"]),
        (&json!("Bearer"), &json!(60), &json!("mcp:connect"))
    );
    let set = cluster.node(0).door().get("/.well-known/jwks.json").await.text;
    let keys = KeySet::from_jwks(set.as_bytes()).unwrap();
    let expected = Expectations { issuer: ISSUER, audience, server: None };
    verify(yes["access_token"].as_str().unwrap(), &keys, &expected, now()).unwrap()
}

async fn stocked() -> Cluster {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster
}

/// A key of a client's own.
fn own_key(seed: u8) -> Signer {
    Signer::from_seed([seed; 32].into())
}

async fn register(cluster: &Cluster, client: &str, keys: &[&Signer]) {
    let keys: Vec<Value> = keys.iter().map(|key| json!(key.public_jwk())).collect();
    cluster.operator(0).put(&format!("/v1/clients/{client}"), &json!({ "keys": keys })).await.ok();
}

fn claims(client: &str) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let jti = format!("assertion-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    json!({ "iss": client, "sub": client, "aud": ISSUER, "iat": now(), "exp": now() + 60, "jti": jti })
}

async fn ask_by_key(cluster: &Cluster, place: usize, key: &Signer, claims: &Value) -> Answer {
    // The type in the header is none of an assertion's concern.
    let assertion = key.sign_as(Typ::Descriptor, claims).unwrap();
    let pairs = [GRANT, ("resource", RESOURCE), ("client_assertion_type", ASSERTION_TYPE)];
    let pairs = [&pairs[..], &[("client_assertion", &assertion)]].concat();
    send(cluster, form(cluster, place, "/oauth2/token", &pairs)).await
}

#[tokio::test]
async fn each_way_of_proving_gives_a_descriptor() {
    let cluster = stocked().await;
    let post = ask_for(&cluster, RESOURCE).await;
    let basic = form(&cluster, 0, "/oauth2/token", &[GRANT, ("resource", RESOURCE)]);
    let basic = send(&cluster, basic.basic_auth("tester", Some(cluster.client_token()))).await;
    for answer in [post, basic] {
        let descriptor = verified(&cluster, answer, RESOURCE).await;
        assert_eq!(descriptor.claims.client.id, "tester");
        assert_eq!(descriptor.claims.server.id, SERVER);
    }
    let key = own_key(1);
    register(&cluster, "keyed", &[&key]).await;
    let by_key = ask_by_key(&cluster, 0, &key, &claims("keyed")).await;
    assert_eq!(verified(&cluster, by_key, RESOURCE).await.claims.client.id, "keyed");
    let mut to_endpoint = claims("keyed");
    to_endpoint["aud"] = json!([format!("{ISSUER}/oauth2/token")]);
    ask_by_key(&cluster, 0, &key, &to_endpoint).await.ok();
}

#[tokio::test]
async fn an_answer_is_kept_by_no_cache_and_a_failed_proof_names_its_scheme() {
    let cluster = stocked().await;
    let own = [GRANT, ("resource", RESOURCE), ("client_id", "tester")];
    for (secret, status) in [(cluster.client_token(), 200), ("hapi_client_nonsense", 401)] {
        let pairs = [&own[..], &[("client_secret", secret)]].concat();
        let response = form(&cluster, 0, "/oauth2/token", &pairs).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let scheme = response.headers().get(header::WWW_AUTHENTICATE);
        assert_eq!(scheme.is_some_and(|scheme| scheme.to_str().unwrap().starts_with("Basic")), status == 401);
    }
}

#[tokio::test]
async fn whoever_proves_nothing_is_told_nothing() {
    let cluster = stocked().await;
    let other = cluster.make_token(json!({ "role": "client", "client": "other" })).await;
    let operator = cluster.operator_token();
    let secret =
        |id, secret| vec![GRANT, ("resource", RESOURCE), ("client_id", id), ("client_secret", secret)];
    let mut answers = Vec::new();
    for pairs in [
        vec![GRANT, ("resource", RESOURCE)],
        vec![GRANT, ("resource", RESOURCE), ("client_id", "tester")],
        vec![GRANT, ("client_secret", cluster.client_token())],
        secret("tester", "nonsense"),
        secret("tester", other.as_str()),
        secret("nobody", cluster.client_token()),
        secret("tester", operator),
        // Not even that the form is wrong.
        vec![("grant_type", "password"), ("client_id", "tester"), ("client_secret", "nonsense")],
    ] {
        answers.push(send(&cluster, form(&cluster, 0, "/oauth2/token", &pairs)).await);
    }
    let bearer = form(&cluster, 0, "/oauth2/token", &[GRANT, ("resource", RESOURCE)]);
    answers.push(send(&cluster, bearer.bearer_auth(cluster.client_token())).await);
    for answer in &answers {
        assert_refused(answer, 401, "invalid_client", "unauthenticated");
        assert_eq!(answer.text, answers[0].text);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named_in_oauths_words() {
    let cluster = stocked().await;
    for (pairs, error, code) in [
        (vec![("resource", RESOURCE)], "invalid_request", "invalid_request"),
        (
            vec![("grant_type", "password"), ("resource", RESOURCE)],
            "unsupported_grant_type",
            "invalid_request",
        ),
        (vec![GRANT, GRANT, ("resource", RESOURCE)], "invalid_request", "invalid_request"),
        (vec![GRANT, ("resource", RESOURCE), ("scope", "tools:all")], "invalid_scope", "invalid_request"),
        (vec![GRANT], "invalid_request", "invalid_request"),
        (vec![GRANT, ("resource", "")], "invalid_request", "invalid_request"),
        (vec![GRANT, ("resource", "not a url")], "invalid_target", "invalid_request"),
        (vec![GRANT, ("resource", "https://nobody.example/mcp")], "invalid_target", "server_not_found"),
        (vec![GRANT, ("resource", RESOURCE), ("resource", RESOURCE)], "invalid_target", "invalid_request"),
    ] {
        assert_refused(&ask(&cluster, 0, &pairs).await, 400, error, code);
    }
    ask(&cluster, 0, &[GRANT, ("resource", RESOURCE), ("scope", "tools:all mcp:connect")]).await.ok();
    let twice = form(&cluster, 0, "/oauth2/token", &[GRANT, ("client_id", "tester"), ("client_secret", "x")]);
    let twice = send(&cluster, twice.basic_auth("tester", Some(cluster.client_token()))).await;
    assert_refused(&twice, 400, "invalid_request", "invalid_request");
    let json =
        cluster.node(0).door().post("/oauth2/token", &json!({ "grant_type": "client_credentials" })).await;
    assert_refused(&json, 400, "invalid_request", "invalid_request");
    let large = "x".repeat(16 * 1024);
    let large = ask(&cluster, 0, &[GRANT, ("resource", &large)]).await;
    assert_refused(&large, 413, "invalid_request", "payload_too_large");
    let nowhere = cluster.node(0).door().get("/oauth2/authorize?response_type=code").await;
    assert_refused(&nowhere, 400, "unsupported_response_type", "invalid_request");
}

#[tokio::test]
async fn an_assertion_is_the_clients_own_for_us_in_its_time_and_used_once() {
    let cluster = stocked().await;
    let (key, other) = (own_key(1), own_key(2));
    register(&cluster, "keyed", &[&key]).await;
    register(&cluster, "neighbour", &[&other]).await;
    let used = claims("keyed");
    ask_by_key(&cluster, 0, &key, &used).await.ok();
    let with = |claim: &str, value: Value| {
        let mut claims = claims("keyed");
        claims[claim] = value;
        claims
    };
    for (signer, claims) in [
        (&key, used),
        (&other, claims("keyed")),
        (&key, claims("neighbour")),
        (&key, claims("nobody")),
        (&key, with("aud", json!("https://other.example"))),
        (&key, with("exp", json!(now()))),
        (&key, with("exp", json!(now() + 3_600))),
        (&key, with("iss", json!("neighbour"))),
        (&key, with("jti", Value::Null)),
    ] {
        let answer = ask_by_key(&cluster, 0, signer, &claims).await;
        assert_refused(&answer, 401, "invalid_client", "unauthenticated");
    }
    // The key is judged where the decision is taken: one that was taken away opens nothing.
    register(&cluster, "keyed", &[&other]).await;
    let answer = ask_by_key(&cluster, 0, &key, &claims("keyed")).await;
    assert_refused(&answer, 401, "invalid_client", "unauthenticated");
    ask_by_key(&cluster, 0, &other, &claims("keyed")).await.ok();
}

#[tokio::test]
async fn a_resource_is_one_server_in_the_version_that_is_there() {
    let cluster = stocked().await;
    let mut moved = document(SERVER, "2.0.0");
    moved["remotes"][0]["url"] = json!("https://ai.acme.a.example/v2/mcp");
    publish_all(&cluster.publisher(0), &[moved, placeholder_document("ai.acme/regional", "1.0.0")]).await;
    for (resource, audience, server, version) in [
        (RESOURCE, RESOURCE, SERVER, "1.0.0"),
        ("https://AI.acme.a.example:443/mcp", RESOURCE, SERVER, "1.0.0"),
        ("https://ai.acme.a.example/v2/mcp", "https://ai.acme.a.example/v2/mcp", SERVER, "2.0.0"),
        ("https://regional.example/eu/mcp", "https://regional.example/eu/mcp", "ai.acme/regional", "1.0.0"),
    ] {
        let descriptor = verified(&cluster, ask_for(&cluster, resource).await, audience).await;
        assert_eq!((&*descriptor.claims.server.id, &*descriptor.claims.server.version), (server, version));
    }
    let mars = ask_for(&cluster, "https://regional.example/mars/mcp").await;
    assert_refused(&mars, 400, "invalid_target", "server_not_found");
}

#[tokio::test]
async fn a_placeholder_in_the_host_mints_nothing_for_another_server() {
    let cluster = stocked().await;
    let mut evil = document("org.evil/evil", "1.0.0");
    let hosts = json!(["evil.example", "ai.acme.a.example", "late.example"]);
    evil["remotes"] = json!([{
        "type": "streamable-http", "url": "https://{host}/mcp",
        "variables": { "host": { "description": "Where", "choices": hosts } },
    }]);
    let mut late = document("ai.acme/late", "1.0.0");
    late["remotes"][0]["url"] = json!("https://late.example/mcp");
    publish_all(&cluster.publisher(0), &[evil, late]).await;
    for (resource, owner) in [
        (RESOURCE, SERVER),
        ("https://late.example/mcp", "ai.acme/late"),
        ("https://evil.example/mcp", "org.evil/evil"),
    ] {
        let descriptor = verified(&cluster, ask_for(&cluster, resource).await, resource).await;
        assert_eq!(descriptor.claims.server.id, owner);
    }
    for host in ["ai.acme.a.example", "late.example"] {
        let body = json!({ "server_ref": "org.evil/evil", "variables": { "host": host } });
        assert_eq!(cluster.client(0).post("/v1/connect", &body).await.code(), "policy_blocked", "{host}");
    }
}

#[tokio::test]
async fn what_a_connect_is_refused_a_token_is_refused() {
    let cluster = stocked().await;
    let moderator = cluster.moderator(0);
    for (kind, id, code) in [
        ("server", SERVER, "server_revoked"),
        ("namespace", "ai.acme", "server_revoked"),
        ("client", "tester", "policy_blocked"),
    ] {
        moderator.moderate("suspend", kind, id).await.ok();
        assert_refused(&ask_for(&cluster, RESOURCE).await, 400, "access_denied", code);
        moderator.moderate("reinstate", kind, id).await.ok();
        ask_for(&cluster, RESOURCE).await.ok();
    }
    cluster.operator(0).patch("/v1/settings", &json!({ "governed": "verified" })).await.ok();
    assert_refused(&ask_for(&cluster, RESOURCE).await, 400, "access_denied", "server_unverified");
    cluster.operator(0).patch("/v1/settings", &json!({ "governed": "all" })).await.ok();
    let unknown = ask_for(&cluster, "https://nobody.example/mcp").await;
    cluster.operator(0).put("/v1/namespaces/ai.acme", &json!({ "private": true })).await.ok();
    let hidden = ask_for(&cluster, RESOURCE).await;
    assert_refused(&hidden, 400, "invalid_target", "server_not_found");
    assert_eq!(hidden.text, unknown.text, "absent and invisible answer alike");
}

#[tokio::test]
async fn a_node_without_a_lease_hands_the_question_over() {
    let _turn = shared_turn().await;
    let cluster = Cluster::start_with_leaseless_node().await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    let key = own_key(1);
    register(&cluster, "keyed", &[&key]).await;
    let handed = async || {
        Metrics::of(&cluster.node(2).door()).await.sum("hapi_handovers_total", &[("result", "answered")])
    };
    let before = handed().await;
    let resource = [GRANT, ("resource", RESOURCE)];
    verified(&cluster, ask(&cluster, 2, &resource).await, RESOURCE).await;
    let by_key = verified(&cluster, ask_by_key(&cluster, 2, &key, &claims("keyed")).await, RESOURCE).await;
    assert_eq!(by_key.claims.client.id, "keyed");
    cluster.moderator(0).moderate("suspend", "server", SERVER).await.ok();
    assert_refused(&ask(&cluster, 2, &resource).await, 400, "access_denied", "server_revoked");
    let refused = ask_by_key(&cluster, 2, &key, &claims("keyed")).await;
    assert_refused(&refused, 400, "access_denied", "server_revoked");
    assert!(handed().await >= before + 4.0, "the leader decided");
}

async fn introspect(cluster: &Cluster, bearer: &str, token: &str) -> Answer {
    let request = form(cluster, 0, "/oauth2/introspect", &[("token", token)]);
    send(cluster, request.bearer_auth(bearer)).await
}

#[tokio::test]
async fn introspection_says_what_is_good_now_to_whom_it_concerns() {
    let cluster = stocked().await;
    let descriptor = ask_for(&cluster, RESOURCE).await.ok()["access_token"].as_str().unwrap().to_owned();
    let auditor = cluster.make_token(json!({ "role": "auditor" })).await;
    let other = cluster.make_token(json!({ "role": "client", "client": "other" })).await;
    let own = [("client_id", "tester"), ("client_secret", cluster.client_token()), ("token", &descriptor)];
    let own = send(&cluster, form(&cluster, 0, "/oauth2/introspect", &own)).await.ok();
    for seen in [own, introspect(&cluster, &auditor, &descriptor).await.ok()] {
        assert_eq!(seen["active"], true, "{seen}");
        assert_eq!(
            (&seen["aud"], &seen["client_id"], &seen["server"]),
            (&json!(RESOURCE), &json!("tester"), &json!(SERVER))
        );
    }
    let inactive = json!({ "active": false });
    let forged = format!("{}A", &descriptor[..descriptor.len() - 1]);
    let forged =
        if forged == descriptor { format!("{}Q", &descriptor[..descriptor.len() - 1]) } else { forged };
    assert_eq!(introspect(&cluster, &other, &descriptor).await.ok(), inactive);
    assert_eq!(introspect(&cluster, &auditor, &forged).await.ok(), inactive);
    assert_eq!(introspect(&cluster, &auditor, "nonsense").await.ok(), inactive);
    let nobody = send(&cluster, form(&cluster, 0, "/oauth2/introspect", &[("token", &descriptor)])).await;
    assert_refused(&nobody, 401, "invalid_client", "unauthenticated");
    cluster.moderator(0).moderate("suspend", "server", SERVER).await.ok();
    assert_eq!(introspect(&cluster, &auditor, &descriptor).await.ok(), inactive);
    cluster.moderator(0).moderate("reinstate", "server", SERVER).await.ok();
    assert_eq!(introspect(&cluster, &auditor, &descriptor).await.ok(), inactive, "dead stays dead");
    let fresh = ask_for(&cluster, RESOURCE).await.ok()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(introspect(&cluster, &auditor, &fresh).await.ok()["active"], true);
}

#[tokio::test]
async fn the_metadata_names_what_there_is() {
    let cluster = stocked().await;
    let door = cluster.node(0).door();
    let metadata = door.get("/.well-known/oauth-authorization-server").await.ok();
    assert_eq!(metadata, door.get("/.well-known/openid-configuration").await.ok());
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["grant_types_supported"], json!(["client_credentials"]));
    for endpoint in ["authorization_endpoint", "token_endpoint", "introspection_endpoint", "jwks_uri"] {
        let path = metadata[endpoint].as_str().unwrap().strip_prefix(ISSUER).unwrap();
        let method = if path.starts_with("/oauth2/authorize") || path.ends_with(".json") {
            Method::GET
        } else {
            Method::POST
        };
        let answer = door.try_send(door.request(method, path)).await.unwrap();
        assert!(!matches!(answer.status, 404 | 405 | 500..), "{endpoint}: {}", answer.text);
    }
    let authority = door.get("/.well-known/mcp-connect-authority").await.ok();
    assert_eq!(authority["revocations_endpoint"], format!("{ISSUER}/v1/revocations"));
    assert_eq!(authority["revocations_stream"], format!("{ISSUER}/v1/revocations/stream"));
}

#[tokio::test]
async fn a_client_that_was_registered_on_another_node_is_known_at_once() {
    let cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(1), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&[0, 1, 2]).await;
    let key = own_key(3);
    register(&cluster, "keyed", &[&key]).await;
    for place in [2, 1] {
        wait_until("a token is given", async || {
            let answer = ask_by_key(&cluster, place, &key, &claims("keyed")).await;
            assert_ne!(answer.status, 401, "{}", answer.text);
            (answer.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_node_that_lost_its_cluster_says_so_in_oauths_words() {
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&[0, 1, 2]).await;
    cluster.kill(1);
    cluster.kill(2);
    let refusal = wait_until("the node gives no tokens any more", async || {
        Some(ask_for(&cluster, RESOURCE).await).filter(|answer| answer.status != 200)
    })
    .await;
    assert_refused(&refusal, 503, "temporarily_unavailable", "no_serving_lease");
    assert_eq!(refusal.body["retry_after"], 1);
    let asked = introspect(&cluster, cluster.operator_token(), "nonsense").await;
    assert_refused(&asked, 503, "temporarily_unavailable", "no_serving_lease");
}
