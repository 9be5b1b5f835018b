//! Whatever is wrong is named, and nothing breaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Node, command, document, publish_all};
use reqwest::Method;
use serde_json::json;
use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    net::TcpListener,
    path::Path,
    process::Output,
};

#[tokio::test]
async fn bodies_are_judged_before_they_are_believed() {
    let cluster = Cluster::start(1).await;
    let publisher = cluster.publisher(0);
    let send = async |body: Vec<u8>| {
        publisher.try_send(publisher.request(Method::POST, "/v0/publish").body(body)).await
    };
    let broken = send(b"{\"name\": \"ai.acme/a\",\n  \"version\" }".to_vec()).await.unwrap();
    assert_eq!((broken.status, broken.code()), (400, "invalid_request"));
    assert!(broken.text.contains("line 2"), "{}", broken.text);
    let mut invalid = document("ai.acme/a", "^1.0.0");
    invalid["description"] = json!("");
    let invalid = publisher.post("/v0/publish", &invalid).await;
    assert_eq!((invalid.status, invalid.code()), (422, "invalid_request"));
    assert!(invalid.text.contains("version") && invalid.text.contains("description"), "{}", invalid.text);
    // The refusal may overtake the rest of the body, which the client then cannot send.
    if let Ok(large) = send(vec![b' '; 20 * 1024 * 1024]).await {
        assert_eq!((large.status, large.code()), (413, "payload_too_large"));
    }
    publisher.post("/v0/publish", &document("ai.acme/a", "1.0.0")).await.ok();
    let again = publisher.post("/v0/publish", &document("ai.acme/a", "1.0.0")).await;
    assert_eq!((again.status, again.code()), (400, "version_exists"));
    let mut same_url = document("ai.other/a", "1.0.0");
    same_url["remotes"] = document("ai.acme/a", "1.0.0")["remotes"].clone();
    let taken = publisher.post("/v0/publish", &same_url).await;
    assert_eq!((taken.status, taken.code()), (400, "remote_url_taken"));
}

#[tokio::test]
async fn a_body_of_20_mb_is_refused_on_every_route_that_takes_one() {
    let cluster = Cluster::start(1).await;
    for (door, method, path) in [
        (cluster.client(0), Method::POST, "/v1/connect"),
        (cluster.publisher(0), Method::POST, "/v0/publish"),
        (cluster.publisher(0), Method::POST, "/v0.1/validate"),
        (cluster.moderator(0), Method::POST, "/v1/moderation"),
        (cluster.operator(0), Method::POST, "/v1/tokens"),
        (cluster.operator(0), Method::POST, "/v1/import"),
        (cluster.operator(0), Method::POST, "/v1/mirrors/m/entries"),
        (cluster.operator(0), Method::PATCH, "/v1/settings"),
    ] {
        let request =
            door.request(method, path).header("expect", "100-continue").body(vec![b'x'; 20_000_000]);
        if let Ok(answer) = door.try_send(request).await {
            assert_eq!((answer.status, answer.code()), (413, "payload_too_large"), "{path}: {}", answer.text);
        }
        assert_eq!(door.get("/livez").await.status, 200);
    }
}

#[tokio::test]
async fn the_catalog_answers_bad_queries_as_the_official_registry_does() {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let client = cluster.client(0);
    for (path, status) in [
        ("/v0.1/servers?limit=0", 422),
        ("/v0.1/servers?limit=101", 422),
        ("/v0.1/servers?limit=many", 422),
        ("/v0.1/servers?updated_since=yesterday", 400),
        ("/v0.1/servers?updated_since=2025-01-01T00:00:00Z&include_deleted=false", 400),
        ("/v0.1/servers?cursor=made-up", 400),
        ("/v0.1/servers/ai.acme%2Fb/versions", 404),
        ("/v0.1/servers/ai.acme%2Fa/versions/9.9.9", 404),
        ("/v0.1/servers/no-slash/versions/latest", 400),
        ("/v0.1/servers/ai.acme%2Fa%00/versions/latest", 400),
        ("/v0.1/nothing", 404),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.body["error"].is_string() && answer.body["detail"].is_string(), "{}", answer.text);
    }
    let wrong_method = client.delete("/v1/connect").await;
    assert_eq!((wrong_method.status, wrong_method.code()), (405, "method_not_allowed"));
    let list = client.get("/v0.1/servers?limit=1").await.ok();
    assert_eq!(list["metadata"]["count"], 1);
    // The redirect of a trailing slash is followed by any client.
    assert_eq!(client.get("/v0.1/servers/").await.ok(), client.get("/v0.1/servers").await.ok());
}

#[tokio::test]
async fn an_import_reports_each_dirty_entry_by_name_and_takes_the_others() {
    let cluster = Cluster::start(1).await;
    let meta = json!({ "io.modelcontextprotocol.registry/official": { "status": "weird" } });
    let mut nameless = document("ai.acme/c", "1.0.0");
    nameless["name"] = json!("no slash");
    let list = json!({ "servers": [
        { "server": document("ai.acme/a", "1.0.0") },
        { "server": document("ai.acme/b", "1.0.0"), "_meta": meta },
        { "server": nameless },
        { "nothing": 1 },
        { "server": document("ai.acme/a", "1.0.0") },
    ] });
    let report = cluster.operator(0).post("/v1/import", &list).await.ok();
    assert_eq!(report["imported"], 1);
    let rejected: Vec<_> =
        report["rejected"].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
    assert_eq!(rejected, ["ai.acme/b", "no slash", "?", "ai.acme/a"]);
    assert!(report["rejected"][0]["reason"].as_str().unwrap().contains("weird"), "{report}");
}

#[tokio::test]
async fn moderation_names_what_it_does_not_know() {
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    let moderator = cluster.moderator(0);
    for (act, kind, id, status, code) in [
        ("ban", "server", "ai.acme/a", 400, "invalid_request"),
        ("suspend", "planet", "ai.acme/a", 400, "invalid_request"),
        ("suspend", "server", "nonsense", 400, "invalid_request"),
        ("suspend", "version", "ai.acme/a", 400, "invalid_request"),
        ("suspend", "server", "ai.acme/b", 404, "not_found"),
        ("suspend", "client", "nobody", 404, "not_found"),
        ("verify", "client", "tester", 400, "act_not_applicable"),
        ("reinstate", "server", "ai.acme/a", 409, "not_moderated"),
    ] {
        let answer = moderator.moderate(act, kind, id).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{act} {kind} {id}: {}", answer.text);
    }
    let subject = json!({ "kind": "server", "id": "ai.acme/a" });
    let silent = json!({ "act": "suspend", "subject": subject, "reason": " " });
    assert_eq!(moderator.post("/v1/moderation", &silent).await.status, 400);
}

/// Runs `serve` with `settings` and yields what it said when it ended.
fn serve(settings: &[(&str, &str)]) -> Output {
    let mut command = command();
    command.arg("serve");
    command.envs(settings.iter().copied());
    command.output().unwrap()
}

fn assert_says(output: &Output, code: i32, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (secret, weak) = (folder.path().join("secret"), folder.path().join("weak"));
    fs::write(&secret, "8e1fd0d0a7c1489f5f7b0a3c29d1e64b5a7098c3d2e1f00918273645546372819").unwrap();
    fs::write(&weak, "password").unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = held.local_addr().unwrap().to_string();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (data, secret, weak) = (text(&data), text(&secret), text(&weak));
    let base = [
        ("HAPI_DATA_DIR", data.as_str()),
        ("HAPI_CLUSTER_SECRET_FILE", secret.as_str()),
        ("HAPI_HTTP_LISTEN", "127.0.0.1:0"),
        ("HAPI_PEER_LISTEN", "127.0.0.1:0"),
        ("HAPI_ISSUER", "https://registry.example"),
        ("HAPI_CLUSTER_BOOTSTRAP_EXPECT", "1"),
    ];
    let with = |name: &'static str, value: &str| {
        let mut settings: Vec<(&str, &str)> = base.to_vec();
        settings.retain(|(known, _)| *known != name);
        settings.push((name, value));
        serve(&settings)
    };
    assert_says(&with("HAPI_CLUSTER_SECRET_FILE", &weak), 2, &["weak", &weak]);
    assert_says(&with("HAPI_CLUSTER_SECRET_FILE", "/nowhere/secret"), 2, &["/nowhere/secret"]);
    assert_says(&with("HAPI_HTTP_LISTEN", &held), 2, &[&held, "http.listen"]);
    assert_says(&with("HAPI_HTTP_LISTENN", "127.0.0.1:0"), 2, &["HAPI_HTTP_LISTENN", "HAPI_HTTP_LISTEN"]);
    assert_says(&with("HAPI_ISSUER", "not a url"), 2, &["issuer"]);
    let file = folder.path().join("node.toml");
    fs::write(&file, "[http]\nlistn = \"127.0.0.1:0\"\n").unwrap();
    let output = command().args(["serve", "--config"]).arg(&file).output().unwrap();
    assert_says(&output, 2, &["http.listn", "http.listen", "node.toml"]);
}

/// Overwrites bytes in the middle of the largest file under `folder`.
fn damage(folder: &Path) {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let largest = files.into_iter().max_by_key(|path| used(path)).unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&largest).unwrap();
    file.seek(SeekFrom::Start(used(&largest) / 2)).unwrap();
    file.write_all(&[0x5a; 4_096]).unwrap();
}

/// The offset behind the last byte that is not zero.
fn used(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1)
}

#[tokio::test]
async fn a_corrupt_data_folder_is_refused_by_name_and_the_others_go_on() {
    let mut cluster = Cluster::start(3).await;
    let documents: Vec<_> = (0..300).map(|n| document(&format!("ai.acme/s{n}"), "1.0.0")).collect();
    publish_all(&cluster.publisher(0), &documents).await;
    cluster.kill(2);
    damage(&cluster.data(2));
    let join = [cluster.node(0).peer().to_owned()];
    let said = Node::try_start(&cluster.data(2), &cluster.secret(), &join, cluster.settings());
    let said = said.map(|node| node.log()).unwrap_err();
    assert!(said.contains(cluster.data(2).to_str().unwrap()), "the folder is named: {said}");
    assert!(said.contains("new node"), "the way back is named: {said}");
    assert!(!said.contains("panicked at"), "{said}");
    cluster.client(0).connect("ai.acme/s7").await.ok();
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused() {
    let cluster = Cluster::start(1).await;
    let second = Node::try_start(&cluster.data(0), &cluster.secret(), &[], cluster.settings());
    let said = second.map(|node| node.log()).unwrap_err();
    assert!(said.contains("another process"), "{said}");
}
