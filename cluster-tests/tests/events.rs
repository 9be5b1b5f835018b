//! What is done is told to whoever follows: once, in order and without a gap, wherever reader and node break off.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Door, command, document, wait_until};
use reqwest::{Method, Response, header};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::task::JoinSet;

/// How many events there are, unless `HAPI_EVENTS` says otherwise.
const EVENTS: usize = 3_000;

/// How many make them at a time.
const WRITERS: usize = 32;

/// The index at which a reader is done; not known while events are made.
type End = Arc<AtomicU64>;

/// Lets readers end when a test fails.
struct Ends(End);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

fn up_to(most: usize) -> usize {
    1 + rand::random::<u64>() as usize % most
}

/// Acts that change something, and cost little. One whose outcome is not known on a busy machine is done anew; the audit
/// tells what was done.
async fn make(cluster: &Cluster, count: usize) {
    let (mut writers, made) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for writer in 0..WRITERS {
        let (door, made) = (cluster.operator(writer % cluster.size()), made.clone());
        writers.spawn(async move {
            while made.load(Ordering::Relaxed) < count {
                let request = door.request(Method::PUT, "/v1/namespaces/ai.made");
                let answer = door.try_send(request.json(&json!({ "private": false }))).await.unwrap();
                assert!(matches!(answer.status, 200 | 503), "{}", answer.text);
                made.fetch_add(usize::from(answer.status == 200), Ordering::Relaxed);
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
}

/// What the audit says was done, by its indexes.
async fn done(door: &Door) -> Vec<u64> {
    let (mut indexes, mut after) = (Vec::new(), 0);
    loop {
        let page = door.get(&format!("/v1/audit?limit=1000&after={after}")).await.ok();
        let records = page["records"].as_array().unwrap();
        let done = records.iter().filter(|record| record["outcome"] == "done");
        indexes.extend(done.map(|record| record["index"].as_u64().unwrap()));
        match records.last() {
            Some(last) => after = last["index"].as_u64().unwrap(),
            None => return indexes,
        }
    }
}

/// A stream of events.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(door: &Door, last: u64) -> Self {
        let request = door.request(Method::GET, "/v1/events").header(header::ACCEPT, "text/event-stream");
        let response = request.header("last-event-id", last.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let found = field("data:").map(|data| {
                    let data: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(field("id:").unwrap().trim(), data["index"].to_string());
                    data
                });
                self.text = rest.to_owned();
                if found.is_some() {
                    return found;
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

/// Reads streams of all nodes, each to a random place in it.
async fn by_stream(doors: Vec<Door>, end: End) -> Vec<u64> {
    let mut seen = Vec::new();
    let last = |seen: &Vec<u64>| seen.last().copied().unwrap_or(0);
    while last(&seen) < end.load(Ordering::Relaxed) {
        let mut stream = Stream::open(&doors[up_to(doors.len()) - 1], last(&seen)).await;
        for _ in 0..up_to(EVENTS / 5) {
            if last(&seen) >= end.load(Ordering::Relaxed) {
                break;
            }
            let Some(event) = stream.next().await else { break };
            seen.push(event["index"].as_u64().unwrap());
        }
    }
    seen
}

/// Reads pages of all nodes, of which every fourth is lost on the way.
async fn by_page(doors: Vec<Door>, end: End) -> Vec<u64> {
    let (mut seen, mut since) = (Vec::new(), 0);
    while since < end.load(Ordering::Relaxed) {
        let (door, limit) = (&doors[up_to(doors.len()) - 1], up_to(500));
        let page = door.get(&format!("/v1/events?since={since}&limit={limit}&wait=1")).await.ok();
        if up_to(4) == 1 {
            continue;
        }
        seen.extend(page["events"].as_array().unwrap().iter().map(|event| event["index"].as_u64().unwrap()));
        let next = page["next"].as_u64().unwrap();
        assert!(next >= since, "a reader is sent back from {since} to {next}");
        since = next;
    }
    seen
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Follows with the command line, in processes that are killed.
fn by_process(nodes: &[String], token: &str, end: &End) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    while seen.last().copied().unwrap_or(0) < end.load(Ordering::Relaxed) {
        let since = seen.last().copied().unwrap_or(0).to_string();
        let mut child = command()
            .args(["events", "--follow", "--output", "json", "--since", &since])
            .env("HAPI_NODES", &nodes[up_to(nodes.len()) - 1])
            .env("HAPI_TOKEN", token)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let child = Killed(child);
        for line in lines.take(up_to(EVENTS / 5)) {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            seen.push(event["index"].as_u64().unwrap());
            if seen.last().copied().unwrap_or(0) >= end.load(Ordering::Relaxed) {
                break;
            }
        }
        drop(child);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_are_killed_and_resumed_at_random_see_each_event_once_and_in_order() {
    let count = std::env::var("HAPI_EVENTS").map_or(EVENTS, |text| text.parse().unwrap());
    let cluster = Cluster::start(3).await;
    let doors: Vec<_> = (0..3).map(|place| cluster.operator(place)).collect();
    let nodes: Vec<_> = (0..3).map(|place| cluster.node(place).http().to_owned()).collect();
    let end: End = Arc::new(AtomicU64::new(u64::MAX));
    let _ends = Ends(end.clone());
    let streamed = tokio::spawn(by_stream(doors.clone(), end.clone()));
    let paged = tokio::spawn(by_page(doors.clone(), end.clone()));
    let (token, until) = (cluster.operator_token().to_owned(), end.clone());
    let followed = tokio::task::spawn_blocking(move || by_process(&nodes, &token, &until));
    let began = std::time::Instant::now();
    make(&cluster, count).await;
    eprintln!("{count} events made in {:?}", began.elapsed());
    end.store(*done(&doors[0]).await.last().unwrap(), Ordering::Relaxed);
    // Whoever has seen the last one already waits for another.
    make(&cluster, 1).await;
    let expected = done(&doors[0]).await;
    assert!(expected.len() > count);
    for (reader, seen) in [
        ("stream", streamed.await.unwrap()),
        ("page", paged.await.unwrap()),
        ("process", followed.await.unwrap()),
    ] {
        let differs = seen.iter().zip(&expected).position(|(seen, expected)| seen != expected);
        assert_eq!(differs, None, "{reader} at the place of {:?}", differs.map(|place| expected[place]));
        assert!(
            seen.len() <= expected.len() && seen.last().copied() >= Some(end.load(Ordering::Relaxed)),
            "{reader}"
        );
    }
    eprintln!(
        "{} events, each seen once and in order by three readers after {:?}",
        expected.len(),
        began.elapsed()
    );
}

#[tokio::test]
async fn an_import_is_one_event_that_names_each_version() {
    let cluster = Cluster::start(1).await;
    let names = ["ai.acme/a", "ai.acme/b"];
    let servers: Vec<_> = names.iter().map(|name| json!({ "server": document(name, "1.0.0") })).collect();
    let imported = cluster.operator(0).post("/v1/import", &json!({ "servers": servers })).await.ok();
    let since = imported["index"].as_u64().unwrap() - 1;
    let page = cluster.operator(0).get(&format!("/v1/events?since={since}&limit=1")).await.ok();
    let event = &page["events"][0];
    assert_eq!(
        (&event["act"], &event["kind"], &event["subject"]),
        (&json!("import"), &json!("versions"), &json!("versions/2"))
    );
    let changes = names.map(|name| json!({ "subject": format!("version/{name}@1.0.0"), "change": "added" }));
    assert_eq!(event["changes"], json!(changes));
    assert_eq!(page["next"], imported["index"]);
}

#[tokio::test]
async fn a_reader_that_is_ahead_waits_and_a_stream_ends_with_its_node_or_its_token() {
    let mut cluster = Cluster::start(1).await;
    let operator = cluster.operator(0);
    let ahead = operator.get("/v1/events?limit=1").await.ok()["index"].as_u64().unwrap() + 50;
    let page = operator.get(&format!("/v1/events?since={ahead}&wait=1")).await.ok();
    assert_eq!((&page["events"], &page["next"]), (&json!([]), &json!(ahead)));
    for bad in ["since=soon", "limit=0", "limit=1001", "wait=31"] {
        assert_eq!(operator.get(&format!("/v1/events?{bad}")).await.code(), "invalid_request", "{bad}");
    }
    let (path, public) = (format!("/v1/events?since={}&wait=30", page["index"]), json!({ "private": false }));
    let (waiting, acting) = (operator.get(&path), operator.put("/v1/namespaces/ai.made", &public));
    let (waited, _) = tokio::join!(waiting, acting);
    assert_eq!(waited.ok()["events"][0]["act"], "put_namespace");

    let made = operator.post("/v1/tokens", &json!({ "role": "auditor" })).await.ok();
    let auditor = operator.with_token(made["token"].as_str().unwrap());
    let mut stream = Stream::open(&auditor, 0).await;
    assert_eq!(stream.next().await.unwrap()["act"], "join_roster");
    let open = cluster.node(0).door().get("/metrics").await.text;
    assert!(open.lines().any(|line| line == "hapi_event_streams 1"));
    operator.delete(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())).await.ok();
    while stream.next().await.is_some() {}
    wait_until("its place is free", async || {
        let text = cluster.node(0).door().get("/metrics").await.text;
        text.lines().any(|line| line == "hapi_event_streams 0").then_some(())
    })
    .await;

    let mut stream = Stream::open(&operator, 0).await;
    stream.next().await.unwrap();
    // In good order, and soon: a node that waited for its streams would be killed.
    let began = std::time::Instant::now();
    cluster.stop(0);
    assert!(began.elapsed().as_secs() < 8, "{:?}", began.elapsed());
    while stream.next().await.is_some() {}
}
