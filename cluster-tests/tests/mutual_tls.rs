//! Clients that prove themselves by certificates: for a connect, at OAuth's token endpoint and for the catalog.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hapi_cluster_tests::{
    Answer, Authority, Cluster, Metrics, Options, document, identity, publish_all, wait_until,
};
use rcgen::SanType;
use reqwest::{Client, RequestBuilder};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const SERVER: &str = "ai.acme/a";
const ID: &str = "spiffe://acme.example/agent";

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

/// A cluster whose nodes have certificates of one authority, and verify clients by another.
struct World {
    nodes: Authority,
    clients: Authority,
    cluster: Cluster,
}

impl World {
    fn options(nodes: &Authority, clients: &Authority) -> Options {
        clients.of_clients(nodes.settings(Options::default()))
    }

    async fn start(size: usize) -> Self {
        let (nodes, clients) = (Authority::new(), Authority::new());
        let cluster = Cluster::start_with(size, Self::options(&nodes, &clients)).await;
        publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
        Self { nodes, clients, cluster }
    }

    async fn register(&self, id: &str, certificates: Value) -> Answer {
        let body = json!({ "certificates": certificates });
        self.cluster.operator(0).put(&format!("/v1/clients/{id}"), &body).await
    }

    /// Somebody who shows a certificate of these names, on one connection for all requests.
    fn holder(&self, of: &Authority, names: Vec<SanType>) -> Client {
        self.bearer(&of.certify(names))
    }

    fn bearer(&self, pair: &(String, String)) -> Client {
        self.nodes.client().pool_max_idle_per_host(1).identity(identity(pair)).build().unwrap()
    }

    async fn connect(&self, client: &Client, place: usize) -> Answer {
        self.ask(self.request(client, place)).await
    }

    fn request(&self, client: &Client, place: usize) -> RequestBuilder {
        let url = format!("{}/v1/connect", self.cluster.node(place).http());
        client.post(url).json(&json!({ "server_ref": SERVER }))
    }

    async fn ask(&self, request: RequestBuilder) -> Answer {
        self.cluster.node(0).door().try_send(request).await.unwrap()
    }

    /// At the token endpoint, with these fields beside the usual ones.
    async fn token(&self, client: &Client, fields: &[(&str, &str)]) -> Answer {
        let resource = document(SERVER, "1.0.0")["remotes"][0]["url"].as_str().unwrap().to_owned();
        let mut form = format!("grant_type=client_credentials&resource={resource}");
        fields.iter().for_each(|(name, value)| form.push_str(&format!("&{name}={value}")));
        let url = format!("{}/oauth2/token", self.cluster.node(0).http());
        let kind = "application/x-www-form-urlencoded";
        self.ask(client.post(url).header("content-type", kind).body(form)).await
    }

    async fn get(&self, client: &Client, path: &str) -> Answer {
        self.ask(client.get(format!("{}{path}", self.cluster.node(0).http()))).await
    }
}

/// Who boards, by the descriptor.
fn client_of(answer: &Answer) -> String {
    let token = answer.body["descriptor"].as_str().or(answer.body["access_token"].as_str()).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["client_id"].as_str().unwrap().to_owned()
}

fn thumbprint((certificate, _): &(String, String)) -> String {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    BASE64_URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der))
}

#[tokio::test]
async fn a_certificate_is_the_client_that_it_is_registered_for() {
    let world = World::start(1).await;
    let own = world.clients.certify(vec![]);
    world.register("agent", json!([{ "san_uri": ID }, { "san_dns": "Agent.acme.example" }])).await.ok();
    world.register("lone", json!([{ "x5t#S256": thumbprint(&own) }])).await.ok();
    for (client, names) in
        [("agent", vec![uri(ID)]), ("agent", vec![dns("other.example"), dns("agent.acme.example")])]
    {
        let answer = world.connect(&world.holder(&world.clients, names), 0).await;
        assert_eq!((answer.status, client_of(&answer).as_str()), (200, client), "{}", answer.text);
    }
    assert_eq!(client_of(&world.connect(&world.bearer(&own), 0).await), "lone");

    let unknown =
        world.connect(&world.holder(&world.clients, vec![uri("spiffe://acme.example/other")]), 0).await;
    assert_eq!((unknown.status, unknown.code()), (401, "unauthenticated"));
    let both = world.clients.certify(vec![uri(ID), uri("spiffe://acme.example/third")]);
    assert_eq!(client_of(&world.connect(&world.bearer(&both), 0).await), "agent");
    world.register("third", json!([{ "san_uri": "spiffe://acme.example/third" }])).await.ok();
    assert_eq!(world.connect(&world.bearer(&both), 0).await.status, 401, "it leads to two clients");
    let stranger = world.holder(&Authority::new(), vec![uri(ID)]);
    assert!(
        world.request(&stranger, 0).send().await.is_err(),
        "another authority's certificate ends the handshake"
    );

    let taken = world.register("fourth", json!([{ "san_uri": ID }])).await;
    assert_eq!((taken.status, taken.code()), (409, "certificate_taken"), "{}", taken.text);
    for wrong in [
        json!([{ "san_uri": "agent" }]),
        json!([{ "san_dns": "*.acme.example" }]),
        json!([{ "x5t#S256": "00" }]),
    ] {
        assert_eq!(world.register("fourth", wrong.clone()).await.code(), "invalid_request", "{wrong}");
    }
    assert_eq!(world.register("fourth", json!([{ "subject": "x" }])).await.status, 400);
    let shown = world.cluster.operator(0).get("/v1/clients").await.ok();
    let agent = shown["clients"].as_array().unwrap().iter().find(|client| client["id"] == "agent").unwrap();
    assert_eq!(agent["certificates"][1], json!({ "san_dns": "agent.acme.example" }));

    let metrics = Metrics::of(&world.cluster.node(0).door()).await;
    assert!(metrics.sum("hapi_client_certificates_total", &[("outcome", "granted")]) >= 4.0);
    assert!(metrics.sum("hapi_client_certificates_total", &[("outcome", "unknown")]) >= 2.0);
}

#[tokio::test]
async fn a_connection_that_is_open_is_judged_with_every_request() {
    let world = World::start(1).await;
    world.register("agent", json!([{ "san_uri": ID }])).await.ok();
    let client = world.holder(&world.clients, vec![uri(ID)]);
    assert_eq!(world.connect(&client, 0).await.status, 200);
    let moderator = world.cluster.moderator(0);
    assert_eq!(moderator.moderate("suspend", "client", "agent").await.ok()["sealed"], true);
    assert_eq!(world.connect(&client, 0).await.code(), "policy_blocked");
    moderator.moderate("reinstate", "client", "agent").await.ok();
    assert_eq!(world.connect(&client, 0).await.status, 200);
    world.register("agent", json!([])).await.ok();
    assert_eq!(world.connect(&client, 0).await.code(), "unauthenticated");
    world.register("agent", json!([{ "san_uri": ID }])).await.ok();
    assert_eq!(world.connect(&client, 0).await.status, 200);

    // Ended before, and while the connection is open.
    let ended = world.clients.certify_until(vec![uri(ID)], SystemTime::now() - Duration::from_secs(5));
    assert!(world.request(&world.bearer(&ended), 0).send().await.is_err());
    let brief =
        world.bearer(&world.clients.certify_until(vec![uri(ID)], SystemTime::now() + Duration::from_secs(4)));
    assert_eq!(world.connect(&brief, 0).await.status, 200);
    wait_until("the certificate has ended", async || match world.request(&brief, 0).send().await {
        // A connection that was begun anew ends in its handshake.
        Err(_) => Some(()),
        Ok(answer) => (answer.status() == 401).then_some(()),
    })
    .await;
}

#[tokio::test]
async fn a_token_decides_whatever_certificate_stands_beside_it() {
    let world = World::start(1).await;
    world.register("agent", json!([{ "san_uri": ID }])).await.ok();
    let client = world.holder(&world.clients, vec![uri(ID)]);
    let with = |token: &str| world.request(&client, 0).bearer_auth(token);
    let answer = world.ask(with(world.cluster.client_token())).await;
    assert_eq!(client_of(&answer), "tester");
    assert_eq!(world.ask(with("hapi_client_x")).await.status, 401, "a bad token is not made good");
    assert_eq!(world.ask(with(world.cluster.moderator_token())).await.code(), "forbidden");
    world.cluster.moderator(0).moderate("suspend", "client", "tester").await.ok();
    assert_eq!(world.ask(with(world.cluster.client_token())).await.code(), "policy_blocked");
}

#[tokio::test]
async fn oauth_takes_a_certificate_with_the_clients_id() {
    let world = World::start(1).await;
    world.register("agent", json!([{ "san_uri": ID }])).await.ok();
    let methods = |metadata: Value| metadata["token_endpoint_auth_methods_supported"].to_string();
    let path = "/.well-known/oauth-authorization-server";
    assert!(methods(world.cluster.node(0).door().get(path).await.ok()).contains("tls_client_auth"));
    let client = world.holder(&world.clients, vec![uri(ID)]);
    let granted = world.token(&client, &[("client_id", "agent")]).await;
    assert_eq!((granted.status, client_of(&granted).as_str()), (200, "agent"), "{}", granted.text);
    let anonymous = world.nodes.client().build().unwrap();
    for (who, fields) in [
        (&client, &[][..]),
        (&client, &[("client_id", "tester")]),
        (&client, &[("client_id", "agent"), ("client_secret", "x")]),
        (&anonymous, &[("client_id", "agent")]),
    ] {
        let refused = world.token(who, fields).await;
        assert_eq!((refused.status, &refused.body["error"]), (401, &json!("invalid_client")), "{fields:?}");
    }
    let secret = [("client_id", "tester"), ("client_secret", world.cluster.client_token())];
    assert_eq!(client_of(&world.token(&client, &secret).await), "tester");

    let plain = Cluster::start_with(1, world.nodes.settings(Options::default())).await;
    assert!(!methods(plain.node(0).door().get(path).await.ok()).contains("tls_client_auth"));
}

#[tokio::test]
async fn a_certificate_reads_what_its_client_sees_and_governs_nothing() {
    let world = World::start(1).await;
    let operator = world.cluster.operator(0);
    operator.put("/v1/tenants/acme", &json!({ "private_namespaces": ["ai.acme"] })).await.ok();
    operator.put("/v1/namespaces/ai.acme", &json!({ "private": true })).await.ok();
    operator
        .put("/v1/clients/agent", &json!({ "tenant": "acme", "certificates": [{ "san_uri": ID }] }))
        .await
        .ok();
    let holder = world.holder(&world.clients, vec![uri(ID)]);
    let other = world.holder(&world.clients, vec![uri("spiffe://acme.example/other")]);
    let listed = world.get(&holder, "/v0.1/servers").await.ok();
    assert_eq!(listed["servers"][0]["server"]["name"], SERVER);
    assert_eq!(world.get(&other, "/v0.1/servers").await.status, 401);
    operator.patch("/v1/settings", &json!({ "anonymous_reads": true })).await.ok();
    assert_eq!(world.get(&other, "/v0.1/servers").await.ok()["servers"], json!([]));
    assert_eq!(world.get(&holder, "/v1/clients").await.status, 401, "only tokens govern");
}

#[tokio::test]
async fn a_node_without_a_lease_hands_the_certificate_over() {
    let (nodes, clients) = (Authority::new(), Authority::new());
    let cluster = Cluster::start_leaseless(World::options(&nodes, &clients)).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    let world = World { nodes, clients, cluster };
    world.register("agent", json!([{ "san_uri": ID }])).await.ok();
    let client = world.holder(&world.clients, vec![uri(ID)]);
    let given = world.connect(&client, 2).await;
    assert_eq!((given.status, client_of(&given).as_str()), (200, "agent"), "{}", given.text);
    world.cluster.moderator(0).moderate("suspend", "client", "agent").await.ok();
    assert_eq!(world.connect(&client, 2).await.code(), "policy_blocked");
    let unknown = world.holder(&world.clients, vec![uri("spiffe://acme.example/other")]);
    assert_eq!(world.connect(&unknown, 2).await.code(), "unauthenticated");
    let metrics = Metrics::of(&world.cluster.node(2).door()).await;
    assert!(metrics.sum("hapi_handovers_total", &[("result", "answered")]) >= 2.0);
}
