//! Whatever the API can do, a verb does, or there is a reason why none does.
//!
//! Nobody says which verb calls what: the verbs run against a node, and the node's own count of requests tells.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, command, document};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::PathBuf,
    process::{Output, Stdio},
};

/// Operations that no verb calls, and why not.
const WITHOUT_A_VERB: &[(&str, &str)] = &[
    ("GET /livez", "for probes; `health` asks `/readyz`, which says more"),
    ("GET /metrics", "for Prometheus"),
    ("GET /v0.1/health", "for clients of the registry API; as `/livez`"),
    ("GET /v0.1/ping", "for clients of the registry API; as `/livez`"),
    (
        "GET /v0.1/version",
        "for clients of the registry API; `cluster status` shows the version of every node",
    ),
    (
        "POST /v0.1/validate",
        "for publishers without this program; `validate` judges likewise and asks nobody",
    ),
    (
        "DELETE /v0.1/servers/{server_name}/versions/{version}",
        "another name of the status `deleted`, which `servers set-status` gives",
    ),
    ("POST /v0.1/auth/oidc", "for workflows that have a token of their identity provider"),
    ("POST /v0.1/auth/github-oidc", "for workflows of GitHub, in which `mcp-publisher` gets the token"),
    ("POST /v0.1/auth/github-at", "for `mcp-publisher`, which leads people through GitHub's log-in"),
    ("POST /v0.1/auth/none", "proves nothing, and needs nothing"),
    ("POST /v0.1/x/ai.com.mcp/connect", "another name of `/v1/connect`"),
    ("POST /oauth2/token", "for OAuth clients; `connect` is given the same descriptor"),
    ("GET /oauth2/authorize", "gives nobody anything"),
    ("GET /.well-known/oauth-authorization-server", "for OAuth clients, which find the way by it"),
    ("GET /.well-known/openid-configuration", "for OAuth clients, which find the way by it"),
    ("GET /v1/revocations/stream", "for guards; `revocations` shows the same message once"),
];

/// One node, and a file with the token of each role.
struct Stage {
    cluster: Cluster,
}

impl Stage {
    async fn set() -> Self {
        let cluster = Cluster::start(1).await;
        let stage = Self { cluster };
        let token = json!({ "role": "publisher", "namespaces": ["*"] });
        stage.file("publisher", &stage.cluster.make_token(token).await);
        stage.file("moderator", &stage.cluster.make_token(json!({ "role": "moderator" })).await);
        stage.file("operator", stage.cluster.operator_token());
        stage.file("client", stage.cluster.client_token());
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.cluster.scratch().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn run(&self, role: &str, line: &str, input: &str) -> Output {
        let mut child = command()
            .args(line.split(' '))
            .env("HAPI_NODES", self.url())
            .env("HAPI_TOKEN_FILE", self.path(role))
            .env("HAPI_OUTPUT", "json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a verb that does what it says, and gives its answer. Nothing but errors stands on stderr, no progress bar
    /// either where there is no terminal.
    fn done(&self, role: &str, line: &str) -> Value {
        self.done_with(role, line, "")
    }

    fn done_with(&self, role: &str, line: &str, input: &str) -> Value {
        let output = self.run(role, line, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{line}: {}\n{said}", output.status);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Runs a verb that one node alone refuses.
    fn refused(&self, role: &str, line: &str, code: &str) {
        let output = self.run(role, line, "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(code), "{line}: {}\n{said}", output.status);
    }

    fn url(&self) -> String {
        self.cluster.node(0).http().to_owned()
    }

    /// How often the node was asked for each operation.
    async fn counted(&self) -> BTreeMap<String, u64> {
        let text = self.cluster.node(0).door().get("/metrics").await.text;
        let samples = text.lines().filter(|line| line.starts_with("hapi_http_requests_total{"));
        let mut counted = BTreeMap::new();
        for sample in samples {
            let operation = format!("{} {}", label(sample, "method"), label(sample, "route"));
            *counted.entry(operation).or_default() +=
                sample.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        }
        counted
    }

    async fn described(&self) -> BTreeSet<String> {
        let description = self.cluster.node(0).door().get("/openapi.json").await.ok();
        let paths = description["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        operations.collect()
    }
}

fn label<'a>(sample: &'a str, name: &str) -> &'a str {
    sample.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap()
}

/// Every verb that talks to the public API, once.
fn run_every_verb(stage: &Stage) {
    let one = stage.file("one.json", &document("ai.acme/one", "1.0.0").to_string());
    let entry = json!({ "servers": [{ "server": document("ai.acme/two", "1.0.0") }] });
    let list = stage.file("list.json", &entry.to_string());
    stage.done("publisher", &format!("publish {one}"));
    assert_eq!(stage.done("operator", &format!("import {list}"))["imported"], 1);
    prove_a_domain(stage);
    read_the_catalog(stage);
    change_what_was_published(stage);
    stage.done("client", &format!("health --url {}", stage.url()));
    board(stage);
    moderate(stage);
    let token = stage.done("operator", "tokens create --role auditor");
    let id = token["id"].as_str().unwrap();
    assert!(stage.done("operator", "tokens list")["tokens"].as_array().unwrap().len() > 4);
    let auditors = stage.done("operator", "tokens list --role auditor --state valid --unused-for 1h");
    assert_eq!(auditors["tokens"].as_array().unwrap().len(), 1);
    stage.done("operator", &format!("tokens revoke {id}"));
    assert_eq!(stage.done("operator", &format!("tokens show {id}"))["state"], "revoked");
    vouch(stage);
    register(stage);
    stage.done("operator", "settings set anonymous_reads=true");
    assert_eq!(stage.done("operator", "settings get")["anonymous_reads"], true);
    follow_itself(stage);
    assert_eq!(stage.done("operator", "audit --limit 3")["records"].as_array().unwrap().len(), 3);
    keep_the_audit(stage);
    tell_others(stage);
    assert_eq!(stage.done("operator", "events --limit 3")["events"].as_array().unwrap().len(), 3);
    end_a_key(stage);
    look_after_the_cluster(stage);
}

/// What comes of it where proofs are taken is in `publisher_auth.rs`.
fn prove_a_domain(stage: &Stage) {
    let key = stage.file("domain.key", &"07".repeat(32));
    for method in ["dns", "http"] {
        let line = format!("publisher-token {method} --domain example.com --private-key-file {key}");
        stage.refused("publisher", &line, &format!("this registry does not take proofs by `{method}`"));
    }
}

fn read_the_catalog(stage: &Stage) {
    assert_eq!(stage.done("client", "servers list")["metadata"]["count"], 2);
    assert_eq!(stage.done("client", "servers search one")["metadata"]["count"], 1);
    assert_eq!(stage.done("client", "servers get ai.acme/two")["server"]["version"], "1.0.0");
    assert_eq!(stage.done("client", "servers versions ai.acme/one")["metadata"]["count"], 1);
}

fn change_what_was_published(stage: &Stage) {
    let mut document = document("ai.acme/one", "1.0.0");
    document["title"] = json!("One and only");
    let edited = stage.file("edited.json", &document.to_string());
    assert_eq!(stage.done("publisher", &format!("servers edit {edited}"))["server"]["title"], "One and only");
    let official = "io.modelcontextprotocol.registry/official";
    let deprecated =
        stage.done("publisher", "servers set-status ai.acme/one@1.0.0 deprecated --message later");
    assert_eq!(deprecated["_meta"][official]["statusMessage"], "later");
    assert_eq!(stage.done("publisher", "servers set-status ai.acme/one active")["updatedCount"], 1);
    stage.refused("publisher", "servers set-status ai.acme/one active", "the status is active already");
}

fn board(stage: &Stage) {
    let boarding = stage.done("client", "connect ai.acme/one").to_string();
    assert_eq!(stage.done_with("client", "verify -", &boarding)["valid"], true);
    assert_eq!(stage.done_with("client", "introspect -", &boarding)["server"], "ai.acme/one");
    stage.done("moderator", "moderate suspend server/ai.acme/one --reason r");
    let output = stage.run("client", "introspect -", &boarding);
    assert_eq!(output.status.code(), Some(1), "a descriptor of a suspended server is not good");
}

fn moderate(stage: &Stage) {
    let records = stage.done("moderator", "moderate list server/ai.acme/one");
    assert_eq!(records["records"][0]["standing"], "suspended");
    let suspended = stage.done("moderator", "moderate list --standing suspended");
    assert_eq!(suspended["records"], records["records"]);
    let feed = stage.done("client", "revocations server/ai.acme/one server/ai.acme/two");
    assert_eq!(feed["floors"][0]["below"], records["records"][0]["index"]);
    assert_eq!(feed["floors"][1]["below"], Value::Null);
    assert_eq!(records["history"][0]["act"], "suspend");
    confirm_each_other(stage);
}

fn confirm_each_other(stage: &Stage) {
    let second = stage.done("operator", "tokens create --role moderator");
    stage.file("second", second["token"].as_str().unwrap());
    stage.done("operator", "settings set two_person=true");
    let ask = |act: &str| {
        let asked = stage.done("moderator", &format!("moderate {act} server/ai.acme/two --reason r"));
        assert_eq!(asked["code"], "confirmation_needed");
        asked["request"]["id"].as_u64().unwrap()
    };
    let first = ask("revoke");
    assert_eq!(stage.done("second", "moderate requests")["requests"][0]["id"], first);
    stage.refused("moderator", &format!("moderate confirm {first}"), "is your own");
    stage.done("second", &format!("moderate reject {first} --reason r"));
    stage.done("second", "moderate suspend server/ai.acme/two --reason r");
    let second = ask("reinstate");
    stage.done("second", &format!("moderate confirm {second}"));
    stage.done("operator", "settings set two_person=false");
}

/// What comes of it where there is a provider is in `identity.rs`.
fn vouch(stage: &Stage) {
    let rules = json!([{ "claim": "groups", "value": "security", "role": "moderator" }]);
    let provider = json!({ "issuer": "https://idp.example", "audience": "registry", "rules": rules });
    let file = stage.file("corp.json", &provider.to_string());
    stage.done("operator", &format!("identity-providers put corp --file {file}"));
    let shown = stage.done("operator", "identity-providers show corp");
    assert_eq!((&shown["issuer"], &shown["rules"]), (&provider["issuer"], &rules));
    let again = stage.file("again.json", &shown.to_string());
    stage.done("operator", &format!("identity-providers put corp --file {again}"));
    let list = stage.done("operator", "identity-providers list");
    assert_eq!(list["identity_providers"].as_array().unwrap().len(), 1);
    stage.done("operator", "identity-providers remove corp");
    stage.refused("operator", "identity-providers show corp", "identity_provider_not_found");
}

fn register(stage: &Stage) {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = stage.file("key.jwk", jwk);
    stage.done("operator", "tenants put acme --block ai.acme/legacy-*");
    assert_eq!(stage.done("operator", "tenants list")["tenants"][0]["id"], "acme");
    stage.done("operator", &format!("clients put billing --tenant acme --key {key}"));
    let billing = stage.done("operator", "clients show billing");
    assert_eq!((&billing["tenant"], billing["keys"].as_array().unwrap().len()), (&json!("acme"), 1));
    assert_eq!(stage.done("operator", "clients list")["clients"].as_array().unwrap().len(), 2);
    stage.refused("operator", "clients show nobody", "there is no client nobody");
    stage.done("operator", "namespaces private ai.acme");
    assert_eq!(stage.done("client", "servers list")["metadata"]["count"], 0);
    stage.done("operator", "namespaces public ai.acme");
    assert_eq!(stage.done("client", "servers list")["metadata"]["count"], 1);
}

/// All that it has was published here.
fn follow_itself(stage: &Stage) {
    let url = stage.url();
    let once = stage.done("operator", &format!("mirror --from {url} --as itself"));
    assert_eq!((&once["kept"], &once["index"]), (&json!(2), &json!(0)));
    stage.done("operator", &format!("mirror add --from {url} --as itself --include ai.acme/*"));
    assert_eq!(stage.done("operator", "mirror list")["mirrors"][0]["url"], url);
    assert_eq!(stage.done("operator", "mirror status itself")["include"], json!(["ai.acme/*"]));
    stage.done("operator", "mirror remove itself");
    stage.refused("operator", "mirror status itself", "mirror_not_found");
}

fn keep_the_audit(stage: &Stage) {
    let file = stage.path("audit.jsonl");
    let file = file.to_str().unwrap();
    assert!(stage.done("operator", &format!("audit export {file}"))["records"].as_u64() > Some(10));
    assert_eq!(stage.done("operator", &format!("audit verify --against {file}"))["valid"], true);
}

fn tell_others(stage: &Stage) {
    let created =
        stage.done("operator", "webhooks create a --url https://catalog.example/hook --kind version");
    assert_eq!((&created["kinds"], &created["active"]), (&json!(["version"]), &json!(true)));
    assert_eq!(stage.done("operator", "webhooks change a --pause --skip-to 1")["delivered"], 1);
    assert_eq!(stage.done("operator", "webhooks list")["webhooks"][0]["active"], false);
    stage.refused("operator", "webhooks change b --pause", "there is no webhook b");
    stage.done("operator", "webhooks remove a");
}

fn end_a_key(stage: &Stage) {
    let rotated = stage.done("operator", "keys rotate");
    assert_eq!(rotated["rotated"].as_array().unwrap().len(), 1);
    stage.refused("operator", "keys rotate --of 0000000000000009", "is not on the roster");
    let keys = stage.done("operator", "keys list");
    let active = keys["keys"].as_array().unwrap().iter().find(|key| key["state"] == "active");
    let kid = active.unwrap()["kid"].as_str().unwrap();
    // Behind `--`, since a thumbprint may begin like a flag.
    stage.done("operator", &format!("keys retire -- {kid}"));
    stage.done("operator", &format!("keys revoke --reason stolen -- {kid}"));
}

fn look_after_the_cluster(stage: &Stage) {
    let node = stage.done("operator", "cluster status")["node"]["id"].as_str().unwrap().to_owned();
    assert_eq!(stage.done("operator", "cluster secrets")["secrets"]["due"], false);
    let index = stage.done("operator", "cluster checkpoint")["index"].as_u64().unwrap();
    stage.done("operator", &format!("cluster seal {index}"));
    stage.done("operator", &format!("cluster transfer-leader --to {node}"));
    stage.refused("operator", &format!("cluster remove {node}"), "conflict");
    let file = stage.path("registry.backup");
    let backup = stage.done("operator", &format!("backup {}", file.to_str().unwrap()));
    assert!(backup["index"].as_u64() > Some(index), "{backup}");
    stage.refused("operator", "restore confirm", "not_on_hold");
    let visit = stage.run("operator", "doctor", "");
    assert_eq!(visit.status.code(), Some(6), "one node alone is a trouble");
}

#[tokio::test]
async fn every_operation_has_a_verb_or_a_reason_to_have_none() {
    let stage = Stage::set().await;
    let before = stage.counted().await;
    run_every_verb(&stage);
    let after = stage.counted().await;
    let more = |(operation, count): &(&String, &u64)| before.get(*operation).is_none_or(|then| then < *count);
    let mut called: BTreeSet<_> = after.iter().filter(more).map(|(operation, _)| operation.clone()).collect();
    // That was this test, counting.
    called.remove("GET /metrics");
    let excepted: BTreeSet<_> = WITHOUT_A_VERB.iter().map(|(operation, _)| (*operation).to_owned()).collect();
    let both: Vec<_> = called.intersection(&excepted).collect();
    assert!(both.is_empty(), "these have a verb: take them off the list: {both:?}");
    let accounted: BTreeSet<_> = called.union(&excepted).cloned().collect();
    let described = stage.described().await;
    let missing: Vec<_> = described.difference(&accounted).collect();
    assert!(missing.is_empty(), "no verb calls these, and no reason is given: {missing:?}");
    let unknown: Vec<_> = accounted.difference(&described).collect();
    assert!(unknown.is_empty(), "the API does not describe these: {unknown:?}");
}
