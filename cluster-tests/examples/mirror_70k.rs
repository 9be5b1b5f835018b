//! What following a large registry costs: entries made of the real ones are put into one node, three others follow it,
//! their leader is killed in the middle, and then something changes. Ends with 1 if anything is missing or twice.
//!
//! `HAPI_ENTRIES` entries (70000). `HAPI_BINARY` names a release build.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for measurements")]

use hapi_cluster_tests::{Cluster, Door, Options, document, publish_all, real_entries};
use serde_json::{Value, json};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

const LOOK: Duration = Duration::from_millis(100);

/// How long each phase may take.
const PATIENCE: Duration = Duration::from_secs(1_800);

fn wanted() -> usize {
    std::env::var("HAPI_ENTRIES").map_or(70_000, |text| text.parse().expect("a number"))
}

/// The real entries again and again, each time under other names and at other hosts.
fn entry(real: &[Value], number: usize) -> Value {
    let (round, mut entry) = (number / real.len(), real[number % real.len()].clone());
    if round > 0 {
        let name = entry["server"]["name"].as_str().expect("a name").replacen('/', &format!(".r{round}/"), 1);
        entry["server"]["name"] = json!(name);
        for remote in entry["server"]["remotes"].as_array_mut().into_iter().flatten() {
            let url = remote["url"].as_str().unwrap_or_default();
            remote["url"] = json!(url.replacen("://", &format!("://r{round}."), 1));
        }
    }
    entry
}

async fn fill(source: &Door, real: &[Value], count: usize) -> u64 {
    source.patch("/v1/settings", &json!({ "anonymous_reads": true })).await.ok();
    let numbers: Vec<_> = (0..count).collect();
    let mut imported = 0;
    for chunk in numbers.chunks(1_000) {
        let servers: Vec<_> = chunk.iter().map(|number| entry(real, *number)).collect();
        let report = source.post("/v1/import", &json!({ "servers": servers })).await.ok();
        imported += report["imported"].as_u64().expect("a number");
    }
    imported
}

/// What any running node says of the mirror; the leader's word is better.
async fn mirror(target: &Cluster) -> Option<Value> {
    let mut said = None;
    for place in target.running() {
        let door = target.operator(place);
        let request =
            door.request(reqwest::Method::GET, "/v1/mirrors/upstream").timeout(Duration::from_secs(5));
        let Ok(answer) = door.try_send(request).await else { continue };
        if answer.status == 200 && (said.is_none() || answer.body["progress"].is_object()) {
            said = Some(answer.body);
        }
    }
    said
}

async fn until(target: &Cluster, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        if let Some(mirror) = mirror(target).await.filter(|mirror| is_so(mirror)) {
            return mirror;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(LOOK).await;
    }
}

fn say(what: &str, took: Duration, entries: u64) {
    let seconds = took.as_secs_f64();
    println!("{what:<44} {seconds:8.1} s {entries:8} entries {:8.0} entries/s", entries as f64 / seconds);
}

fn memory(cluster: &Cluster, name: &str) {
    for place in cluster.running() {
        let mib = cluster.node(place).spent().peak_memory >> 20;
        println!("{name} node {place}: peak memory {mib} MiB");
    }
}

fn versions(mirror: &Value) -> u64 {
    mirror["versions"].as_u64().unwrap_or(0)
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(real) = real_entries() else { return ExitCode::FAILURE };
    let source = Cluster::start(1).await;
    let begun = Instant::now();
    let count = fill(&source.operator(0), &real, wanted()).await;
    say("the source takes them by import", begun.elapsed(), count);
    let mut target =
        Cluster::start_with(3, Options::default().set("HAPI_OUTBOUND_ALLOW_PRIVATE", "true")).await;
    let begun = Instant::now();
    let body = json!({ "url": source.node(0).http(), "interval_seconds": 1 });
    target.operator(0).put("/v1/mirrors/upstream", &body).await.ok();
    let half = until(&target, "half of it is here", |mirror| versions(mirror) >= count / 2).await;
    say("the first half", begun.elapsed(), versions(&half));
    memory(&target, "target, at half,");
    let leader = target.leader().await;
    let killed = Instant::now();
    target.kill(leader);
    let is_done =
        |mirror: &Value| mirror["progress"]["last_success"].is_string() && versions(mirror) >= count;
    let done = until(&target, "all of it is here", is_done).await;
    say("the other half, its leader killed", killed.elapsed(), versions(&done) - versions(&half));
    println!("the last pass of the next leader: {}", done["progress"]["entries"]);
    say("all together", begun.elapsed(), versions(&done));
    target.restart(leader);
    target.wait_ready().await;
    let begun = Instant::now();
    publish_all(&source.publisher(0), &[document("ai.upstream/new", "1.0.0")]).await;
    let more = until(&target, "what is new is here", |mirror| versions(mirror) > count).await;
    say("one new entry, from its publication on", begun.elapsed(), versions(&more) - versions(&done));
    println!("that pass: {}", more["progress"]["entries"]);
    target.assert_same_state().await;
    memory(&source, "source,");
    memory(&target, "target,");
    if versions(&more) == count + 1 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
