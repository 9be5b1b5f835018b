#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use crate::outbound::{Ask, Fetched, OutboundError};
use async_trait::async_trait;
use aws_lc_rs::{
    encoding::AsDer,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex},
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// All clocks, so many seconds after [`NOW`].
fn clocks(later: u64) -> Reading {
    let steady = Duration::from_secs(1_000 + later);
    Reading { boot: steady, raw: steady, wall: NOW.plus_seconds(later) }
}

const ISSUER: &str = "https://idp.example";
const ACTIONS: &str = "https://actions.example";
const AUDIENCE: &str = "https://registry.example";
const FILE: &str = "https://example.com/.well-known/mcp-registry-auth";

/// A world outside that says what a test wrote, and remembers what it was asked.
#[derive(Default)]
struct World {
    texts: BTreeMap<String, Vec<String>>,
    pages: Mutex<BTreeMap<String, (u16, String)>>,
    asked: Mutex<Vec<String>>,
}

impl World {
    fn page(self, url: &str, status: u16, body: impl ToString) -> Self {
        self.put(url, status, body);
        self
    }

    fn put(&self, url: &str, status: u16, body: impl ToString) {
        self.pages.lock().unwrap().insert(url.into(), (status, body.to_string()));
    }

    fn texts(mut self, name: &str, texts: &[String]) -> Self {
        self.texts.insert(name.into(), texts.to_vec());
        self
    }

    fn times_asked(&self, url: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == url).count()
    }
}

#[async_trait]
impl Outside for World {
    async fn texts(&self, name: &str) -> Result<Vec<String>, OutboundError> {
        let none = || OutboundError::Lookup { host: name.into(), reason: "no such name".into() };
        self.texts.get(name).cloned().ok_or_else(none)
    }

    async fn fetch(&self, ask: Ask) -> Result<Fetched, OutboundError> {
        let url = ask.url.to_string();
        self.asked.lock().unwrap().push(url.clone());
        if url.starts_with("https://api.github.example") {
            let bearer = ask.headers.get(header::AUTHORIZATION).unwrap();
            assert!(bearer.is_sensitive() && bearer.to_str().unwrap().starts_with("Bearer "));
        }
        let found = self.pages.lock().unwrap().get(&url).cloned();
        let (status, body) = found.ok_or(OutboundError::Exchange("connection refused".into()))?;
        if body.len() > ask.most_bytes {
            return Err(OutboundError::TooLarge(ask.most_bytes));
        }
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Fetched { status, headers: HeaderMap::new(), body: body.into_bytes() })
    }
}

fn settings() -> config::PublisherAuth {
    let rule = |claim: &str, value: &str, globs: &[&str]| OidcRule {
        claim: claim.into(),
        value: value.into(),
        namespaces: globs.iter().map(|glob| glob.parse().unwrap()).collect(),
    };
    config::PublisherAuth {
        methods: Method::ALL.to_vec(),
        github_api: "https://api.github.example/".into(),
        github_issuer: ACTIONS.into(),
        github_audience: Some(AUDIENCE.into()),
        oidc: vec![OidcIssuer {
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            jwks_url: Some(format!("{ISSUER}/keys")),
            rules: vec![
                rule("groups", "platform", &["com.example", "com.example.*"]),
                rule("email", "ann@example.com", &["com.example.ann"]),
            ],
        }],
        ..config::Config::default().publisher_auth
    }
}

fn auth(world: World) -> (PublisherAuth, Arc<World>) {
    let world = Arc::new(world);
    (PublisherAuth::new(&settings(), world.clone()), world)
}

fn shown(proven: Result<Proven, Refusal>) -> String {
    let Proven { subject, namespaces } = proven.unwrap();
    let globs: Vec<_> = namespaces.iter().map(ToString::to_string).collect();
    format!("{subject} in {}", globs.join(" "))
}

// Domains.

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn record(seed: u8) -> String {
    format!("v=MCPv1; k=ed25519; p={}", BASE64_STANDARD.encode(key(seed).public_key()))
}

/// What a publisher sends whose clock differs from ours by so many seconds.
fn signed(seed: u8, domain: &str, ahead: i64) -> SignedTime {
    let at = Timestamp::from_seconds(NOW.seconds().checked_add_signed(ahead).unwrap()).to_string();
    let signature = key(seed).sign(at.as_bytes());
    let digits: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    proof(domain, &at, &digits)
}

fn proof(domain: &str, timestamp: &str, signed_timestamp: &str) -> SignedTime {
    let value = json!({ "domain": domain, "timestamp": timestamp, "signed_timestamp": signed_timestamp });
    serde_json::from_value(value).unwrap()
}

async fn by_dns(texts: &[String], proof: &SignedTime) -> Result<Proven, Refusal> {
    auth(World::default().texts("example.com", texts)).0.domain(proof, Place::Dns, NOW).await
}

async fn by_http(status: u16, body: impl ToString, proof: &SignedTime) -> Result<Proven, Refusal> {
    auth(World::default().page(FILE, status, body)).0.domain(proof, Place::Http, NOW).await
}

fn assert_unproven(proven: Result<Proven, Refusal>, why: &str) {
    match proven {
        Err(Refusal::Unproven(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{why}: {other:?}"),
    }
}

#[tokio::test]
async fn a_domain_is_proven_by_any_of_its_keys() {
    let proof = signed(1, "Example.com", 0);
    let expected = "dns:example.com in com.example com.example.*";
    assert_eq!(shown(by_dns(&[record(1)], &proof).await), expected);
    let junk = ["v=spf1 -all".into(), "v=MCPv1; k=ed25519; p=AAAA".into(), record(2), record(1)];
    assert_eq!(shown(by_dns(&junk, &proof).await), expected);
    for ahead in [-15, 15] {
        assert!(by_dns(&[record(1)], &signed(1, "example.com", ahead)).await.is_ok(), "{ahead}");
    }
}

#[tokio::test]
async fn a_host_is_proven_by_its_file_and_nothing_below_it() {
    let proof = signed(1, "example.com", 0);
    let body = format!("# ours\n{}\n{}\n", record(2), record(1));
    assert_eq!(shown(by_http(200, body, &proof).await), "http:example.com in com.example");
}

#[tokio::test]
async fn a_proof_of_another_key_domain_or_time_proves_nothing() {
    let good = [record(1)];
    assert_unproven(by_dns(&good, &signed(2, "example.com", 0)).await, "of none of the 1 keys");
    assert_unproven(by_dns(&good, &signed(1, "example.com", -16)).await, "the time that was signed");
    assert_unproven(by_dns(&good, &signed(1, "example.com", 16)).await, "the time that was signed");
    assert_unproven(by_dns(&good, &signed(1, "other.example", 0)).await, "no such name");
    assert_unproven(by_dns(&[], &signed(1, "example.com", 0)).await, "publishes no key");
    assert_unproven(by_dns(&["v=MCPv1; k=rsa; p=AAAA".into()], &signed(1, "example.com", 0)).await, "no key");
    // More keys than any change needs: the rest is not tried.
    let many: Vec<_> = (10..40).map(record).chain([record(1)]).collect();
    assert_unproven(by_dns(&many, &signed(1, "example.com", 0)).await, "of none of the 8 keys");
    // The same instant written otherwise is another text, and not what was signed.
    let mut moved = serde_json::json!({ "domain": "example.com", "timestamp": "2027-01-15T08:00:00+00:00" });
    let digits: String =
        key(1).sign(NOW.to_string().as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    moved["signed_timestamp"] = digits.into();
    assert_unproven(by_dns(&good, &serde_json::from_value(moved).unwrap()).await, "of none of the 1 keys");
}

#[tokio::test]
async fn a_file_that_is_elsewhere_missing_or_endless_proves_nothing() {
    let proof = signed(1, "example.com", 0);
    assert_unproven(by_http(302, record(1), &proof).await, "302");
    assert_unproven(by_http(404, record(1), &proof).await, "404");
    assert_unproven(by_http(200, "x".repeat(5_000), &proof).await, "longer than 4096 bytes");
    assert_unproven(by_http(200, "<html>", &proof).await, "no key");
}

#[tokio::test]
async fn what_is_no_proof_at_all_is_said_to_the_sender() {
    let time = NOW.to_string();
    let (short, digits) = ("ab".repeat(63), "ab".repeat(64));
    for (domain, timestamp, signature, field) in [
        ("127.0.0.1", &*time, &*digits, "`domain`"),
        ("localhost", &time, &digits, "`domain`"),
        ("example.com:80", &time, &digits, "`domain`"),
        ("example.com", "yesterday", &digits, "`timestamp`"),
        ("example.com", &time, "xyz", "`signed_timestamp`"),
        ("example.com", &time, &short, "`signed_timestamp`"),
        ("example.com", &time, &digits[1..], "`signed_timestamp`"),
    ] {
        match by_dns(&[record(1)], &proof(domain, timestamp, signature)).await {
            Err(Refusal::Malformed(text)) => assert!(text.contains(field), "{text}"),
            other => panic!("{domain} {timestamp}: {other:?}"),
        }
    }
}

// Identity providers.

/// A key of an issuer, which signs with either algorithm.
struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: &'static str,
}

static EC: LazyLock<Signer> = LazyLock::new(|| {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new())
            .unwrap();
    Signer { key: EncodingKey::from_ec_der(document.as_ref()), algorithm: Algorithm::ES256, kid: "ec" }
});

static RSA: LazyLock<Signer> = LazyLock::new(|| {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    // PKCS #8 wraps what PKCS #1 has, and its first 26 bytes say so.
    Signer { key: EncodingKey::from_rsa_der(&der.as_ref()[26..]), algorithm: Algorithm::RS256, kid: "rsa" }
});

impl Signer {
    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.into()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    fn jwk(&self) -> Value {
        let mut key = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        key.common.key_id = Some(self.kid.into());
        serde_json::to_value(key).unwrap()
    }
}

fn set(signers: &[&Signer]) -> Value {
    let strange = json!({ "kty": "AKP", "kid": "new", "pub": "x" });
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).chain([strange]).collect();
    json!({ "keys": keys })
}

fn claims() -> Value {
    let now = NOW.seconds();
    json!({
        "iss": ISSUER, "sub": "ann", "aud": ["other", AUDIENCE], "iat": now, "nbf": now, "exp": now + 300,
        "groups": ["staff", "platform"],
    })
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn provider() -> World {
    World::default().page(&format!("{ISSUER}/keys"), 200, set(&[&EC, &RSA]))
}

async fn by_oidc(token: &str) -> Result<Proven, Refusal> {
    auth(provider()).0.oidc(token, &clocks(0)).await
}

#[tokio::test]
async fn a_token_of_a_provider_grants_what_its_rules_say() {
    for signer in [&*EC, &*RSA] {
        let proven = by_oidc(&signer.sign(&claims())).await;
        assert_eq!(shown(proven), "oidc:idp.example:ann in com.example com.example.*");
    }
    let both = with("email", json!("ann@example.com"));
    assert!(shown(by_oidc(&EC.sign(&both)).await).ends_with("com.example com.example.* com.example.ann"));
    let early = Reading { wall: Timestamp::from_seconds(NOW.seconds() - 10), ..clocks(0) };
    for now in [early, clocks(309)] {
        let proven = auth(provider()).0.oidc(&EC.sign(&claims()), &now).await;
        assert!(proven.is_ok(), "{proven:?}");
    }
}

#[tokio::test]
async fn a_token_of_others_for_others_or_of_another_time_proves_nothing() {
    let now = NOW.seconds();
    for (claim, value, why) in [
        ("iss", json!("https://evil.example"), "no issuer that is set"),
        ("iss", json!(format!("{ISSUER}/")), "no issuer that is set"),
        ("aud", json!("https://other.example"), "InvalidAudience"),
        ("aud", Value::Null, "Missing required claim: aud"),
        ("exp", json!(now - 11), "has ended"),
        ("exp", json!("soon"), "Missing required claim: exp"),
        ("nbf", json!(now + 11), "begins in the future"),
        ("iat", json!(now + 11), "begins in the future"),
        ("groups", json!(["staff"]), "no rule grants"),
        ("groups", json!({ "platform": true }), "no rule grants"),
        ("sub", Value::Null, "no `sub`"),
    ] {
        assert_unproven(by_oidc(&EC.sign(&with(claim, value))).await, why);
    }
}

#[tokio::test]
async fn neither_the_algorithm_nor_the_key_comes_from_the_token() {
    let encode = |value: &Value| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let forged =
        |header: Value, signature: &str| format!("{}.{}.{signature}", encode(&header), encode(&claims()));
    let none = forged(json!({ "alg": "none", "kid": "ec" }), "");
    assert_unproven(by_oidc(&none).await, "its key is for ES256");
    let unnamed = forged(json!({ "alg": "ES256" }), "AAAA");
    assert_unproven(by_oidc(&unnamed).await, "does not name its key");
    let critical = forged(json!({ "alg": "ES256", "kid": "ec", "crit": ["b64"] }), "AAAA");
    assert_unproven(by_oidc(&critical).await, "extensions");
    // The public key as the secret of a symmetric algorithm.
    let secret = EncodingKey::from_secret(RSA.jwk()["n"].as_str().unwrap().as_bytes());
    let header = Header { kid: Some("rsa".into()), ..Header::new(Algorithm::HS256) };
    let symmetric = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_unproven(by_oidc(&symmetric).await, "its key is for RS256");
    // A key of the other kind, under the name of the first.
    let crossed = Header { kid: Some("rsa".into()), ..Header::new(Algorithm::ES256) };
    let crossed = jsonwebtoken::encode(&crossed, &claims(), &EC.key).unwrap();
    assert_unproven(by_oidc(&crossed).await, "its key is for RS256");
    // Claims that were changed after signing.
    let signed = EC.sign(&claims());
    let parts: Vec<_> = signed.split('.').collect();
    let changed = format!("{}.{}.{}", parts[0], encode(&with("sub", json!("eve"))), parts[2]);
    assert_unproven(by_oidc(&changed).await, "InvalidSignature");
    for junk in ["", "a.b.c", "no token", &format!("{}.x.y", "a".repeat(20_000))] {
        assert!(matches!(by_oidc(junk).await, Err(Refusal::Malformed(_))), "{junk}");
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_for_an_unknown_one_but_not_often() {
    let (auth, world) = auth(World::default().page(&format!("{ISSUER}/keys"), 200, set(&[&RSA])));
    let asked = |times: usize| assert_eq!(world.times_asked(&format!("{ISSUER}/keys")), times);
    let (known, new) = (RSA.sign(&claims()), EC.sign(&claims()));
    for _ in 0..3 {
        auth.oidc(&known, &clocks(0)).await.unwrap();
    }
    asked(1);
    // The issuer changes its key; whoever writes an unknown name meanwhile causes no further question.
    world.put(&format!("{ISSUER}/keys"), 200, set(&[&RSA, &EC]));
    for _ in 0..3 {
        assert_unproven(auth.oidc(&new, &clocks(29)).await, "does not publish the key");
    }
    asked(1);
    auth.oidc(&new, &clocks(30)).await.unwrap();
    auth.oidc(&known, &clocks(30)).await.unwrap();
    asked(2);
    // Without news for five minutes the issuer is asked again; as long as it does not answer the old keys do, for an hour.
    world.put(&format!("{ISSUER}/keys"), 500, "");
    let long = RSA.sign(&with("exp", json!(NOW.seconds() + 7_200)));
    auth.oidc(&long, &clocks(329)).await.unwrap();
    asked(2);
    auth.oidc(&long, &clocks(330)).await.unwrap();
    asked(3);
    auth.oidc(&long, &clocks(3_629)).await.unwrap();
    let refused = auth.oidc(&long, &clocks(3_630)).await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn an_issuer_that_gives_no_keys_is_not_the_publishers_fault() {
    let (auth, _) = auth(World::default());
    assert!(matches!(auth.oidc(&EC.sign(&claims()), &clocks(0)).await, Err(Refusal::Unavailable(_))));
}

// GitHub.

fn actions(metadata_issuer: &str) -> World {
    let metadata = json!({ "issuer": metadata_issuer, "jwks_uri": format!("{ACTIONS}/.well-known/jwks") });
    World::default().page(&format!("{ACTIONS}/.well-known/openid-configuration"), 200, metadata).page(
        &format!("{ACTIONS}/.well-known/jwks"),
        200,
        set(&[&RSA]),
    )
}

fn workflow(owner: &str) -> String {
    let mut claims = with("repository_owner", json!(owner));
    (claims["iss"], claims["sub"]) = (json!(ACTIONS), json!("repo:octo-org/tools:ref:refs/heads/main"));
    RSA.sign(&claims)
}

#[tokio::test]
async fn a_workflow_publishes_for_the_owner_of_its_repository() {
    let (auth, _) = auth(actions(ACTIONS));
    let proven = auth.github_oidc(&workflow("octo-org"), &clocks(0)).await;
    let expected = "github-oidc:repo:octo-org/tools:ref:refs/heads/main in io.github.octo-org";
    assert_eq!(shown(proven), expected);
    for owner in ["*", "octo/*", "octo.org", "-octo", "octo-", "", "octo_corp", &"x".repeat(40)] {
        assert_unproven(auth.github_oidc(&workflow(owner), &clocks(0)).await, "cannot be a namespace");
    }
    // A token of the other issuer, whose keys are another's.
    assert_unproven(auth.github_oidc(&EC.sign(&claims()), &clocks(0)).await, "does not publish the key");
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed() {
    let (auth, _) = auth(actions("https://evil.example"));
    let refused = auth.github_oidc(&workflow("octo-org"), &clocks(0)).await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");
}

const USER: &str = "https://api.github.example/user";

fn memberships(page: usize) -> String {
    format!("https://api.github.example/user/memberships/orgs?state=active&per_page=100&page={page}")
}

fn membership(name: &str, role: &str) -> Value {
    json!({ "state": "active", "role": role, "organization": { "login": name, "id": 1 } })
}

fn github(login: &str, organisations: &[Value]) -> World {
    World::default().page(USER, 200, json!({ "login": login, "id": 7 })).page(
        &memberships(1),
        200,
        json!(organisations),
    )
}

async fn by_account(world: World) -> Result<Proven, Refusal> {
    auth(world).0.github_at("gho_secret").await
}

#[tokio::test]
async fn an_account_publishes_for_itself_and_for_the_organisations_that_it_owns() {
    let organisations = [
        membership("Octo-Org", "admin"),
        membership("acme", "member"),
        membership("bad*name", "admin"),
        json!({ "state": "pending", "role": "admin", "organization": { "login": "later" } }),
    ];
    let proven = by_account(github("alice", &organisations)).await;
    assert_eq!(shown(proven), "github:alice in io.github.alice io.github.Octo-Org");
    // A token that may not read memberships.
    let minimal = github("alice", &[]).page(&memberships(1), 403, "{}");
    assert_eq!(shown(by_account(minimal).await), "github:alice in io.github.alice");
}

#[tokio::test]
async fn further_pages_of_organisations_are_read_and_the_grant_stays_bounded() {
    let page = |from: usize| -> Value {
        (from..from + 100).map(|number| membership(&format!("o{number}"), "admin")).collect()
    };
    let world =
        github("alice", &[]).page(&memberships(1), 200, page(0)).page(&memberships(2), 200, json!([]));
    assert_eq!(by_account(world).await.unwrap().namespaces.len(), 64);
}

#[tokio::test]
async fn an_account_that_github_does_not_know_or_that_cannot_be_a_namespace_proves_nothing() {
    assert_unproven(by_account(World::default().page(USER, 401, "{}")).await, "401");
    for login in ["a*", "a/b", "a.b", "", "-"] {
        assert_unproven(by_account(github(login, &[])).await, "cannot be a namespace");
    }
    for world in [
        World::default(),
        World::default().page(USER, 500, "{}"),
        World::default().page(USER, 200, "[]"),
        github("alice", &[]).page(&memberships(1), 502, ""),
    ] {
        let refused = by_account(world).await;
        assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");
    }
    for token in ["", "two words", "é", &"x".repeat(2_000)] {
        let refused = auth(github("alice", &[])).0.github_at(token).await;
        assert!(matches!(refused, Err(Refusal::Malformed(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn nobody_publishes_in_one_namespace() {
    let nobody = auth(World::default()).0.nobody();
    assert_eq!(shown(nobody), "none:anonymous in io.modelcontextprotocol.anonymous");
}

#[test]
fn strangers_are_let_in_one_by_one() {
    let settings = config::PublisherAuth { per_minute: 2, methods: Vec::new(), ..settings() };
    let auth = PublisherAuth::new(&settings, Arc::new(World::default()));
    assert!(Method::ALL.iter().all(|method| !auth.offers(*method)));
    assert!(auth.admit().is_ok() && auth.admit().is_ok());
    assert!(matches!(auth.admit(), Err(Refusal::RateLimited(_))));
    let settings = config::PublisherAuth { per_minute: 1_000, ..settings };
    let auth = PublisherAuth::new(&settings, Arc::new(World::default()));
    let held: Vec<_> = (0..PLACES).map(|_| auth.admit().unwrap()).collect();
    assert_eq!(auth.admit().err(), Some(Refusal::Busy));
    drop(held);
    assert!(auth.admit().is_ok());
}
