//! Callers whom an identity provider vouches for, with a real one: Canaille, as a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{
    Answer, Cluster, Door, Metrics, Options, Program, command, document, free_port, publish_all, python_for,
    python_script, wait_until,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The password of everybody there, and of the applications.
const PASSWORD: &str = "correct horse battery staple";

/// The application that our audience stands for.
const US: &str = "hapi-registry";

/// A running provider, with some people in groups.
struct Provider {
    _program: Program,
    base: String,
}

impl Provider {
    /// Starts one whose first key signs. Tokens last for `life` seconds.
    async fn start(python: &Path, port: u16, keys: &[PathBuf], life: u32) -> Self {
        let script = python_script("identity_provider/serve.py");
        let mut arguments = vec!["-B".into(), script.into_os_string(), port.to_string().into()];
        arguments.extend(keys.iter().map(|key| key.clone().into_os_string()));
        let mut program = Program::serve(python, arguments, &[("LIFE", &life.to_string())]);
        program.read_until(|line| line.starts_with("listening").then_some(())).await;
        Self { _program: program, base: format!("http://127.0.0.1:{port}") }
    }

    /// The token that `person` gets when it logs in to `application`.
    async fn token_for(&self, application: &str, person: &str) -> String {
        let form = [
            ("grant_type", "password"),
            ("username", person),
            ("password", PASSWORD),
            ("scope", "openid profile groups"),
        ];
        let door = Door::new(&self.base, None);
        let request = door.form("/oauth/token", &form).basic_auth(application, Some(PASSWORD));
        let answer = door.try_send(request).await.unwrap();
        answer.ok()["access_token"].as_str().unwrap().to_owned()
    }

    async fn token(&self, person: &str) -> String {
        self.token_for(US, person).await
    }

    /// What an operator says of it.
    fn settings(&self) -> Value {
        let rule = |group: &str, role: &str| json!({ "claim": "groups", "value": group, "role": role });
        let mut publishers = rule("publishers", "publisher");
        publishers["namespaces"] = json!(["ai.acme"]);
        json!({
            "issuer": self.base, "audience": US, "algorithms": ["RS256"],
            "rules": [
                rule("agents", "client"), publishers, rule("moderators", "moderator"),
                rule("auditors", "auditor"), rule("operators", "operator"),
            ],
            "client_claim": "sub", "clients": ["agent-*"],
        })
    }
}

/// Nodes that ask who lives on this machine.
fn options() -> Options {
    Options::default().set("HAPI_OUTBOUND_ALLOW_PRIVATE", "true")
}

/// A server, and a provider whose `agent-7` is a registered client.
async fn set(cluster: &Cluster, provider: &Provider) {
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let operator = cluster.operator(0);
    operator.put("/v1/clients/agent-7", &json!({})).await.ok();
    operator.put("/v1/identity-providers/corp", &provider.settings()).await.ok();
}

fn is_unknown(answer: &Answer) -> bool {
    (answer.status, answer.code()) == (401, "unauthenticated")
}

#[tokio::test]
async fn whoever_a_provider_knows_may_what_its_groups_say_and_nothing_else() {
    let Some(python) = python_for("identity_provider") else { return };
    let cluster = Cluster::start_with(3, options()).await;
    let key = cluster.scratch().join("key.json");
    let provider = Provider::start(&python, free_port(), &[key], 300).await;
    set(&cluster, &provider).await;
    let at = async |place: usize, person: &str| {
        cluster.node(place).door().with_token(&provider.token(person).await)
    };
    let agent = at(0, "agent-7").await;
    for place in 0..3 {
        let agent = at(place, "agent-7").await;
        let boarding = agent.connect("ai.acme/a").await.ok();
        assert_eq!(boarding["server"]["id"], "ai.acme/a", "{place}");
        assert_eq!(agent.get("/v0.1/servers").await.ok()["metadata"]["count"], 1);
        assert_eq!(agent.get("/v1/tokens").await.code(), "forbidden");
    }
    // Who is no registered client, who is in none of the groups, and who logs in elsewhere.
    assert!(is_unknown(&at(1, "agent-8").await.connect("ai.acme/a").await));
    assert!(is_unknown(&at(1, "nobody").await.get("/v0.1/servers").await));
    let elsewhere = provider.token_for("another-service", "agent-7").await;
    assert!(is_unknown(&cluster.node(0).door().with_token(&elsewhere).connect("ai.acme/a").await));
    assert!(cluster.node(0).log().contains("or the token is for somebody else"));
    for changed in changed(&provider.token("olga").await) {
        assert!(
            is_unknown(&cluster.node(0).door().with_token(&changed).get("/v1/tokens").await),
            "{changed}"
        );
    }
    // Publishers stay in their namespaces, moderators moderate on every node.
    let publisher = at(1, "paul").await;
    publisher.post("/v0/publish", &document("ai.acme/b", "1.0.0")).await.ok();
    let foreign = publisher.post("/v0/publish", &document("dev.bob/b", "1.0.0")).await;
    assert_eq!(foreign.code(), "namespace_forbidden");
    let moderator = at(2, "mona").await;
    assert_eq!(moderator.moderate("suspend", "server", "ai.acme/b").await.ok()["sealed"], true);
    assert_eq!(agent.connect("ai.acme/b").await.code(), "server_revoked");
    assert_eq!(moderator.patch("/v1/settings", &json!({})).await.code(), "forbidden");
    let auditor = at(1, "audrey").await;
    assert_eq!(auditor.moderate("suspend", "server", "ai.acme/a").await.code(), "forbidden");
    let audit = auditor.get("/v1/audit").await.ok().to_string();
    for actor in ["oidc:corp/paul", "oidc:corp/mona"] {
        assert!(audit.contains(actor), "{actor}: {audit}");
    }
    at(0, "olga").await.patch("/v1/settings", &json!({ "ttl_default": 45 })).await.ok();
    write_by_the_command_line(&cluster, &provider.token("olga").await);
    end(&cluster, &provider, &agent).await;
}

/// The same token with another signature, with other claims, and for no algorithm.
fn changed(token: &str) -> [String; 3] {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let parts: Vec<_> = token.split('.').collect();
    let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let mut claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["groups"] = json!(["operators", "moderators"]);
    let signature = BASE64_URL_SAFE_NO_PAD.encode([7; 256]);
    let header = encode(json!({ "alg": "none", "kid": "x" }));
    [
        format!("{}.{}.{signature}", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], encode(claims), parts[2]),
        format!("{header}.{}.", parts[1]),
    ]
}

fn write_by_the_command_line(cluster: &Cluster, token: &str) {
    let file = cluster.scratch().join("oidc.token");
    std::fs::write(&file, token).unwrap();
    let run = |line: &str| {
        let mut command = command();
        command.args(line.split(' ')).env("HAPI_NODES", cluster.node(1).http()).env("HAPI_TOKEN_FILE", &file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("settings set ttl_default=60");
    run("tokens list --role operator");
}

/// A client that is suspended, and a provider that is removed, take the descriptors with them.
async fn end(cluster: &Cluster, provider: &Provider, agent: &Door) {
    let active = async |descriptor: &Value| {
        let operator = cluster.operator(1);
        let form = [("token", descriptor.as_str().unwrap())];
        let request = operator.form("/oauth2/introspect", &form);
        operator.try_send(request).await.unwrap().ok()["active"].clone()
    };
    let descriptor = agent.connect("ai.acme/a").await.ok()["descriptor"].clone();
    assert_eq!(active(&descriptor).await, true);
    let suspended = cluster.moderator(1).moderate("suspend", "client", "agent-7").await.ok();
    assert_eq!(suspended["sealed"], true);
    assert_eq!(active(&descriptor).await, false);
    assert_eq!(agent.connect("ai.acme/a").await.code(), "policy_blocked");
    cluster.moderator(1).moderate("reinstate", "client", "agent-7").await.ok();
    let descriptor = wait_until("the client boards again", async || {
        let answer = agent.connect("ai.acme/a").await;
        (answer.status == 200).then(|| answer.body["descriptor"].clone())
    })
    .await;
    let before = Door::clone(agent);
    let removed = cluster.operator(1).delete("/v1/identity-providers/corp").await.ok();
    assert_eq!(removed["sealed"], true, "{removed}");
    assert_eq!(active(&descriptor).await, false);
    for place in 0..3 {
        let token = provider.token("agent-7").await;
        assert!(is_unknown(&cluster.node(place).door().with_token(&token).connect("ai.acme/a").await));
    }
    assert!(is_unknown(&before.connect("ai.acme/a").await));
    cluster.assert_same_state().await;
}

#[tokio::test]
async fn a_token_ends_when_it_says_and_the_tokens_of_two_providers_are_told_apart() {
    let Some(python) = python_for("identity_provider") else { return };
    let cluster = Cluster::start_with(1, options()).await;
    let keys = ["long.json", "brief.json"].map(|name| cluster.scratch().join(name));
    let long = Provider::start(&python, free_port(), &keys[..1], 300).await;
    let brief = Provider::start(&python, free_port(), &keys[1..], 3).await;
    set(&cluster, &long).await;
    let operator = cluster.operator(0);
    let mut settings = brief.settings();
    settings["rules"] = json!([{ "claim": "groups", "value": "agents", "role": "auditor" }]);
    operator.put("/v1/identity-providers/brief", &settings).await.ok();
    let twice = operator.put("/v1/identity-providers/again", &settings).await;
    assert_eq!((twice.status, twice.code()), (400, "invalid_request"), "{}", twice.text);
    let by = async |token: String| cluster.node(0).door().with_token(&token);
    // The same person, by two providers, of which one says that it governs.
    let agent = by(long.token("agent-7").await).await;
    agent.connect("ai.acme/a").await.ok();
    assert_eq!(agent.get("/v1/tokens").await.code(), "forbidden");
    let auditor = by(brief.token("agent-7").await).await;
    assert_eq!(auditor.connect("ai.acme/a").await.code(), "forbidden");
    wait_until("the token has ended", async || is_unknown(&auditor.get("/v1/tokens").await).then_some(()))
        .await;
    assert!(cluster.node(0).log().contains("the token has ended"));
    by(brief.token("agent-7").await).await.get("/v1/tokens").await.ok();
    agent.connect("ai.acme/a").await.ok();
}

#[tokio::test]
async fn a_provider_may_change_its_key_and_be_away_for_a_while() {
    let Some(python) = python_for("identity_provider") else { return };
    let mut cluster = Cluster::start_with(1, options()).await;
    let port = free_port();
    let [old, new] = ["old.json", "new.json"].map(|name| cluster.scratch().join(name));
    let provider = Provider::start(&python, port, std::slice::from_ref(&old), 300).await;
    set(&cluster, &provider).await;
    let connect = async |cluster: &Cluster, token: &str| {
        cluster.node(0).door().with_token(token).connect("ai.acme/a").await
    };
    let first = provider.token("agent-7").await;
    connect(&cluster, &first).await.ok();
    // It signs with another key from now on, and still publishes the former one.
    drop(provider);
    let provider = Provider::start(&python, port, &[new, old], 300).await;
    let second = provider.token("agent-7").await;
    connect(&cluster, &first).await.ok();
    // The keys were asked for less than half a minute ago: whoever writes the name of a key does not make us ask.
    wait_until("the new key is known", async || {
        let answer = connect(&cluster, &second).await;
        // Asked so often, it looks like guessing.
        let is_early = is_unknown(&answer) || answer.code() == "rate_limited";
        assert!(answer.status == 200 || is_early, "{}", answer.text);
        (answer.status == 200).then_some(())
    })
    .await;
    connect(&cluster, &first).await.ok();
    // Nobody is there: the keys that are known are believed, and a node that knows none says that it cannot tell.
    drop(provider);
    connect(&cluster, &second).await.ok();
    cluster.kill(0);
    cluster.restart(0);
    cluster.wait_leases(&[0]).await;
    let blind = connect(&cluster, &second).await;
    assert_eq!((blind.status, blind.code()), (503, "identity_provider_unavailable"), "{}", blind.text);
    let counted = Metrics::of(&cluster.node(0).door()).await;
    assert!(counted.sum("hapi_identity_tokens_total", &[("outcome", "unavailable")]) > 0.0);
    cluster.client(0).connect("ai.acme/a").await.ok();
}

#[tokio::test]
async fn a_node_without_a_lease_hands_over_what_a_token_grants() {
    let Some(python) = python_for("identity_provider") else { return };
    let cluster = Cluster::start_with(3, options().faulty_at(2, "wall.offset_ms=-3000")).await;
    cluster.transfer(0).await;
    cluster.wait_leases(&[0, 1]).await;
    wait_until("the node whose clock is wrong has no lease", async || {
        (cluster.status(2).await?.body["node"]["lease"]["valid"] == false).then_some(())
    })
    .await;
    let key = cluster.scratch().join("key.json");
    let provider = Provider::start(&python, free_port(), &[key], 300).await;
    set(&cluster, &provider).await;
    let agent = cluster.node(2).door().with_token(&provider.token("agent-7").await);
    let boarding = wait_until("the leader answers", async || {
        let answer = agent.connect("ai.acme/a").await;
        (answer.status == 200).then_some(answer.body)
    });
    assert_eq!(boarding.await["server"]["id"], "ai.acme/a");
    // A provider that only the leader knows to be gone counts no more.
    cluster.operator(0).delete("/v1/identity-providers/corp").await.ok();
    assert!(is_unknown(&agent.connect("ai.acme/a").await));
}
