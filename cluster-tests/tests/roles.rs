//! Every operation × every role × every state of a credential, over HTTP: nobody may more than the table says, or less.
//!
//! The cells come from `/openapi.json`, so that no operation can be left out, and what the table says there is held
//! against the page below, which people have read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Answer, Cluster, Door, Options, Seen, Visitor, document, publish_all, wait_until};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::fmt::Write;

const ROLES: [&str; 5] = ["client", "publisher", "moderator", "auditor", "operator"];

/// In which state the credential of a role may be. What is no bearer token at all is the same for all roles.
const STATES: [&str; 6] = ["valid", "expired", "revoked", "unknown", "wrong secret", "malformed"];

/// How an operation asks who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Not at all.
    Open,
    /// By a bearer token, unless anybody may read.
    Readers,
    /// By a bearer token.
    Bearer,
    /// In OAuth's ways.
    OAuth,
}

#[derive(Clone, Debug)]
struct Operation {
    method: Method,
    path: String,
    kind: Kind,
    roles: Vec<String>,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn allows(&self, role: &str) -> bool {
        self.roles.iter().any(|allowed| allowed == role)
    }

    /// A line of the table.
    fn line(&self) -> String {
        let roles = self.roles.join(" ");
        match self.kind {
            Kind::Open => format!("{}: anybody", self.name()),
            Kind::Readers => format!("{}: {roles}, or anybody", self.name()),
            Kind::Bearer => format!("{}: {roles}", self.name()),
            Kind::OAuth => format!("{}: {roles}, in OAuth's ways", self.name()),
        }
    }
}

/// All operations, by path and method.
async fn operations(door: &Door) -> Vec<Operation> {
    let description = door.get("/openapi.json").await.ok();
    let mut operations: Vec<_> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |found| (path, found)))
        .map(|(path, (method, operation))| {
            let roles = operation["x-roles"].as_array().expect("each operation says who may");
            let roles: Vec<String> = roles.iter().map(|role| role.as_str().unwrap().to_owned()).collect();
            let kind = match operation["security"].as_array().unwrap().len() {
                0 if roles == ROLES => Kind::Open,
                0 => Kind::OAuth,
                1 => Kind::Bearer,
                _ => Kind::Readers,
            };
            Operation { method: method.to_uppercase().parse().unwrap(), path: path.clone(), kind, roles }
        })
        .collect();
    operations.sort_by_key(|operation| (operation.path.clone(), operation.method.to_string()));
    operations
}

/// What stands for the parameters of paths. None of it may keep the cluster from going on.
fn concrete(path: &str) -> String {
    let id = if path.contains("/members/") { "0000000000000009" } else { "m9" };
    let id = if path.contains("/tokens/") { "AAAAAAAAAAAA" } else { id };
    let id = if path.contains("/requests/") { "1" } else { id };
    [
        ("{server_name}", "ai.acme%2Fa"),
        ("{version}", "1.0.0"),
        ("{namespace}", "ai.other"),
        ("{kid}", "none"),
        ("{index}", "1"),
        ("{id}", id),
    ]
    .iter()
    .fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// A body that the operation can read, where it takes one.
fn body(name: &str) -> Option<Value> {
    let subject = json!({ "kind": "server", "id": "ai.acme/a" });
    Some(match name {
        "POST /v1/connect" | "POST /v0.1/x/ai.com.mcp/connect" => json!({ "server_ref": "ai.acme/a" }),
        "POST /v0.1/publish"
        | "POST /v0.1/validate"
        | "PUT /v0.1/servers/{server_name}/versions/{version}" => document("ai.acme/a", "1.0.0"),
        "PATCH /v0.1/servers/{server_name}/versions/{version}/status" => json!({ "status": "active" }),
        "PATCH /v0.1/servers/{server_name}/status" => json!({ "status": "deprecated" }),
        "POST /v1/moderation" => json!({ "act": "verify", "subject": subject, "reason": "r" }),
        "POST /v1/tokens" => json!({ "role": "auditor" }),
        "PUT /v1/namespaces/{namespace}" => json!({ "private": false }),
        "POST /v1/keys/{kid}/revoke" => json!({ "reason": "r" }),
        "POST /v1/keys/rotate" => json!({ "node": "0000000000000009" }),
        "POST /v1/import" | "POST /v1/mirrors/{id}/entries" => json!({ "servers": [] }),
        "PUT /v1/identity-providers/{id}" => {
            let rule = json!({ "claim": "groups", "value": "auditors", "role": "auditor" });
            json!({ "issuer": "https://idp.example", "audience": "registry", "rules": [rule] })
        }
        "POST /v1/moderation/requests/{id}/reject" => json!({ "reason": "r" }),
        "POST /v1/webhooks" => json!({ "id": "m9", "url": "https://a.example" }),
        "PUT /v1/webhooks/{id}" => json!({ "url": "https://b.example", "active": false }),
        "PUT /v1/mirrors/{id}" => json!({ "url": "http://127.0.0.1:1" }),
        "POST /v1/cluster/transfer-leader" => json!({ "to": "nobody" }),
        _ if name.starts_with("PUT ") || name.starts_with("PATCH ") => json!({}),
        _ => return None,
    })
}

/// The credentials of all cells.
struct Cast {
    door: Door,
    /// By role, in the order of [`STATES`].
    tokens: Vec<[String; 6]>,
    /// Of a client that is suspended, and of one whose tenant is.
    suspended: [(&'static str, String); 2],
}

impl Cast {
    async fn gather(cluster: &Cluster) -> Self {
        let mut tokens = Vec::new();
        for role in ROLES {
            tokens.push(tokens_of(cluster, role).await);
        }
        let door = cluster.node(0).door();
        let reads = async |token: &String| door.with_token(token).get("/v0.1/servers").await.status;
        for [_, expired, ..] in &tokens {
            wait_until("a token has ended", async || (reads(expired).await == 401).then_some(())).await;
        }
        let operator = cluster.operator(0);
        operator.put("/v1/tenants/barred", &json!({})).await.ok();
        let lone = cluster.make_token(json!({ "role": "client", "client": "barred" })).await;
        let member = json!({ "role": "client", "client": "member", "tenant": "barred" });
        let member = cluster.make_token(member).await;
        for kind in ["client", "tenant"] {
            cluster.moderator(0).moderate("suspend", kind, "barred").await.ok();
        }
        Self { door, tokens, suspended: [("barred", lone), ("member", member)] }
    }
}

/// Every state of a token of one role.
async fn tokens_of(cluster: &Cluster, role: &str) -> [String; 6] {
    let body = match role {
        "client" => json!({ "role": role, "client": "c1" }),
        "publisher" => json!({ "role": role, "namespaces": ["ai.acme"] }),
        _ => json!({ "role": role }),
    };
    let with = |name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        body
    };
    let valid = cluster.make_token(body.clone()).await;
    let expired = cluster.make_token(with("expires_in", json!(1))).await;
    let revoked = cluster.make_token(body.clone()).await;
    let receipt = cluster.operator(0).delete(&format!("/v1/tokens/{}", id(&revoked))).await.ok();
    assert_eq!(receipt["sealed"], true, "{receipt}");
    let unknown = forged(role, "000000000000");
    let wrong = forged(role, id(&valid));
    let mut malformed = valid.clone();
    let last = malformed.pop().unwrap();
    malformed.push(if last == '0' { '1' } else { '0' });
    [valid, expired, revoked, unknown, wrong, malformed]
}

fn id(token: &str) -> &str {
    token.split('_').nth(2).unwrap()
}

/// A token of the right form that nobody has made.
fn forged(role: &str, id: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("hapi_{role}_{id}_{}", "A".repeat(43));
    let crc = body.bytes().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let checksum = (0..6).rev().map(|place| DIGITS[(!crc / 62_u32.pow(place) % 62) as usize]);
    body + &checksum.map(char::from).collect::<String>()
}

/// The request of an operation, by somebody with `token`, or by nobody.
fn request(door: &Door, operation: &Operation, client: &str, token: Option<&str>) -> RequestBuilder {
    let resource = document("ai.acme/a", "1.0.0")["remotes"][0]["url"].as_str().unwrap().to_owned();
    match (operation.path.as_str(), token) {
        ("/oauth2/token", token) => {
            let fields = [("grant_type", "client_credentials"), ("resource", resource.as_str())];
            let form = door.form("/oauth2/token", &fields);
            if let Some(token) = token { form.basic_auth(client, Some(token)) } else { form }
        }
        (path, token) => {
            let request = match body(&operation.name()) {
                _ if path == "/oauth2/introspect" => door.form(path, &[("token", "x")]),
                Some(body) => door.request(operation.method.clone(), &concrete(path)).json(&body),
                None => door.request(operation.method.clone(), &concrete(path)),
            };
            if let Some(token) = token { request.bearer_auth(token) } else { request }
        }
    }
}

/// What came back, without waiting for the end of what has none.
async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = if status < 400 { String::new() } else { response.text().await.unwrap() };
    Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), text }
}

/// What a cell must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The call goes through to what it is about, whatever comes of that.
    Admitted,
    Unauthenticated,
    Forbidden,
    /// By the policy on the caller.
    Blocked,
}

fn verdict(answer: &Answer) -> Verdict {
    match (answer.status, answer.code()) {
        (401, "unauthenticated") => Verdict::Unauthenticated,
        (403, "forbidden") => Verdict::Forbidden,
        (400 | 403, "policy_blocked") => Verdict::Blocked,
        (status, _) if status < 500 && status != 401 => Verdict::Admitted,
        _ => panic!("no verdict: {} {}", answer.status, answer.text),
    }
}

/// What the table says of a cell.
fn expected(operation: &Operation, role: &str, state: &str) -> Verdict {
    match (operation.kind, state) {
        (Kind::Open, _) => Verdict::Admitted,
        (_, "valid") if operation.allows(role) => Verdict::Admitted,
        // An id and a secret that do not belong together are no client.
        (Kind::OAuth, "valid") if operation.path == "/oauth2/token" => Verdict::Unauthenticated,
        (_, "valid") => Verdict::Forbidden,
        _ => Verdict::Unauthenticated,
    }
}

/// Where a suspended client comes no further than another one would.
fn connects(operation: &Operation) -> bool {
    operation.path.ends_with("/connect") || operation.path == "/oauth2/token"
}

#[tokio::test]
async fn every_operation_answers_every_role_in_every_state_of_its_token_as_the_table_says() {
    // Nobody else shows as many credentials that do not count.
    let options = Options::default().set("HAPI_HTTP_FAILED_AUTH_PER_MINUTE", "0");
    let cluster = Cluster::start_with(1, options).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let cast = Cast::gather(&cluster).await;
    let operations = operations(&cast.door).await;
    let (mut cells, mut wrong) = (0, String::new());
    let mut judge = |operation: &Operation, who: &str, answer: &Answer, expected: Verdict| {
        cells += 1;
        let found = verdict(answer);
        if found != expected {
            let (name, text) = (operation.name(), &answer.text);
            writeln!(wrong, "{name}, {who}: {found:?}, and not {expected:?}: {text}").unwrap();
        }
    };
    for operation in &operations {
        for (role, tokens) in ROLES.iter().zip(&cast.tokens) {
            for (state, token) in STATES.iter().zip(tokens) {
                let answer = answer(request(&cast.door, operation, "c1", Some(token))).await;
                judge(operation, &format!("{role}, {state}"), &answer, expected(operation, role, state));
            }
        }
        let nobody = answer(request(&cast.door, operation, "c1", None)).await;
        judge(operation, "nobody", &nobody, expected(operation, "nobody", "none"));
        for (client, token) in &cast.suspended {
            let answer = answer(request(&cast.door, operation, client, Some(token))).await;
            let admitted = expected(operation, "client", "valid");
            let expected = if connects(operation) { Verdict::Blocked } else { admitted };
            judge(operation, &format!("{client}, suspended"), &answer, expected);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(cells, operations.len() * (ROLES.len() * STATES.len() + 3));
    eprintln!("{} operations, {cells} cells", operations.len());
}

#[tokio::test]
async fn where_anybody_may_read_a_token_that_is_not_good_is_refused_all_the_same() {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let door = cluster.node(0).door();
    cluster.operator(0).patch("/v1/settings", &json!({ "anonymous_reads": true })).await.ok();
    for operation in operations(&door).await {
        let nobody = verdict(&answer(request(&door, &operation, "c1", None)).await);
        let open = matches!(operation.kind, Kind::Open | Kind::Readers);
        let expected = if open { Verdict::Admitted } else { Verdict::Unauthenticated };
        assert_eq!(nobody, expected, "{}", operation.name());
        if operation.kind == Kind::Readers {
            let unknown = forged("client", "000000000000");
            let unknown = verdict(&answer(request(&door, &operation, "c1", Some(&unknown))).await);
            assert_eq!(unknown, Verdict::Unauthenticated, "{}", operation.name());
        }
    }
}

/// The pages of the console, and who may see them. They stand in no description of the API. Signing in and out, which
/// make and end what is told apart here, are tested in `console_sessions.rs`.
const PAGES: [(&str, &str, &[&str]); 13] = [
    ("GET", "/console", &ROLES),
    ("GET", "/console/servers/ai.acme/a", &ROLES),
    ("POST", "/console/moderation", &["moderator"]),
    ("GET", "/console/seals/1", &GOVERNORS),
    ("GET", "/console/requests", &GOVERNORS),
    ("POST", "/console/requests/1/confirm", &["moderator"]),
    ("POST", "/console/requests/1/reject", &["moderator"]),
    ("GET", "/console/cluster", &GOVERNORS),
    ("GET", "/console/audit", &GOVERNORS),
    ("GET", "/console/sign-in", &ANYBODY),
    ("GET", "/console/oidc/none", &ANYBODY),
    ("GET", "/console/oidc/callback", &ANYBODY),
    ("GET", "/console/assets/none", &ANYBODY),
];

const GOVERNORS: [&str; 3] = ["moderator", "auditor", "operator"];
const ANYBODY: [&str; 6] = ["client", "publisher", "moderator", "auditor", "operator", "nobody"];

/// What a page answers a script of whoever visits it.
async fn visited(visitor: &Visitor, method: &str, path: &str) -> Seen {
    let fields = [("act", "verify"), ("subject", "server/ai.acme/a"), ("reason", "r")];
    let request = match method {
        "POST" => visitor.form(path, &fields).header("sec-fetch-site", "same-origin"),
        _ => visitor.request(Method::GET, path),
    };
    visitor.send(request.header("accept", "application/json")).await
}

/// The way back from a provider, which this test has not gone, is refused to everybody.
fn verdict_of(seen: &Seen, path: &str) -> Verdict {
    match (seen.status, seen.json()["code"].as_str()) {
        (403, Some("forbidden")) if path == "/console/oidc/callback" => Verdict::Admitted,
        (401, _) => Verdict::Unauthenticated,
        (403, Some("forbidden")) => Verdict::Forbidden,
        (status, _) if status < 500 => Verdict::Admitted,
        _ => panic!("no verdict: {path}: {seen:?}"),
    }
}

#[tokio::test]
async fn every_page_of_the_console_opens_for_a_role_as_its_row_says_and_for_no_session_that_is_over() {
    let options = Options::default().set("HAPI_HTTP_FAILED_AUTH_PER_MINUTE", "0");
    let cluster = Cluster::start_with(1, options).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let base = cluster.node(0).http();
    let mut visitors = vec![("nobody", "none", Visitor::new(base))];
    let body = |role: &str| match role {
        "client" => json!({ "role": role, "client": "c1" }),
        "publisher" => json!({ "role": role, "namespaces": ["ai.acme"] }),
        _ => json!({ "role": role }),
    };
    for role in ROLES {
        visitors.push((role, "valid", Visitor::signed_in(base, &cluster.make_token(body(role)).await).await));
        let revoked = cluster.make_token(body(role)).await;
        let visitor = Visitor::signed_in(base, &revoked).await;
        cluster.operator(0).delete(&format!("/v1/tokens/{}", id(&revoked))).await.ok();
        visitors.push((role, "revoked", visitor));
        let mut brief = body(role);
        brief["expires_in"] = json!(2);
        let brief = Visitor::signed_in(base, &cluster.make_token(brief).await).await;
        wait_until("a token has ended", async || {
            (visited(&brief, "GET", "/console").await.status == 401).then_some(())
        })
        .await;
        visitors.push((role, "expired", brief));
    }
    let mut wrong = String::new();
    for (method, path, roles) in PAGES {
        for (role, state, visitor) in &visitors {
            let found = verdict_of(&visited(visitor, method, path).await, path);
            let expected = match *state {
                _ if roles.contains(&"nobody") => Verdict::Admitted,
                "valid" if roles.contains(role) => Verdict::Admitted,
                "valid" => Verdict::Forbidden,
                _ => Verdict::Unauthenticated,
            };
            if found != expected {
                writeln!(wrong, "{method} {path}, {role}, {state}: {found:?}, and not {expected:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Whoever changes this page gives or takes a right: read the difference as what it is.
#[tokio::test]
async fn the_table_is_as_it_was_read() {
    let cluster = Cluster::start(1).await;
    let operations = operations(&cluster.node(0).door()).await;
    let table: Vec<_> = operations.iter().map(Operation::line).collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    GET /.well-known/jwks.json: anybody
    GET /.well-known/mcp-connect-authority: anybody
    GET /.well-known/oauth-authorization-server: anybody
    GET /.well-known/openid-configuration: anybody
    GET /livez: anybody
    GET /metrics: anybody
    GET /oauth2/authorize: anybody
    POST /oauth2/introspect: client moderator auditor operator, in OAuth's ways
    POST /oauth2/token: client, in OAuth's ways
    GET /readyz: anybody
    POST /v0.1/auth/dns: anybody
    POST /v0.1/auth/github-at: anybody
    POST /v0.1/auth/github-oidc: anybody
    POST /v0.1/auth/http: anybody
    POST /v0.1/auth/none: anybody
    POST /v0.1/auth/oidc: anybody
    GET /v0.1/health: anybody
    GET /v0.1/ping: anybody
    POST /v0.1/publish: publisher
    GET /v0.1/servers: client publisher moderator auditor operator, or anybody
    PATCH /v0.1/servers/{server_name}/status: publisher
    GET /v0.1/servers/{server_name}/versions: client publisher moderator auditor operator, or anybody
    DELETE /v0.1/servers/{server_name}/versions/{version}: publisher
    GET /v0.1/servers/{server_name}/versions/{version}: client publisher moderator auditor operator, or anybody
    PUT /v0.1/servers/{server_name}/versions/{version}: publisher
    PATCH /v0.1/servers/{server_name}/versions/{version}/status: publisher
    POST /v0.1/validate: anybody
    GET /v0.1/version: anybody
    POST /v0.1/x/ai.com.mcp/connect: client
    GET /v1/audit: moderator auditor operator
    GET /v1/audit/head: moderator auditor operator
    GET /v1/backup: operator
    GET /v1/clients: moderator auditor operator
    PUT /v1/clients/{id}: operator
    GET /v1/cluster: moderator auditor operator
    POST /v1/cluster/checkpoint: operator
    DELETE /v1/cluster/members/{id}: operator
    POST /v1/cluster/transfer-leader: operator
    POST /v1/connect: client
    GET /v1/events: moderator auditor operator
    GET /v1/identity-providers: moderator auditor operator
    DELETE /v1/identity-providers/{id}: operator
    GET /v1/identity-providers/{id}: moderator auditor operator
    PUT /v1/identity-providers/{id}: operator
    POST /v1/import: operator
    GET /v1/keys: moderator auditor operator
    POST /v1/keys/rotate: operator
    POST /v1/keys/{kid}/retire: operator
    POST /v1/keys/{kid}/revoke: operator
    GET /v1/mirrors: moderator auditor operator
    DELETE /v1/mirrors/{id}: operator
    GET /v1/mirrors/{id}: moderator auditor operator
    PUT /v1/mirrors/{id}: operator
    POST /v1/mirrors/{id}/entries: operator
    GET /v1/moderation: moderator auditor operator
    POST /v1/moderation: moderator
    GET /v1/moderation/requests: moderator auditor operator
    POST /v1/moderation/requests/{id}/confirm: moderator
    POST /v1/moderation/requests/{id}/reject: moderator
    PUT /v1/namespaces/{namespace}: operator
    POST /v1/restore/confirm: operator
    GET /v1/revocations: anybody
    GET /v1/revocations/stream: anybody
    GET /v1/seals/{index}: moderator auditor operator
    GET /v1/servers: client publisher moderator auditor operator, or anybody
    GET /v1/settings: moderator auditor operator
    PATCH /v1/settings: operator
    GET /v1/tenants: moderator auditor operator
    PUT /v1/tenants/{id}: operator
    GET /v1/tokens: moderator auditor operator
    POST /v1/tokens: operator
    DELETE /v1/tokens/{id}: operator
    GET /v1/tokens/{id}: moderator auditor operator
    GET /v1/webhooks: moderator auditor operator
    POST /v1/webhooks: operator
    DELETE /v1/webhooks/{id}: operator
    PUT /v1/webhooks/{id}: operator
    ");
}

#[tokio::test]
async fn a_publisher_stays_in_its_namespaces() {
    let cluster = Cluster::start(1).await;
    let token =
        cluster.make_token(json!({ "role": "publisher", "namespaces": ["ai.acme", "ai.acme.*"] })).await;
    let publisher = cluster.node(0).door().with_token(&token);
    publisher.post("/v0/publish", &document("ai.acme/a", "1.0.0")).await.ok();
    publisher.post("/v0/publish", &document("ai.acme.labs/a", "1.0.0")).await.ok();
    let answer = publisher.post("/v0/publish", &document("ai.acmeevil/a", "1.0.0")).await;
    assert_eq!((answer.status, answer.code()), (403, "namespace_forbidden"));
}
