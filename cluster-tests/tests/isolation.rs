//! What a caller may not see answers like what is not there: the same bytes, on every route that names a server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Door, document, publish_all};
use reqwest::{Method, RequestBuilder, header};
use serde_json::json;
use std::collections::BTreeMap;

/// There, and not for everybody's eyes; in the same namespace, and not there; in a namespace that nobody has. All are of
/// one length, so that no header tells them apart either.
const HIDDEN: &str = "ai.secret/here";
const ABSENT: [&str; 2] = ["ai.secret/gone", "ai.absent/here"];

/// Everything that an answer says, with its subject's name left out.
async fn said(request: RequestBuilder, name: &str) -> (u16, BTreeMap<String, String>, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let headers = answer.headers().iter().filter(|(name, _)| **name != header::DATE);
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (status, headers, answer.text().await.unwrap().replace(name, "NAME"))
}

/// A route that names a server, asked for `name`.
type Ask = fn(&Door, &str) -> RequestBuilder;

fn get(door: &Door, path: String) -> RequestBuilder {
    door.request(Method::GET, &path)
}

fn encoded(name: &str) -> String {
    name.replace('/', "%2F")
}

/// Of whoever reads.
const READS: &[(&str, Ask)] = &[
    ("versions", |door, name| get(door, format!("/v0.1/servers/{}/versions", encoded(name)))),
    ("versions, deleted ones too", |door, name| {
        get(door, format!("/v0/servers/{}/versions?include_deleted=true", encoded(name)))
    }),
    ("latest", |door, name| get(door, format!("/v0.1/servers/{}/versions/latest", encoded(name)))),
    ("version", |door, name| get(door, format!("/v0.1/servers/{}/versions/1.0.0", encoded(name)))),
    ("version, deleted or not", |door, name| {
        get(door, format!("/v0/servers/{}/versions/1.0.0?include_deleted=true", encoded(name)))
    }),
    ("list by name", |door, name| get(door, format!("/v0.1/servers?search={}", encoded(name)))),
    ("search", |door, name| get(door, format!("/v1/servers?query={}", encoded(name)))),
];

/// Of clients.
const CONNECTS: &[(&str, Ask)] = &[
    ("connect", |door, name| door.request(Method::POST, "/v1/connect").json(&json!({ "server_ref": name }))),
    ("connect to a version", |door, name| {
        let reference = format!("{name}@1.0.0");
        door.request(Method::POST, "/v1/connect").json(&json!({ "server_ref": reference }))
    }),
    ("connect by the extension", |door, name| {
        door.request(Method::POST, "/v0.1/x/ai.com.mcp/connect").json(&json!({ "server_ref": name }))
    }),
];

/// Of publishers, to whom the namespace does not belong.
const PUBLICATIONS: &[(&str, Ask)] = &[
    ("publish", |door, name| door.request(Method::POST, "/v0/publish").json(&document(name, "1.0.0"))),
    ("edit", |door, name| {
        let path = format!("/v0.1/servers/{}/versions/1.0.0", encoded(name));
        door.request(Method::PUT, &path).json(&document(name, "1.0.0"))
    }),
    ("delete", |door, name| {
        door.request(Method::DELETE, &format!("/v0.1/servers/{}/versions/1.0.0", encoded(name)))
    }),
    ("status of a version", |door, name| {
        let path = format!("/v0.1/servers/{}/versions/1.0.0/status", encoded(name));
        door.request(Method::PATCH, &path).json(&json!({ "status": "deprecated" }))
    }),
    ("status of all", |door, name| {
        let path = format!("/v0.1/servers/{}/status", encoded(name));
        door.request(Method::PATCH, &path).json(&json!({ "status": "deprecated" }))
    }),
];

/// Asks for what is hidden and for what is absent; `index` is that of the state, and moves with refused writes.
async fn assert_alike(door: &Door, who: &str, asks: &[(&str, Ask)], writes: bool) {
    for (route, ask) in asks {
        let mut hidden = said(ask(door, HIDDEN), HIDDEN).await;
        for absent in ABSENT {
            let mut other = said(ask(door, absent), absent).await;
            if writes {
                hidden.2 = without_index(&hidden.2);
                other.2 = without_index(&other.2);
                for headers in [&mut hidden.1, &mut other.1] {
                    headers.remove("content-length");
                }
                // The namespace that is forbidden is the caller's own word.
                let namespace = absent.split('/').next().unwrap();
                other.2 = other.2.replace(namespace, "ai.secret");
            }
            assert_eq!(hidden, other, "{who}: {route}: {absent}");
        }
    }
}

fn without_index(body: &str) -> String {
    let mut body: serde_json::Value = serde_json::from_str(body).unwrap();
    body.as_object_mut().unwrap().remove("index");
    body.to_string()
}

#[tokio::test]
async fn what_is_hidden_answers_like_what_is_not_there() {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document(HIDDEN, "1.0.0"), document("ai.acme/a", "1.0.0")]).await;
    let operator = cluster.operator(0);
    operator.put("/v1/namespaces/ai.secret", &json!({ "private": true })).await.ok();
    operator.put("/v1/tenants/insider", &json!({ "private_namespaces": ["ai.secret"] })).await.ok();
    operator.put("/v1/tenants/outsider", &json!({ "private_namespaces": ["ai.other"] })).await.ok();
    operator.patch("/v1/settings", &json!({ "anonymous_reads": true })).await.ok();
    let door = |token: String| cluster.node(0).door().with_token(&token);
    let client = async |client: &str, tenant: &str| {
        door(cluster.make_token(json!({ "role": "client", "client": client, "tenant": tenant })).await)
    };
    let (insider, outsider) = (client("in", "insider").await, client("out", "outsider").await);
    let publisher = json!({ "role": "publisher", "namespaces": ["ai.acme"] });
    let publisher = door(cluster.make_token(publisher).await);
    // It is there: who may see it does.
    insider.connect(HIDDEN).await.ok();
    assert_eq!(insider.get("/v1/servers?query=here").await.ok()["metadata"]["count"], 1);
    let nobody = cluster.node(0).door();
    let lone = cluster.client(0);
    for (who, door) in
        [("nobody", &nobody), ("no tenant", &lone), ("another tenant", &outsider), ("publisher", &publisher)]
    {
        assert_alike(door, who, READS, false).await;
    }
    for (who, door) in [("no tenant", &lone), ("another tenant", &outsider)] {
        assert_alike(door, who, CONNECTS, false).await;
    }
    assert_alike(&publisher, "publisher", PUBLICATIONS, true).await;
    by_its_url(&cluster, &lone).await;
}

/// The token endpoint names a server by its URL.
async fn by_its_url(cluster: &Cluster, door: &Door) {
    let url = |name: &str| document(name, "1.0.0")["remotes"][0]["url"].as_str().unwrap().to_owned();
    let ask = async |name: &str| {
        let (resource, form) = (url(name), "client_credentials");
        let form = [("grant_type", form), ("resource", resource.as_str())];
        let request = cluster.node(0).door().form("/oauth2/token", &form);
        let request = request.basic_auth("tester", Some(cluster.client_token()));
        said(request, &resource).await
    };
    let hidden = ask(HIDDEN).await;
    assert_eq!(hidden.0, 400, "{hidden:?}");
    for absent in ABSENT {
        assert_eq!(ask(absent).await, hidden);
    }
    door.connect("ai.acme/a").await.ok();
}
