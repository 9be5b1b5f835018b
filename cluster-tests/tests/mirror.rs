//! A registry follows another one: everything once, then what changes, whatever becomes of its own leader and however
//! the other one behaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hapi_cluster_tests::{
    Cluster, Door, Metrics, Options, command, document, publish_all, real_entries, wait_until,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::watch};

/// A door in front of a source, which notes what is asked and may hold back answers.
struct Turnstile {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    open: watch::Sender<usize>,
}

#[derive(Clone)]
struct Behind {
    source: String,
    http: reqwest::Client,
    asked: Arc<Mutex<Vec<String>>>,
    open: watch::Receiver<usize>,
}

impl Turnstile {
    /// Lets `open` questions through, and holds all further ones.
    async fn before(source: &str, open: usize) -> Self {
        let (open, opened) = watch::channel(open);
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let behind = Behind { source: source.into(), http, asked: asked.clone(), open: opened };
        Self { url: listen(Router::new().fallback(pass).with_state(behind)).await, asked, open }
    }

    fn open(&self) {
        self.open.send(usize::MAX).unwrap();
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn listen(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn pass(State(mut behind): State<Behind>, uri: Uri) -> Response {
    let number = {
        let mut asked = behind.asked.lock().unwrap();
        asked.push(uri.to_string());
        asked.len()
    };
    behind.open.wait_for(|open| number <= *open).await.unwrap();
    let answer = behind.http.get(format!("{}{uri}", behind.source)).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.bytes().await.unwrap()).into_response()
}

/// Entries for a source: real ones, or some that were made up.
fn entries() -> Vec<Value> {
    real_entries().unwrap_or_else(|| {
        let dated = json!({ "io.modelcontextprotocol.registry/official": {
            "status": "active", "publishedAt": "2025-10-09T17:05:17Z", "updatedAt": "2025-10-09T17:05:17Z",
        }});
        let entry =
            |number| json!({ "server": document(&format!("ai.acme/s{number}"), "1.0.0"), "_meta": dated });
        (0..600).map(entry).collect()
    })
}

/// A registry of one node that anybody may read, with `entries` in it.
async fn source(entries: &[Value]) -> Cluster {
    let source = Cluster::start(1).await;
    source.operator(0).patch("/v1/settings", &json!({ "anonymous_reads": true })).await.ok();
    for servers in entries.chunks(500) {
        source.operator(0).post("/v1/import", &json!({ "servers": servers })).await.ok();
    }
    source
}

/// Three nodes that may follow what is on this machine.
async fn target() -> Cluster {
    Cluster::start_with(3, Options::default().set("HAPI_OUTBOUND_ALLOW_PRIVATE", "true")).await
}

/// Follows the registry at `url` as `id`.
async fn follow(target: &Cluster, id: &str, url: &str) {
    let body = json!({ "url": url, "interval_seconds": 1 });
    target.operator(0).put(&format!("/v1/mirrors/{id}"), &body).await.ok();
}

/// Waits until the leader says of a mirror what is wanted.
async fn until(target: &Cluster, id: &str, reason: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(reason, async || {
        for place in target.awake() {
            let door = target.operator(place);
            let request = door.request(reqwest::Method::GET, &format!("/v1/mirrors/{id}"));
            let answer = door.try_send(request).await.ok().filter(|answer| answer.status == 200);
            if let Some(answer) =
                answer.filter(|answer| answer.body["progress"].is_object() && wanted(&answer.body))
            {
                return Some(answer.body);
            }
        }
        None
    })
    .await
}

/// Whether a pass has come to its end since the present leader began.
fn succeeded(mirror: &Value) -> bool {
    mirror["progress"]["last_success"].is_string() && mirror["progress"]["error"].is_null()
}

/// Every version that a registry shows, deleted ones too: name, version and document.
async fn catalog(door: &Door) -> Vec<(String, String, Value)> {
    let (mut versions, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v0.1/servers?limit=100&include_deleted=true&cursor={cursor}");
        let page = door.get(&path).await.ok();
        for entry in page["servers"].as_array().unwrap() {
            let text = |field: &str| entry["server"][field].as_str().unwrap().to_owned();
            versions.push((text("name"), text("version"), entry["server"].clone()));
        }
        match page["metadata"]["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return versions,
        }
    }
}

async fn entry(door: &Door, name: &str, version: &str) -> Option<Value> {
    let name = name.replace('/', "%2F");
    let path = format!("/v0.1/servers/{name}/versions/{version}?include_deleted=true");
    let answer = door.get(&path).await;
    (answer.status == 200).then_some(answer.body)
}

fn governance(entry: &Value) -> &Value {
    &entry["_meta"]["ai.com.mcp/governance"]
}

#[tokio::test]
async fn a_leader_that_is_killed_in_the_middle_costs_nothing_but_time() {
    let source = source(&entries()).await;
    let mut target = target().await;
    let turnstile = Turnstile::before(source.node(0).http(), 3).await;
    follow(&target, "upstream", &turnstile.url).await;
    // The fourth page is asked for once the third has been taken over.
    wait_until("three pages were taken over", async || (turnstile.asked().len() == 4).then_some(())).await;
    let leader = target.leader().await;
    let before =
        until(&target, "upstream", "it is in the middle", |mirror| mirror["under_way"] == true).await;
    assert!(before["versions"].as_u64().unwrap() > 100, "{before}");
    target.kill(leader);
    turnstile.open();
    let done = until(&target, "upstream", "the next leader has all of it", succeeded).await;
    let asked = turnstile.asked();
    assert!(asked[4].contains("cursor="), "it begins anew: {}", asked[4]);
    assert_eq!(asked[4], asked[3], "it goes on where the other one was");
    let firsts = asked.iter().filter(|uri| !uri.contains("cursor=") && !uri.contains("updated_since"));
    assert_eq!(firsts.count(), 1, "{asked:?}");
    let there = catalog(&source.operator(0)).await;
    assert_eq!(done["versions"], there.len());
    for place in target.running() {
        target.operator(place).get("/v1/mirrors").await.ok();
        assert_eq!(catalog(&target.operator(place)).await, there, "node {place}");
    }
    let names: BTreeSet<_> = there.iter().map(|(name, version, _)| (name, version)).collect();
    assert_eq!(names.len(), there.len(), "nothing is there twice");
    let one = entry(&target.operator(target.running()[0]), &there[0].0, &there[0].1).await.unwrap();
    assert_eq!(governance(&one)["source"], "upstream");
    assert_eq!(governance(&one)["verified"], false);
    target.restart(leader);
    target.wait_ready().await;
    target.assert_same_state().await;
}

#[tokio::test]
async fn only_what_changes_is_written_and_a_deletion_binds_every_node() {
    let source = source(&entries()[..200]).await;
    let target = target().await;
    let publisher = source.publisher(0);
    let (changed, gone, suspended) = ("ai.upstream/changed", "ai.upstream/gone", "ai.upstream/suspended");
    let kept = "ai.local/kept";
    publish_all(&publisher, &[changed, gone, suspended].map(|name| document(name, "1.0.0"))).await;
    publish_all(&target.publisher(0), &[document(kept, "1.0.0")]).await;
    let turnstile = Turnstile::before(source.node(0).http(), usize::MAX).await;
    follow(&target, "upstream", &turnstile.url).await;
    until(&target, "upstream", "it has everything", succeeded).await;
    target.wait_leases(&target.running()).await;
    for place in target.running() {
        wait_until("it connects", async || {
            (target.client(place).connect(gone).await.status == 200).then_some(())
        })
        .await;
    }
    nothing_new_writes_nothing(&target, &turnstile).await;

    target.moderator(0).moderate("suspend", "server", suspended).await.ok();
    publish_all(&publisher, &[changed, suspended, kept].map(|name| document(name, "2.0.0"))).await;
    let status = async |name: &str, body: &Value| {
        let path = format!("/v0/servers/{}/versions/1.0.0/status", name.replace('/', "%2F"));
        publisher.patch(&path, body).await.ok();
    };
    status(changed, &json!({ "status": "deprecated", "statusMessage": "use 2.0.0" })).await;
    status(suspended, &json!({ "status": "deprecated" })).await;
    status(gone, &json!({ "status": "deleted" })).await;

    for place in target.running() {
        wait_until("the deletion is refused", async || {
            (target.client(place).connect(gone).await.code() == "server_revoked").then_some(())
        })
        .await;
    }
    let operator = target.operator(0);
    wait_until("both new versions are here", async || {
        entry(&operator, changed, "2.0.0").await?;
        entry(&operator, suspended, "2.0.0").await
    })
    .await;
    let old = entry(&operator, changed, "1.0.0").await.unwrap();
    let official = &old["_meta"]["io.modelcontextprotocol.registry/official"];
    assert_eq!(
        (&official["status"], &official["statusMessage"]),
        (&json!("deprecated"), &json!("use 2.0.0"))
    );
    let still = entry(&operator, suspended, "2.0.0").await.unwrap();
    assert_eq!(governance(&still)["moderation"], "suspended");
    assert_eq!(target.client(0).connect(suspended).await.code(), "server_revoked");
    assert!(
        entry(&operator, kept, "2.0.0").await.is_none(),
        "a stranger's version came under a name of ours"
    );
    assert!(governance(&entry(&operator, kept, "1.0.0").await.unwrap()).get("source").is_none());
    nothing_new_writes_nothing(&target, &turnstile).await;

    let leader = Metrics::of(&target.node(target.leader().await).door()).await;
    let count =
        |outcome| leader.sum("hapi_mirror_entries_total", &[("source", "upstream"), ("outcome", outcome)]);
    assert_eq!((count("deleted"), count("updated")), (1.0, 2.0));
    assert!(count("kept") >= 1.0);
    assert!(leader.sum("hapi_mirror_last_success_timestamp_seconds", &[("source", "upstream")]) > 1e9);
    target.assert_same_state().await;
}

/// Passes in which nothing is new write nothing, and read no more than what changed of late.
async fn nothing_new_writes_nothing(target: &Cluster, turnstile: &Turnstile) {
    let index = async || target.operator(0).get("/v1/mirrors").await.ok()["index"].as_u64().unwrap();
    // What is being written just now is no pass in which nothing is new.
    let passes = async |more: usize| {
        let begun = turnstile.asked().len();
        wait_until("some passes are over", async || (turnstile.asked().len() >= begun + more).then_some(()))
            .await;
    };
    passes(2).await;
    let (before, asked) = (index().await, turnstile.asked().len());
    passes(3).await;
    assert_eq!(index().await, before, "a pass without news was written down");
    let questions = turnstile.asked().split_off(asked);
    assert!(questions.iter().all(|uri| uri.contains("updated_since")), "{questions:?}");
    assert!(questions.iter().all(|uri| !uri.contains("cursor=")), "more than a page: {questions:?}");
}

/// What each path of a bad source does.
async fn misbehave(uri: Uri) -> Response {
    let kind = uri.path().split('/').nth(1).unwrap_or_default().to_owned();
    let list = |name: &str, next: &str| {
        let entry = json!({ "server": document(name, "1.0.0") });
        axum::Json(json!({ "servers": [entry], "metadata": { "nextCursor": next } })).into_response()
    };
    match kind.as_str() {
        "down" => (StatusCode::INTERNAL_SERVER_ERROR, "out of order").into_response(),
        "html" => ([(header::CONTENT_TYPE, "text/html")], "<html>Welcome</html>").into_response(),
        "cut" => "{\"servers\": [".into_response(),
        "huge" => " ".repeat(17 << 20).into_response(),
        "elsewhere" => (StatusCode::FOUND, [(header::LOCATION, "http://169.254.1.1/")]).into_response(),
        "circle" => list("ai.bad/circle", "same"),
        _ => list("ai.bad/circling", &rand::random::<u64>().to_string()),
    }
}

#[tokio::test]
async fn a_bad_source_is_named_and_holds_up_no_other() {
    let good = source(&entries()[..200]).await;
    let bad = listen(Router::new().fallback(misbehave)).await;
    let target = target().await;
    let kinds = [
        ("down", "answers 500 Internal Server Error: out of order"),
        ("html", "answers with no ServerList"),
        ("cut", "answers with no ServerList"),
        ("huge", "answers with more than 16 MiB"),
        ("elsewhere", "leads to http://169.254.1.1/"),
        ("circle", "a cursor comes again"),
        ("same", "the same page comes again"),
    ];
    for (kind, _) in kinds {
        follow(&target, kind, &format!("{bad}/{kind}")).await;
    }
    follow(&target, "good", good.node(0).http()).await;
    until(&target, "good", "the good one is followed", succeeded).await;
    for (kind, said) in kinds {
        let mirror = until(&target, kind, &format!("{kind} has failed"), |mirror| {
            mirror["progress"]["error"].is_string()
        })
        .await;
        let error = mirror["progress"]["error"].as_str().unwrap();
        assert!(error.contains(said) && error.contains(&bad), "{kind}: {error}");
        assert!(mirror["progress"]["last_success"].is_null(), "{mirror}");
    }
    let leader = Metrics::of(&target.node(target.leader().await).door()).await;
    assert!(kinds.iter().all(|(kind, _)| leader.sum("hapi_mirror_errors_total", &[("source", kind)]) >= 1.0));
    target.operator(0).delete("/v1/mirrors/down").await.ok();
    assert_eq!(target.operator(0).get("/v1/mirrors/down").await.code(), "mirror_not_found");
    let none = target.operator(0).put("/v1/mirrors/none", &json!({ "url": "ftp://registry.example" })).await;
    assert_eq!((none.status, none.code()), (400, "invalid_request"));
}

#[tokio::test]
async fn a_node_that_was_not_told_to_follows_nobody_inside() {
    let source = source(&entries()[..1]).await;
    let target = Cluster::start(1).await;
    let port = source.node(0).http().rsplit(':').next().unwrap().to_owned();
    for (id, url, why) in [
        ("plain", format!("http://localhost:{port}"), "is not https"),
        ("inside", format!("https://127.0.0.1:{port}"), "which is not public"),
        ("named", format!("https://localhost:{port}"), "which is not public"),
    ] {
        follow(&target, id, &url).await;
        let mirror =
            until(&target, id, &format!("{id} has failed"), |mirror| mirror["progress"]["error"].is_string())
                .await;
        let error = mirror["progress"]["error"].as_str().unwrap();
        assert!(error.contains(why) && error.contains("outbound.allow_private"), "{id}: {error}");
        assert_eq!(mirror["versions"], 0);
    }
}

#[tokio::test]
async fn once_by_the_command_line_may_be_repeated() {
    let source = source(&entries()[..300]).await;
    let target = Cluster::start(1).await;
    let mirror_from = |url: &str, arguments: &[&str]| -> Result<Value, String> {
        let output = command()
            .args(["mirror", "--from", url, "--as", "once", "--output", "json"])
            .args(arguments)
            .env("HAPI_NODES", target.node(0).http())
            .env("HAPI_TOKEN", target.operator_token())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.success() { Ok(serde_json::from_slice(&output.stdout).unwrap()) } else { Err(said) }
    };
    let mirror = |arguments: &[&str]| mirror_from(source.node(0).http(), arguments);
    let there = catalog(&source.operator(0)).await;
    let some = there.iter().filter(|(name, ..)| name.starts_with("ai.")).count();
    let first = mirror(&["--include", "ai.*"]).unwrap();
    assert_eq!((&first["added"], &first["excluded"]), (&json!(some), &json!(there.len() - some)));
    let all = mirror(&[]).unwrap();
    assert_eq!((&all["added"], &all["unchanged"]), (&json!(there.len() - some), &json!(some)));
    assert_eq!(catalog(&target.operator(0)).await, there);
    let again = mirror(&[]).unwrap();
    assert_eq!(
        (&again["unchanged"], &again["index"]),
        (&json!(there.len()), &json!(0)),
        "nothing is written twice"
    );
    // A sample of the source is deleted there, and by the next run here.
    let (name, version, _) = &there[0];
    let path = format!("/v0/servers/{}/versions/{version}/status", name.replace('/', "%2F"));
    source.publisher(0).patch(&path, &json!({ "status": "deleted" })).await.ok();
    assert_eq!(mirror(&[]).unwrap()["deleted"], 1);
    let nobody = mirror_from("http://127.0.0.1:1", &[]).unwrap_err();
    assert!(nobody.contains("http://127.0.0.1:1/v0.1/servers cannot be reached"), "{nobody}");
}
