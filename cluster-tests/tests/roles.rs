//! Every route demands a role, and every role has just its rights.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, document, publish_all};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Method, path, body, and the roles that may.
type Route = (Method, &'static str, Option<Value>, &'static [&'static str]);

const ALL: &[&str] = &["client", "publisher", "moderator", "auditor", "operator"];
const GOVERN: &[&str] = &["moderator", "auditor", "operator"];
const OPERATE: &[&str] = &["operator"];
const PUBLISH: &[&str] = &["publisher"];

fn routes() -> Vec<Route> {
    let subject = json!({ "kind": "server", "id": "ai.acme/a" });
    vec![
        (Method::GET, "/v0.1/servers", None, ALL),
        (Method::GET, "/v0/servers/ai.acme%2Fa/versions", None, ALL),
        (Method::GET, "/v0.1/servers/ai.acme%2Fa/versions/latest", None, ALL),
        (Method::POST, "/v1/connect", Some(json!({ "server_ref": "ai.acme/a" })), &["client"]),
        (Method::POST, "/v0.1/x/ai.com.mcp/connect", Some(json!({ "server_ref": "ai.acme/a" })), &["client"]),
        (Method::GET, "/v1/servers?query=a", None, ALL),
        (Method::POST, "/v0/publish", Some(document("ai.acme/a", "1.0.0")), PUBLISH),
        (
            Method::PUT,
            "/v0/servers/ai.acme%2Fa/versions/1.0.0",
            Some(document("ai.acme/a", "1.0.0")),
            PUBLISH,
        ),
        (Method::DELETE, "/v0/servers/ai.acme%2Fa/versions/1.0.0", None, PUBLISH),
        (
            Method::PATCH,
            "/v0/servers/ai.acme%2Fa/versions/1.0.0/status",
            Some(json!({ "status": "active" })),
            PUBLISH,
        ),
        (Method::PATCH, "/v0/servers/ai.acme%2Fa/status", Some(json!({ "status": "deprecated" })), PUBLISH),
        (
            Method::POST,
            "/v1/moderation",
            Some(json!({ "act": "verify", "subject": subject, "reason": "r" })),
            &["moderator"],
        ),
        (Method::GET, "/v1/moderation", None, GOVERN),
        (Method::GET, "/v1/tokens", None, GOVERN),
        (Method::POST, "/v1/tokens", Some(json!({ "role": "auditor" })), OPERATE),
        (Method::DELETE, "/v1/tokens/AAAAAAAAAAAA", None, OPERATE),
        (Method::GET, "/v1/clients", None, GOVERN),
        (Method::PUT, "/v1/clients/c9", Some(json!({})), OPERATE),
        (Method::GET, "/v1/tenants", None, GOVERN),
        (Method::PUT, "/v1/tenants/t9", Some(json!({})), OPERATE),
        (Method::PUT, "/v1/namespaces/ai.other", Some(json!({ "private": false })), OPERATE),
        (Method::GET, "/v1/keys", None, GOVERN),
        (Method::POST, "/v1/keys/none/revoke", Some(json!({ "reason": "r" })), OPERATE),
        (Method::POST, "/v1/keys/none/retire", None, OPERATE),
        (Method::POST, "/v1/keys/rotate", Some(json!({ "node": "0000000000000009" })), OPERATE),
        (Method::GET, "/v1/settings", None, GOVERN),
        (Method::PATCH, "/v1/settings", Some(json!({})), OPERATE),
        (Method::POST, "/v1/import", Some(json!({ "servers": [] })), OPERATE),
        (Method::GET, "/v1/mirrors", None, GOVERN),
        (Method::GET, "/v1/mirrors/m9", None, GOVERN),
        (Method::PUT, "/v1/mirrors/m9", Some(json!({ "url": "http://127.0.0.1:1" })), OPERATE),
        (Method::POST, "/v1/mirrors/m9/entries", Some(json!({ "servers": [] })), OPERATE),
        (Method::DELETE, "/v1/mirrors/m9", None, OPERATE),
        (Method::GET, "/v1/audit", None, GOVERN),
        (Method::GET, "/v1/audit/head", None, GOVERN),
        (Method::GET, "/v1/events", None, GOVERN),
        (Method::GET, "/v1/webhooks", None, GOVERN),
        (Method::POST, "/v1/webhooks", Some(json!({ "id": "w9", "url": "https://a.example" })), OPERATE),
        (
            Method::PUT,
            "/v1/webhooks/w9",
            Some(json!({ "url": "https://b.example", "active": false })),
            OPERATE,
        ),
        (Method::DELETE, "/v1/webhooks/w9", None, OPERATE),
        (Method::GET, "/v1/cluster", None, GOVERN),
        (Method::POST, "/v1/cluster/checkpoint", None, OPERATE),
        (Method::DELETE, "/v1/cluster/members/0000000000000009", None, OPERATE),
        (Method::POST, "/v1/cluster/transfer-leader", Some(json!({ "to": "nobody" })), OPERATE),
        (Method::GET, "/v1/backup", None, OPERATE),
        (Method::POST, "/v1/restore/confirm", None, OPERATE),
        (Method::GET, "/v1/seals/1", None, GOVERN),
        (Method::POST, "/oauth2/introspect", None, &["client", "moderator", "auditor", "operator"]),
    ]
}

/// Routes that anyone may call: they hold no secret, and probes and verifiers carry no token.
const OPEN: &[&str] = &[
    "/v0.1/health",
    "/v0.1/ping",
    "/v0.1/version",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/.well-known/jwks.json",
    "/.well-known/mcp-connect-authority",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/v1/revocations",
];

#[tokio::test]
async fn each_role_may_what_the_table_says_and_nothing_else() {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let mut doors = Vec::new();
    for role in ALL {
        let body = match *role {
            "client" => json!({ "role": role, "client": "c1" }),
            "publisher" => json!({ "role": role, "namespaces": ["ai.acme"] }),
            _ => json!({ "role": role }),
        };
        doors.push((*role, cluster.node(0).door().with_token(&cluster.make_token(body).await)));
    }
    for (method, path, body, allowed) in routes() {
        for (role, door) in &doors {
            let request = door.request(method.clone(), path);
            let request = if let Some(body) = &body { request.json(body) } else { request };
            let answer = door.try_send(request).await.unwrap();
            let refused = answer.status == 403 && answer.code() == "forbidden";
            assert_eq!(refused, !allowed.contains(role), "{role}: {method} {path}: {}", answer.text);
            assert_ne!(answer.status, 401, "{role}: {method} {path}: {}", answer.text);
            assert!(answer.status < 500, "{role}: {method} {path}: {}", answer.text);
        }
        let nobody = cluster.node(0).door();
        let answer = nobody.try_send(nobody.request(method.clone(), path)).await.unwrap();
        assert_eq!(answer.status, 401, "nobody: {method} {path}: {}", answer.text);
    }
    for path in OPEN {
        let answer = cluster.node(0).door().get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_table_above_knows_every_route() {
    let cluster = Cluster::start(1).await;
    let description = cluster.node(0).door().get("/openapi.json").await.ok();
    let described: BTreeSet<String> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| (path, method)))
        .map(|(path, method)| format!("{} {}", method.to_uppercase(), shape(path)))
        .collect();
    let tabled = routes().into_iter().map(|(method, path, ..)| format!("{method} {}", shape(path)));
    let open = OPEN
        .iter()
        .filter(|path| !matches!(**path, "/openapi.json" | "/docs"))
        .map(|path| format!("GET {path}"));
    let mut tabled: BTreeSet<String> = tabled.chain(open).collect();
    // Takes no token by design: it tells nothing but what is wrong with the caller's own document.
    tabled.insert("POST /v0.1/validate".into());
    // Publishers without a token come here for one: the tests are in `publisher_auth.rs`.
    for method in ["dns", "http", "oidc", "github-oidc", "github-at", "none"] {
        tabled.insert(format!("POST /v0.1/auth/{method}"));
    }
    // Open like the feed, of which it is the other form; a stream has no end that the table could wait for.
    tabled.insert("GET /v1/revocations/stream".into());
    // Takes clients' credentials in OAuth's own ways: its tests are in `oauth.rs`.
    tabled.insert("POST /oauth2/token".into());
    // Answers everybody that no such grant is given.
    tabled.insert("GET /oauth2/authorize".into());
    assert_eq!(described, tabled);
}

/// The path with what varies left out.
fn shape(path: &str) -> String {
    let fixed = [
        "v0.1",
        "v1",
        "servers",
        "versions",
        "status",
        "revoke",
        "retire",
        "rotate",
        "checkpoint",
        "x",
        "ai.com.mcp",
        "connect",
    ];
    let path = path.split('?').next().unwrap();
    let parts: Vec<_> = path.replace("/v0/", "/v0.1/").split('/').map(str::to_owned).collect();
    let varies = |at: usize| {
        at > 2
            && !fixed.contains(&parts[at].as_str())
            && matches!(
                parts[at - 1].as_str(),
                "servers"
                    | "versions"
                    | "tokens"
                    | "clients"
                    | "tenants"
                    | "namespaces"
                    | "keys"
                    | "members"
                    | "mirrors"
                    | "webhooks"
                    | "seals"
            )
    };
    (0..parts.len()).map(|at| if varies(at) { "*" } else { &parts[at] }).collect::<Vec<_>>().join("/")
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
