//! Publishers without an API token: what they prove at one node counts at every node, for five minutes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use axum::{Json, Router, extract::State, http::HeaderMap, routing::get};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use hapi_cluster_tests::{Answer, Cluster, Metrics, Options, command, document, wait_until};
use hapi_descriptor::{Expectations, KeySet, Refusal, Signer, Typ, verify};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::net::{TcpListener, UdpSocket};

const ISSUER: &str = "https://registry.example";
const PLACES: [usize; 3] = [0, 1, 2];

/// The seed of the key that `example.com` publishes.
const SEED: [u8; 32] = [7; 32];

/// A name server that knows one name, with two TXT records and an address inside.
struct NameServer(SocketAddr);

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let _ = socket.send_to(&answer(&buffer[..length]), from).await;
            }
        });
        Self(address)
    }
}

/// RFC 1035 §4.1, as far as one question goes.
fn answer(query: &[u8]) -> Vec<u8> {
    let labels = query[12..].iter().position(|byte| *byte == 0).unwrap();
    let question = &query[12..12 + labels + 5];
    let is_known = question[..=labels].eq_ignore_ascii_case(b"\x07example\x03com\x00");
    let kind = u16::from_be_bytes([question[labels + 1], question[labels + 2]]);
    let key = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    let record = format!("v=MCPv1; k=ed25519; p={}", BASE64_STANDARD.encode(key.public_key()));
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let data = match kind {
        16 if is_known => vec![text("v=spf1 -all"), text(&record)],
        1 if is_known => vec![vec![127, 0, 0, 1]],
        _ => Vec::new(),
    };
    let flags: [u8; 2] = if is_known { [0x81, 0x80] } else { [0x81, 0x83] };
    let count = u8::try_from(data.len()).unwrap();
    let mut message = [&query[..2], &flags, &[0, 1, 0, count, 0, 0, 0, 0], question].concat();
    for data in data {
        message.extend([0xc0, 12, 0, u8::try_from(kind).unwrap(), 0, 1, 0, 0, 0, 60, 0]);
        message.push(u8::try_from(data.len()).unwrap());
        message.extend(data);
    }
    message
}

/// GitHub and an identity provider, in one place.
struct Provider {
    base: String,
    key: EncodingKey,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let random = aws_lc_rs::rand::SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EncodingKey::from_ec_der(pair.as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("k".into());
        let metadata = json!({ "issuer": base, "jwks_uri": format!("{base}/keys") });
        let keys = json!({ "keys": [jwk] });
        let routes = Router::new()
            .route("/user", get(user))
            .route("/user/memberships/orgs", get(memberships))
            .route("/keys", get(|State(state): State<Arc<[Value; 2]>>| async move { Json(state[0].clone()) }))
            .route(
                "/.well-known/openid-configuration",
                get(|State(state): State<Arc<[Value; 2]>>| async move { Json(state[1].clone()) }),
            )
            .with_state(Arc::new([keys, metadata]));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { base, key }
    }

    fn token(&self, more: Value) -> String {
        let mut claims = json!({ "iss": self.base, "aud": ISSUER, "sub": "repo:octo/x", "iat": now(), "exp": now() + 300 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header = Header { kid: Some("k".into()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

async fn user(headers: HeaderMap) -> Result<Json<Value>, axum::http::StatusCode> {
    let known = headers.get("authorization").is_some_and(|value| value == "Bearer gho_alice");
    known.then(|| Json(json!({ "login": "alice" }))).ok_or(axum::http::StatusCode::UNAUTHORIZED)
}

async fn memberships() -> Json<Value> {
    let of = |name: &str, role: &str| json!({ "state": "active", "role": role, "organization": { "login": name } });
    Json(json!([of("octo", "admin"), of("acme", "member")]))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The settings of nodes that take all proofs but none, with everybody else on this machine.
async fn options() -> (Options, Provider) {
    let (names, provider) = (NameServer::start().await, Provider::start().await);
    let rules = json!([{ "claim": "team", "value": "platform", "namespaces": ["dev.platform"] }]);
    let oidc = json!([{ "issuer": provider.base, "audience": ISSUER, "rules": rules }]);
    let options = Options::default()
        .set("HAPI_OUTBOUND_ALLOW_PRIVATE", "true")
        .set("HAPI_OUTBOUND_DNS_SERVER", &names.0.to_string())
        .set("HAPI_PUBLISHER_AUTH_METHODS", "dns,http,oidc,github-oidc,github-at")
        .set("HAPI_PUBLISHER_AUTH_GITHUB_API", &provider.base)
        .set("HAPI_PUBLISHER_AUTH_GITHUB_ISSUER", &provider.base)
        .set("HAPI_PUBLISHER_AUTH_GITHUB_AUDIENCE", ISSUER)
        .set("HAPI_PUBLISHER_AUTH_GITHUB_CLIENT_ID", "Iv1.0123456789abcdef")
        .set("HAPI_PUBLISHER_AUTH_OIDC", &oidc.to_string());
    (options, provider)
}

/// A proof that the holder of `seed` makes for `domain`.
fn signed(seed: [u8; 32], domain: &str) -> Value {
    let seconds = now();
    let (hours, rest) = (seconds / 3_600 % 24, seconds % 3_600);
    let timestamp = format!("{}T{hours:02}:{:02}:{:02}Z", date(seconds / 86_400), rest / 60, rest % 60);
    let signature = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().sign(timestamp.as_bytes());
    let digits: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "domain": domain, "timestamp": timestamp, "signed_timestamp": digits })
}

/// The date so many days after the beginning of 1970.
fn date(mut days: u64) -> String {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

async fn prove(cluster: &Cluster, place: usize, path: &str, proof: &Value) -> Answer {
    cluster.node(place).door().post(path, proof).await
}

async fn token(cluster: &Cluster, place: usize, path: &str, proof: &Value) -> String {
    let answer = prove(cluster, place, path, proof).await.ok();
    let left = answer["expires_at"].as_u64().unwrap() - now();
    assert!((295..=300).contains(&left), "{answer}");
    answer["registry_token"].as_str().unwrap().to_owned()
}

async fn publish(cluster: &Cluster, place: usize, token: &str, name: &str) -> Answer {
    let door = cluster.node(place).door().with_token(token);
    door.post("/v0/publish", &document(name, "1.0.0")).await
}

fn kid(token: &str) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["typ"], "hapi-publisher+jwt");
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proven_at_one_node_publishes_at_every_node_and_nowhere_beside() {
    let (options, provider) = options().await;
    let cluster = Cluster::start_with(3, options).await;
    // Both versions of the path; the real client uses the older one.
    let dns = token(&cluster, 0, "/v0/auth/dns", &signed(SEED, "example.com")).await;
    token(&cluster, 1, "/v0.1/auth/dns", &signed(SEED, "Example.COM")).await;
    publish(&cluster, 1, &dns, "com.example/a").await.ok();
    publish(&cluster, 2, &dns, "com.example.labs/a").await.ok();
    publish(&cluster, 0, &dns, "com.example/b").await.ok();
    for place in PLACES {
        let beside = publish(&cluster, place, &dns, "com.exampleevil/a").await;
        assert_eq!((beside.status, beside.code()), (403, "namespace_forbidden"), "{}", beside.text);
    }
    // What was published may be changed as well.
    let door = cluster.node(2).door().with_token(&dns);
    let mut edited = document("com.example/a", "1.0.0");
    edited["description"] = json!("Another description");
    door.put("/v0/servers/com.example%2Fa/versions/1.0.0", &edited).await.ok();
    let status = "/v0.1/servers/com.example%2Fa/versions/1.0.0/status";
    door.patch(status, &json!({ "status": "deprecated" })).await.ok();
    // GitHub, and an identity provider.
    let health = cluster.node(1).door().get("/v0/health").await.ok();
    assert_eq!(health, json!({ "status": "ok", "github_client_id": "Iv1.0123456789abcdef" }));
    let alice = token(&cluster, 1, "/v0/auth/github-at", &json!({ "github_token": "gho_alice" })).await;
    publish(&cluster, 2, &alice, "io.github.alice/a").await.ok();
    publish(&cluster, 0, &alice, "io.github.octo/a").await.ok();
    let member = publish(&cluster, 0, &alice, "io.github.acme/a").await;
    assert_eq!(member.code(), "namespace_forbidden", "a member does not speak for an organisation");
    let workflow = json!({ "oidc_token": provider.token(json!({ "repository_owner": "octo" })) });
    let workflow = token(&cluster, 2, "/v0/auth/github-oidc", &workflow).await;
    publish(&cluster, 1, &workflow, "io.github.octo/b").await.ok();
    let team = json!({ "oidc_token": provider.token(json!({ "team": "platform" })) });
    let team = token(&cluster, 0, "/v0/auth/oidc", &team).await;
    publish(&cluster, 2, &team, "dev.platform/a").await.ok();
    let stranger = cluster.node(1).door().with_token(&team);
    assert_eq!(stranger.patch(status, &json!({ "status": "deleted" })).await.code(), "namespace_forbidden");
    let put = stranger.put("/v0/servers/com.example%2Fa/versions/1.0.0", &edited).await;
    assert_eq!(put.code(), "namespace_forbidden", "{}", put.text);
    // It reads the catalog, and does nothing else.
    let door = cluster.node(1).door().with_token(&dns);
    door.get("/v0/servers").await.ok();
    assert_eq!(door.get("/v1/tokens").await.code(), "forbidden");
    assert_eq!(door.put("/v1/clients/c", &json!({})).await.code(), "forbidden");
    assert_eq!(door.moderate("suspend", "server", "com.example/a").await.code(), "forbidden");
    assert_eq!(door.connect("com.example/a").await.status, 401);
    // The chain names who it was.
    let audit = cluster.operator(0).get("/v1/audit?limit=1000").await.ok();
    let actors: Vec<_> =
        audit["records"].as_array().unwrap().iter().filter_map(|one| one["actor"].as_str()).collect();
    for actor in ["publisher/dns:example.com", "publisher/github:alice", "publisher/github-oidc:repo:octo/x"]
    {
        assert!(actors.contains(&actor), "{actor} is not among {actors:?}");
    }
    // Strangers' attempts are no entries.
    assert!(!audit.to_string().contains("com.exampleevil"), "{audit}");
    // The metrics say so as well.
    let counted = |outcome| [("method", "dns"), ("outcome", outcome)];
    let metrics = Metrics::of(&cluster.node(0).door()).await;
    assert_eq!(metrics.sum("hapi_publisher_auth_total", &counted("granted")), 1.0);
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_time_and_with_its_key() {
    let (options, _provider) = options().await;
    let cluster = Cluster::start_with(3, options).await;
    let good = token(&cluster, 0, "/v0/auth/dns", &signed(SEED, "example.com")).await;
    let kid = kid(&good);
    // A thief has the key of the first node, and writes what it likes.
    let seed: [u8; 32] = fs::read(cluster.data(0).join("keys").join(&kid)).unwrap().try_into().unwrap();
    let thief = Signer::from_seed(seed.into());
    let forge = |typ: Typ, change: Value| {
        let mut claims = json!({
            "iss": ISSUER, "aud": ISSUER, "sub": "dns:example.com", "iat": now(), "exp": now() + 300, "jti": "x",
            "namespaces": ["com.example"],
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        thief.sign_as(typ, &claims).unwrap()
    };
    let bad = [
        forge(Typ::Publisher, json!({ "iat": now() - 400, "exp": now() - 100 })),
        forge(Typ::Publisher, json!({ "iat": now() + 60, "exp": now() + 300 })),
        forge(Typ::Publisher, json!({ "exp": now() + 86_400 })),
        forge(Typ::Publisher, json!({ "iss": "https://other.example" })),
        forge(Typ::Publisher, json!({ "aud": "https://mcp.example" })),
        forge(Typ::Publisher, json!({ "namespaces": vec!["*"; 65] })),
        forge(Typ::Descriptor, json!({})),
        format!("{good}x"),
    ];
    for place in PLACES {
        for (number, token) in bad.iter().enumerate() {
            let refused = publish(&cluster, place, token, "com.example/bad").await;
            assert_eq!(refused.status, 401, "node {place}, token {number}: {}", refused.text);
        }
    }
    publish(&cluster, 1, &forge(Typ::Publisher, json!({})), "com.example/stolen").await.ok();
    // It is no descriptor, for whoever verifies one.
    let keys = cluster.node(0).door().get("/.well-known/jwks.json").await.text;
    let keys = KeySet::from_jwks(keys.as_bytes()).unwrap();
    let expected = Expectations { issuer: ISSUER, audience: ISSUER, server: None };
    assert_eq!(verify(&good, &keys, &expected, now()), Err(Refusal::Type));
    // Whatever a revoked key has signed is dead at once, at every node.
    let revoke = format!("/v1/keys/{kid}/revoke");
    cluster.operator(2).post(&revoke, &json!({ "reason": "stolen" })).await.ok();
    for place in PLACES {
        for token in [&good, &forge(Typ::Publisher, json!({}))] {
            let refused = publish(&cluster, place, token, "com.example/late").await;
            assert_eq!(refused.status, 401, "node {place}: {}", refused.text);
        }
    }
    // The node goes on with its spare.
    let next = wait_until("the node signs with its spare", async || {
        let answer = prove(&cluster, 0, "/v0/auth/dns", &signed(SEED, "example.com")).await;
        (answer.status == 200).then(|| answer.body["registry_token"].as_str().unwrap().to_owned())
    })
    .await;
    publish(&cluster, 2, &next, "com.example/next").await.ok();
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_that_prove_nothing_are_refused_without_a_word_about_why() {
    let (options, provider) = options().await;
    let cluster = Cluster::start_with(1, options).await;
    let jwt = |more: Value| json!({ "oidc_token": provider.token(more) });
    let mut late = signed(SEED, "example.com");
    late["timestamp"] = json!("2026-01-01T00:00:00Z");
    for (path, proof) in [
        ("/v0/auth/dns", signed([8; 32], "example.com")),
        ("/v0/auth/dns", signed(SEED, "other.example")),
        ("/v0/auth/dns", late),
        // It has an address, where nobody listens.
        ("/v0/auth/http", signed(SEED, "example.com")),
        ("/v0/auth/github-at", json!({ "github_token": "gho_eve" })),
        ("/v0/auth/github-oidc", jwt(json!({ "repository_owner": "*" }))),
        ("/v0/auth/github-oidc", jwt(json!({ "repository_owner": "octo", "aud": "https://other.example" }))),
        ("/v0/auth/oidc", jwt(json!({ "team": "other" }))),
        ("/v0/auth/oidc", jwt(json!({ "team": "platform", "exp": now() - 60 }))),
        ("/v0/auth/oidc", jwt(json!({ "team": "platform", "iss": "https://other.example" }))),
    ] {
        let refused = prove(&cluster, 0, path, &proof).await;
        assert_eq!((refused.status, refused.code()), (401, "unauthenticated"), "{path}: {}", refused.text);
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("not proven: "), "{path}: {detail}");
    }
    assert!(cluster.node(0).log().contains("the signature is of none of the 1 keys that it publishes"));
    for (path, body) in [
        ("/v0/auth/dns", json!({ "domain": "example.com" })),
        ("/v0/auth/dns", signed(SEED, "127.0.0.1")),
        ("/v0/auth/dns", signed(SEED, "localhost")),
        ("/v0/auth/http", signed(SEED, "example.com:8080")),
        ("/v0/auth/oidc", json!({ "oidc_token": "x" })),
        ("/v0/auth/github-at", json!({ "github_token": "two words" })),
    ] {
        let refused = prove(&cluster, 0, path, &body).await;
        assert_eq!((refused.status, refused.code()), (400, "invalid_request"), "{path}: {}", refused.text);
    }
    // Closed ways are not there.
    let closed = prove(&cluster, 0, "/v0.1/auth/none", &json!({})).await;
    assert_eq!((closed.status, closed.code()), (404, "not_found"));
    let named = cluster
        .node(0)
        .door()
        .with_token(&token(&cluster, 0, "/v0/auth/dns", &signed(SEED, "example.com")).await);
    let request = named.request(reqwest::Method::POST, "/v0/publish").header("idempotency-key", "k");
    let refused = named.try_send(request.json(&document("com.example/a", "1.0.0"))).await.unwrap();
    assert_eq!(refused.code(), "invalid_request", "{}", refused.text);
    // Nothing that anybody has shown stands in the log.
    let log = cluster.node(0).log();
    assert!(!log.contains("gho_") && !log.contains("eyJ"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_nothing_inside_is_asked_and_strangers_are_bounded() {
    let names = NameServer::start().await;
    let options = Options::default()
        .set("HAPI_OUTBOUND_DNS_SERVER", &names.0.to_string())
        .set("HAPI_PUBLISHER_AUTH_METHODS", "http,none")
        .set("HAPI_PUBLISHER_AUTH_PER_MINUTE", "3");
    let cluster = Cluster::start_with(1, options).await;
    let refused = prove(&cluster, 0, "/v0/auth/http", &signed(SEED, "example.com")).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let log = cluster.node(0).log();
    assert!(log.contains("example.com is at 127.0.0.1, which is not public"), "{log}");
    let health = cluster.node(0).door().get("/v0/health").await.ok();
    assert_eq!(health, json!({ "status": "ok" }));
    let nobody = token(&cluster, 0, "/v0/auth/none", &json!({})).await;
    publish(&cluster, 0, &nobody, "io.modelcontextprotocol.anonymous/a").await.ok();
    let beside = publish(&cluster, 0, &nobody, "io.modelcontextprotocol/a").await;
    assert_eq!(beside.code(), "namespace_forbidden");
    token(&cluster, 0, "/v0/auth/none", &json!({})).await;
    let many = prove(&cluster, 0, "/v0/auth/none", &json!({})).await;
    assert_eq!((many.status, many.code()), (429, "rate_limited"), "{}", many.text);
    assert!(
        many.body["retry_after"].as_u64().is_some_and(|seconds| (1..=20).contains(&seconds)),
        "{}",
        many.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_proves_a_domain_and_publishes() {
    let (options, _provider) = options().await;
    let cluster = Cluster::start_with(1, options).await;
    let file = |name: &str, text: &str| {
        let path = cluster.scratch().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let key = file("key", &SEED.map(|byte| format!("{byte:02x}")).concat());
    let run = |args: &[&str]| {
        let output = command().args(args).env("HAPI_NODES", cluster.node(0).http()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        (String::from_utf8(output.stdout).unwrap(), said)
    };
    let key = key.display().to_string();
    let (token, said) =
        run(&["publisher-token", "dns", "--domain", "example.com", "--private-key-file", &key]);
    assert!(said.contains("example.com must publish: v=MCPv1; k=ed25519; p="), "{said}");
    let token = file("token", &token).display().to_string();
    let server = file("server.json", &document("com.example/a", "1.0.0").to_string()).display().to_string();
    let (published, _) = run(&["publish", &server, "--token-file", &token]);
    assert!(published.contains("published com.example/a@1.0.0"), "{published}");
}
