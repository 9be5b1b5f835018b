//! What must never be asked, by whatever feature it is asked for, and a name server that leads there.
//!
//! Each feature that fetches has one line in [`FEATURES`]; each way inside one in [`URLS`]. A way that is closed for one
//! feature is so for all of them, since there is one way out; that a feature takes it is what is tested here.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use crate::{
    config::Config,
    health::{self, Seen},
    identity::Identities,
    mirror::{Bounds, Question, Source},
    oidc::Sent,
    publisher_auth::{Method, OidcIssuer, OidcRule, Place, PublisherAuth},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::LocalBoxFuture;
use hapi_raft::Reading;
use hapi_registry_state::{
    Command, Entry, NewToken, Principal, ProviderSettings, Registry, Role, RoleRule, SigningAlgorithm,
    Timestamp, mint,
};
use reqwest::dns::{Name, Resolve};
use serde_json::json;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
};
use tokio::net::UdpSocket;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Ways to write a URL that leads inside, to the metadata of a cloud, or to nowhere.
pub(crate) const URLS: &[&str] = &[
    // IPv4, in all the ways that the URL standard takes for an address.
    "https://127.0.0.1/",
    "https://127.0.0.1:22/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://%31%32%37.0.0.1/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    // IPv6: loopback, IPv4 inside, translated, tunnelled, unique local, link-local with and without a zone.
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a00:1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[64:ff9b::169.254.169.254]/",
    "https://[64:ff9b:1::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fc00::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    // Clouds' metadata.
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/",
    "https://100.100.100.200/",
    "https://192.0.0.192/",
    "https://168.63.129.16/",
    "https://[fd00:ec2::254]/",
    "https://[fd20:ce::254]/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://instance-data/",
    // Names.
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST/",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "https://a.localhost/",
    "https://inside.hostile.example/",
    "https://inside.hostile.example./",
    "https://inside-by-six.hostile.example/",
    "https://mapped.hostile.example/",
    "https://translated.hostile.example/",
    "https://mixed.hostile.example/",
    "https://mixed-by-six.hostile.example/",
    "https://alias.hostile.example/",
    // What looks like another host.
    "https://public.hostile.example@127.0.0.1/",
    "https://public.hostile.example:443@127.0.0.1/",
    "https://127.0.0.1\\@public.hostile.example/",
    "https://127.0.0.1#@public.hostile.example/",
    "https:127.0.0.1/",
    "https:\\\\127.0.0.1/",
    // Other schemes.
    "http://public.hostile.example/",
    "http://127.0.0.1/",
    "ftp://public.hostile.example/",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "file:///etc/passwd",
    "data:application/json,{}",
];

/// What the name server says; with several answers, one after the other, and the last one for ever.
const RECORDS: &[(&str, &[&[&str]])] = &[
    ("metadata.google.internal", &[&["169.254.169.254"]]),
    ("instance-data", &[&["169.254.169.254"]]),
    ("inside.hostile.example", &[&["10.0.0.1"]]),
    ("inside-by-six.hostile.example", &[&["fd00::1"]]),
    ("mapped.hostile.example", &[&["::ffff:127.0.0.1"]]),
    ("translated.hostile.example", &[&["64:ff9b::10.0.0.1"]]),
    ("mixed.hostile.example", &[&["8.8.8.8", "127.0.0.1"]]),
    ("mixed-by-six.hostile.example", &[&["8.8.8.8", "::1"]]),
    ("public.hostile.example", &[&["8.8.8.8"]]),
    ("rebinds.hostile.example", &[&["8.8.8.8"], &["127.0.0.1"]]),
    ("moves.hostile.example", &[&["127.0.0.1"], &["127.0.0.2"]]),
];

/// It says that this is but another name.
const ALIAS: (&str, &str) = ("alias.hostile.example", "inside.hostile.example");

/// A name server on loopback.
struct NameServer {
    address: SocketAddr,
    /// How often each name was asked for its IPv4 addresses.
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, asked) = (socket.local_addr().unwrap(), Arc::<Mutex<_>>::default());
        let counted = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let reply = answer(&buffer[..length], counted.lock().unwrap());
                let _ = socket.send_to(&reply, from).await;
            }
        });
        Self { address, asked }
    }

    fn times_asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    fn outbound(&self, allow_private: bool) -> Outbound {
        Outbound::new(&config::Outbound { allow_private, dns_server: Some(self.address) }).unwrap()
    }
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// RFC 1035 §4.1, as far as one question goes.
fn answer(query: &[u8], mut asked: MutexGuard<'_, HashMap<String, usize>>) -> Vec<u8> {
    let labels = query[12..].iter().position(|byte| *byte == 0).unwrap();
    let question = &query[12..12 + labels + 5];
    let kind = u16::from_be_bytes([question[labels + 1], question[labels + 2]]);
    let name = dotted(&question[..labels]);
    let count = asked.entry(name.clone()).or_default();
    *count += usize::from(kind == A);
    let records = if name == ALIAS.0 { alias(kind) } else { records(&name, kind, count.saturating_sub(1)) };
    let is_known = name == ALIAS.0 || RECORDS.iter().any(|(known, _)| *known == name);
    let flags: [u8; 2] = if is_known { [0x81, 0x80] } else { [0x81, 0x83] };
    let mut message =
        [&query[..2], &flags, &[0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0], question]
            .concat();
    message.extend(records.concat());
    message
}

fn dotted(mut labels: &[u8]) -> String {
    let mut parts = Vec::new();
    while let Some((length, rest)) = labels.split_first() {
        let (label, rest) = rest.split_at(usize::from(*length));
        parts.push(String::from_utf8_lossy(label).to_lowercase());
        labels = rest;
    }
    parts.join(".")
}

fn encoded(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    let mut labels: Vec<u8> = name.split('.').flat_map(label).collect();
    labels.push(0);
    labels
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length, data].concat()
}

fn records(name: &str, kind: u16, time: usize) -> Vec<Vec<u8>> {
    // The name of the question.
    addresses(name, kind, time, &[0xc0, 12])
}

fn addresses(name: &str, kind: u16, time: usize, owner: &[u8]) -> Vec<Vec<u8>> {
    let known = RECORDS.iter().find(|(known, _)| *known == name);
    let Some((_, answers)) = known else { return Vec::new() };
    let said = answers[time.min(answers.len() - 1)].iter().map(|text| text.parse().unwrap());
    let fits = said.filter_map(|address| match address {
        IpAddr::V4(ip) if kind == A => Some(record(owner, A, &ip.octets())),
        IpAddr::V6(ip) if kind == AAAA => Some(record(owner, AAAA, &ip.octets())),
        _ => None,
    });
    fits.collect()
}

fn alias(kind: u16) -> Vec<Vec<u8>> {
    let target = encoded(ALIAS.1);
    let own = record(&[0xc0, 12], CNAME, &target);
    [vec![own], addresses(ALIAS.1, kind, 0, &target)].concat()
}

/// The way out, with what came of each question.
struct Watched {
    outbound: Outbound,
    /// What the metadata of [`ISSUER`] names, if that is to be found.
    leads_to: Option<String>,
    said: Mutex<Vec<String>>,
}

const ISSUER: &str = "https://idp.hostile.example";

#[async_trait]
impl Outside for Watched {
    async fn texts(&self, name: &str) -> Result<Vec<String>, OutboundError> {
        self.outbound.texts(name).await
    }

    async fn fetch(&self, ask: Ask) -> Result<Fetched, OutboundError> {
        let metadata = format!("{ISSUER}/.well-known/openid-configuration");
        if let Some(url) = self.leads_to.as_ref().filter(|_| ask.url.as_str() == metadata) {
            let endpoints = json!({
                "issuer": ISSUER, "jwks_uri": url,
                "authorization_endpoint": ISSUER, "token_endpoint": url,
            });
            let body = endpoints.to_string().into_bytes();
            return Ok(Fetched { status: StatusCode::OK, headers: HeaderMap::new(), body });
        }
        let found = self.outbound.fetch(ask).await;
        self.said.lock().unwrap().push(found.as_ref().map_or_else(ToString::to_string, |_| "found".into()));
        found
    }
}

/// Lets publishers prove themselves by what is at a URL: the refusal, and what was said to each fetch.
async fn prove(
    outbound: Outbound,
    leads_to: Option<&str>,
    change: impl FnOnce(&mut config::PublisherAuth),
    proof: impl AsyncFnOnce(&PublisherAuth) -> String,
) -> String {
    let mut settings = config::PublisherAuth {
        methods: Method::ALL.to_vec(),
        oidc: vec![OidcIssuer {
            issuer: ISSUER.into(),
            audience: "registry".into(),
            jwks_url: None,
            rules: Vec::<OidcRule>::new(),
        }],
        ..Config::default().publisher_auth
    };
    change(&mut settings);
    let leads_to = leads_to.map(str::to_owned);
    let watched = Arc::new(Watched { outbound, leads_to, said: Mutex::default() });
    let refusal = proof(&PublisherAuth::new(&settings, watched.clone())).await;
    let said = watched.said.lock().unwrap();
    if said.is_empty() { refusal } else { said.join("; ") }
}

/// A token that an issuer seems to have signed: its keys are asked for before anything else can be known of it.
fn token_of(issuer: &str) -> String {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.{}",
        part(json!({ "alg": "ES256", "kid": "k" })),
        part(json!({ "iss": issuer, "aud": "registry" })),
        part(json!(0))
    )
}

async fn by_token(auth: &PublisherAuth, issuer: &str) -> String {
    let token = token_of(issuer);
    let now = Reading { boot: Duration::from_secs(1_000), raw: Duration::from_secs(1_000), wall: NOW };
    format!("{:?}", auth.oidc(&token, &now).await.unwrap_err())
}

async fn by_domain(outbound: Outbound, url: &str, place: Place) -> String {
    // Only https is asked, whatever is named: the rest of such a URL stands for the domain, and is none.
    let host = url.strip_prefix("https://").map_or(url, |rest| rest.split('/').next().unwrap_or_default());
    let proof = json!({ "domain": host, "timestamp": NOW.to_string(), "signed_timestamp": "0".repeat(128) });
    let proof = serde_json::from_value(proof).unwrap();
    prove(
        outbound,
        None,
        |_| (),
        async |auth| format!("{:?}", auth.domain(&proof, place, NOW).await.unwrap_err()),
    )
    .await
}

async fn by_issuer(outbound: Outbound, url: &str, jwks_url: Option<&str>) -> String {
    let issuer = if jwks_url.is_some() { ISSUER } else { url };
    let change = |settings: &mut config::PublisherAuth| {
        settings.oidc[0].issuer = issuer.to_owned();
        settings.oidc[0].jwks_url = jwks_url.map(str::to_owned);
    };
    prove(outbound, None, change, async |auth| by_token(auth, issuer).await).await
}

/// A registry that believes one provider.
fn believing(issuer: &str, jwks_url: Option<&str>) -> Registry {
    let (_, token) = mint(Role::Operator, || 7);
    let operator = NewToken {
        id: token.id.clone(),
        hash: token.hash,
        role: Role::Operator,
        client: None,
        tenant: None,
        namespaces: Vec::new(),
        expires_at: None,
    };
    let rule =
        RoleRule { claim: "groups".into(), value: "all".into(), role: Role::Auditor, namespaces: Vec::new() };
    let settings = ProviderSettings {
        issuer: issuer.into(),
        audience: "registry".into(),
        algorithms: vec![SigningAlgorithm::Es256],
        jwks_url: jwks_url.map(str::to_owned),
        roles: vec![rule],
        client_claim: "azp".into(),
        clients: Vec::new(),
        tenant: None,
        console_client_id: Some("console".into()),
    };
    let mut registry = Registry::default();
    registry.apply(1, &Entry::new(NOW, Principal::ClusterSecret, Command::Bootstrap(operator)));
    let put = Command::PutIdentityProvider { id: "corp".parse().unwrap(), settings };
    assert!(registry.apply(2, &Entry::new(NOW, Principal::Token(token.id), put)).changed());
    registry
}

async fn by_caller(outbound: Outbound, issuer: &str, jwks_url: Option<&str>) -> String {
    let watched = Arc::new(Watched { outbound, leads_to: None, said: Mutex::default() });
    let now = Reading { boot: Duration::from_secs(1_000), raw: Duration::from_secs(1_000), wall: NOW };
    let identities = Identities::new(watched.clone());
    let refusal = identities.grant(&token_of(issuer), &believing(issuer, jwks_url), &now).await.unwrap_err();
    let said = watched.said.lock().unwrap();
    if said.is_empty() { refusal.to_string() } else { said.join("; ") }
}

/// Somebody signs in at the console: the provider is asked where to, and then what a code is worth.
async fn by_console(outbound: Outbound, issuer: &str, leads_to: Option<&str>) -> String {
    let leads_to = leads_to.map(str::to_owned);
    let watched = Arc::new(Watched { outbound, leads_to, said: Mutex::default() });
    let now = Reading { boot: Duration::from_secs(1_000), raw: Duration::from_secs(1_000), wall: NOW };
    let identities = Identities::new(watched.clone());
    let corp = "corp".parse().unwrap();
    let (_, application) = identities.application(&corp, &believing(issuer, None)).unwrap();
    let sent =
        Sent { redirect_uri: "https://registry.example/back", state: "s", nonce: "n", code_verifier: "v" };
    let refusal = application.redeem(identities.outside(), "code", sent, &now).await.unwrap_err();
    let said = watched.said.lock().unwrap();
    if said.is_empty() { refusal.to_string() } else { said.join("; ") }
}

async fn by_webhook(outbound: Outbound, url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => outbound.post(url, HeaderMap::new(), String::new()).await.unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

async fn by_health_gate(outbound: Outbound, url: &str) -> String {
    match health::probe(&outbound, url, Duration::from_secs(10)).await {
        Seen::NotAllowed => "which is not public, or is not https, or has no host".into(),
        seen => format!("{seen:?}"),
    }
}

async fn by_mirror(outbound: Outbound, url: &str) -> String {
    match Source::new(url, Bounds::default(), &outbound) {
        Ok(mut source) => source.page(&Question::default()).await.unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

type Reach = for<'a> fn(Outbound, &'a str) -> LocalBoxFuture<'a, String>;

/// What each feature says when it is led to a URL.
const FEATURES: &[(&str, Reach)] = &[
    ("a mirror", |outbound, url| Box::pin(by_mirror(outbound, url))),
    ("a webhook", |outbound, url| Box::pin(by_webhook(outbound, url))),
    ("the health gate", |outbound, url| Box::pin(by_health_gate(outbound, url))),
    ("the keys of a caller's provider", |outbound, url| Box::pin(by_caller(outbound, ISSUER, Some(url)))),
    ("a caller's provider", |outbound, url| Box::pin(by_caller(outbound, url, None))),
    ("a provider by which people sign in", |outbound, url| Box::pin(by_console(outbound, url, None))),
    ("where such a provider takes codes", |outbound, url| Box::pin(by_console(outbound, ISSUER, Some(url)))),
    ("a proof over http", |outbound, url| Box::pin(by_domain(outbound, url, Place::Http))),
    ("a proof over dns", |outbound, url| Box::pin(by_domain(outbound, url, Place::Dns))),
    ("an identity provider's keys", |outbound, url| Box::pin(by_issuer(outbound, url, Some(url)))),
    ("an identity provider", |outbound, url| Box::pin(by_issuer(outbound, url, None))),
    ("what an identity provider leads to", |outbound, url| {
        Box::pin(prove(outbound, Some(url), |_| (), async |auth| by_token(auth, ISSUER).await))
    }),
    ("GitHub", |outbound, url| {
        Box::pin(prove(
            outbound,
            None,
            |settings| settings.github_api = url.to_owned(),
            async |auth| format!("{:?}", auth.github_at("gho_token").await.unwrap_err()),
        ))
    }),
    ("GitHub Actions", |outbound, url| {
        Box::pin(prove(
            outbound,
            None,
            |settings| settings.github_issuer = url.to_owned(),
            async |auth| {
                let token = format!(
                    "{}.e30.e30",
                    BASE64_URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256", "kid": "k" }).to_string())
                );
                let now = Reading { boot: Duration::ZERO, raw: Duration::ZERO, wall: NOW };
                format!("{:?}", auth.github_oidc(&token, &now).await.unwrap_err())
            },
        ))
    }),
];

/// Words that say that nobody was connected to.
const REFUSALS: &[&str] = &[
    "which is not public",
    "is not https",
    "has no host",
    "is no base URL",
    "must be a domain name",
    // A name server was asked for a text, and nobody else for anything.
    "it publishes no key",
];

#[tokio::test]
async fn no_feature_can_be_led_inside() {
    assert!(URLS.len() >= 40);
    let names = NameServer::start().await;
    let outbound = names.outbound(false);
    for (feature, reach) in FEATURES {
        for url in URLS {
            let said = reach(outbound.clone(), url).await;
            let is_refused = REFUSALS.iter().any(|refusal| said.contains(refusal));
            // What is no URL at all is asked of nobody.
            let is_none = Url::parse(url).is_err();
            assert!(is_refused || is_none, "{feature} was led to {url}: {said}");
        }
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_the_second_time_is_refused_then() {
    let names = NameServer::start().await;
    let outbound = names.outbound(false);
    let look_up = || outbound.names.resolve("rebinds.hostile.example".parse::<Name>().unwrap());
    let first: Vec<_> = look_up().await.unwrap().map(|address| address.ip().to_string()).collect();
    assert_eq!(first, ["8.8.8.8"]);
    let second = look_up().await.map(|_| ()).unwrap_err().to_string();
    assert!(second.contains("127.0.0.1, which is not public"), "{second}");
}

#[tokio::test]
async fn what_is_connected_to_is_what_was_looked_up_once() {
    let names = NameServer::start().await;
    let outbound = names.outbound(true);
    let first = tests::server_at("127.0.0.1:0", "first").await;
    let second = tests::server_at(&format!("127.0.0.2:{}", first.port()), "second").await;
    for (times, body) in [(1, "first"), (2, "second")] {
        let url = format!("http://moves.hostile.example:{}/who", second.port());
        let found = tests::fetch(&outbound, &url).await.unwrap();
        assert_eq!(found.body, body.as_bytes());
        assert_eq!(names.times_asked("moves.hostile.example"), times);
    }
}
