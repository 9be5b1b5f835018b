//! What a large catalog costs: pages of the list, searches, memory, a restart, and what connects feel of a snapshot that is
//! built meanwhile. Ends with 1 when an aim is missed.
//!
//! The entries are made from the real ones (`HAPI_FIXTURES`), each under a name of its own: `HAPI_ENTRIES` of them
//! (100,000), and a hundredth of that for comparison, on two nodes. `HAPI_ROUNDS` requests of each kind (2,000), one after
//! the other, to the two nodes in turn. `HAPI_BINARY` names an optimised build.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for measurements")]

use hapi_cluster_tests::{
    Cluster, Door, Options, boot_ns, document, entries_like, ms_between, publish_all, real_entries,
};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Entries in one request of the import.
const CHUNK: usize = 1_000;

/// The aims: p99 of a page and of a search in milliseconds, and both as a multiple of those in the small catalog.
const P99_MS: f64 = 5.0;
const GROWTH: f64 = 2.0;

/// Memory as a multiple of the entries' JSON, all of it after a restart and for each further entry at any time; and the time
/// from a start until the node is ready.
const MEMORY: f64 = 2.0;
const RESTART_MS: f64 = 3_000.0;

/// How much slower connects may be at p99 while a snapshot is built.
const SNAPSHOT: f64 = 2.0;

/// Connects between two snapshots, and how many snapshots there are at the most.
const CALM: usize = 1_000;
const MOST_SNAPSHOTS: usize = 20;

/// What is asked for: names, rare words, words that half of the catalog has, parts of words, sentences.
const QUESTIONS: &[&str] = &[
    "grafana",
    "weather",
    "mcp",
    "server",
    "github",
    "data",
    "search",
    "oreleas",
    "kubernetes cluster",
    "query postgres databases",
    "send an email with attachments",
    "io.github.grafana/mcp-grafana",
    "a",
    "ai tools for agents",
];

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

struct Catalog {
    cluster: Cluster,
    entries: usize,
    json: usize,
}

impl Catalog {
    async fn of(entries: Vec<Value>) -> Self {
        let options =
            Options::default().set("HAPI_LEASE_CLOCK", "trusted").set("HAPI_RAFT_SNAPSHOT_ENTRIES", "200");
        let cluster = Cluster::start_with(1, options).await;
        let json = entries.iter().map(|entry| entry.to_string().len()).sum();
        let (begun, mut imported) = (boot_ns(), 0);
        for chunk in entries.chunks(CHUNK) {
            let report = cluster.operator(0).post("/v1/import", &json!({ "servers": chunk })).await.ok();
            imported += report["imported"].as_u64().expect("a number");
        }
        let seconds = ms_between(begun, boot_ns()) / 1e3;
        println!(
            "{imported} of {} entries, {:.1} MB of JSON, imported in {seconds:.1} s",
            entries.len(),
            json as f64 / 1e6
        );
        Self { cluster, entries: entries.len(), json }
    }

    fn door(&self) -> Door {
        self.cluster.client(0)
    }
}

async fn timed(door: &Door, path: &str) -> (f64, Value) {
    let begun = boot_ns();
    let answer = door.get(path).await;
    let took = ms_between(begun, boot_ns());
    (took, answer.ok())
}

/// Pages through the list from the front, over and over.
struct Pages {
    cursor: String,
}

impl Pages {
    async fn next(&mut self, door: &Door) -> f64 {
        let (took, page) = timed(door, &format!("/v0.1/servers?limit=30{}", self.cursor)).await;
        let next = page["metadata"]["nextCursor"].as_str();
        self.cursor = next.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        took
    }
}

fn at(times: &mut [f64], share: f64) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share).round() as usize]
}

/// Prints a line, and tells whether its aim is met.
fn judge(what: &str, found: f64, aim: f64, unit: &str) -> bool {
    println!("{what:<64} {found:9.2} {unit:<3} (aim {aim})");
    found <= aim
}

/// What the node's memory holds, in bytes.
fn print_memory(when: &str, catalog: &Catalog) -> f64 {
    let status = catalog.cluster.node(0).proc_status();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the process runs");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
    println!("{when}: {:.1} MB resident for {} entries", kib * 1024.0 / 1e6, catalog.entries);
    kib * 1024.0
}

async fn requests(catalogs: &[Catalog; 2], rounds: usize) -> bool {
    let doors = [catalogs[0].door(), catalogs[1].door()];
    let mut pages = [Pages { cursor: String::new() }, Pages { cursor: String::new() }];
    let (mut lists, mut searches) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..rounds {
        let question = QUESTIONS[round % QUESTIONS.len()].replace(' ', "+");
        for which in 0..2 {
            lists[which].push(pages[which].next(&doors[which]).await);
            searches[which].push(timed(&doors[which], &format!("/v1/servers?query={question}")).await.0);
        }
    }
    let mut met = true;
    for (what, mut times) in [("list page", lists), ("search", searches)] {
        let [small, large] = [at(&mut times[0], 0.99), at(&mut times[1], 0.99)];
        let [p50_small, p50_large] = [at(&mut times[0], 0.5), at(&mut times[1], 0.5)];
        println!("{what}: p50 {p50_small:.2} and {p50_large:.2} ms, p99 {small:.2} and {large:.2} ms");
        met &= judge(&format!("{what}, p99 of the large catalog"), large, P99_MS, "ms");
        met &= judge(&format!("{what}, p99 compared with the small catalog"), large / small, GROWTH, "x");
    }
    met
}

/// Connects while a snapshot is built, and while none is. Nothing else is asked for in either case: what lets a snapshot be
/// begun, some publications, has ended by then.
async fn snapshot(catalog: &Catalog, rounds: usize) -> bool {
    let (cluster, door) = (&catalog.cluster, catalog.door());
    let server = "ai.scale/connectable";
    cluster.publisher(0).post("/v0/publish", &document(server, "1.0.0")).await.ok();
    let (mut calm, mut busy) = (Vec::new(), Vec::new());
    let (publisher, mut number, mut built) = (cluster.publisher(0), 0, 0);
    while busy.len() < rounds && built < MOST_SNAPSHOTS {
        let mut left = CALM;
        let more = || {
            left -= 1;
            left > 0
        };
        calm.extend(connects(&door, server, more).await);
        while !is_building(cluster) {
            // Any entry counts.
            publish_all(&publisher, &[document("ai.scale/growing", &format!("1.0.{number}"))]).await;
            number += 1;
        }
        busy.extend(connects(&door, server, || is_building(cluster)).await);
        built += 1;
    }
    let [calm_p99, busy_p99] = [at(&mut calm, 0.99), at(&mut busy, 0.99)];
    let [calm_p50, busy_p50] = [at(&mut calm, 0.5), at(&mut busy, 0.5)];
    println!(
        "connect: p50 {calm_p50:.2} and p99 {calm_p99:.2} ms ({} connects); while {built} snapshots were built, p50 \
         {busy_p50:.2} and p99 {busy_p99:.2} ms ({} connects)",
        calm.len(),
        busy.len()
    );
    judge("connect, p99 while snapshots are built", busy_p99 / calm_p99, SNAPSHOT, "x")
}

/// Whether the node writes a snapshot now.
fn is_building(cluster: &Cluster) -> bool {
    let files = std::fs::read_dir(cluster.data(0).join("snapshots")).expect("the folder of snapshots");
    files.flatten().any(|file| file.path().extension().is_some_and(|extension| extension == "tmp"))
}

/// One connect after the other for as long as `lasts`; the last one is left out, which may have ended later.
async fn connects(door: &Door, server: &str, mut lasts: impl FnMut() -> bool) -> Vec<f64> {
    let mut times = Vec::new();
    loop {
        let begun = boot_ns();
        door.connect(server).await.ok();
        if !lasts() {
            return times;
        }
        times.push(ms_between(begun, boot_ns()));
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let (entries, rounds) = (number("HAPI_ENTRIES", 100_000), number("HAPI_ROUNDS", 2_000));
    let real = real_entries().expect("the entries are made from real ones");
    let small = Catalog::of(entries_like(&real, entries / 100)).await;
    let large = Catalog::of(entries_like(&real, entries)).await;
    let mut catalogs = [small, large];
    let more_json = (catalogs[1].json - catalogs[0].json) as f64;
    let small = print_memory("after the import", &catalogs[0]);
    let large = print_memory("after the import", &catalogs[1]);
    let for_each = "memory for each further entry, in its JSON";
    let mut met = judge(&format!("{for_each}, after the import"), (large - small) / more_json, MEMORY, "x");
    met &= requests(&catalogs, rounds).await;
    print_memory("after the requests", &catalogs[1]);
    let large = &mut catalogs[1];
    met &= snapshot(large, rounds).await;
    print_memory("after the snapshot", large);
    large.cluster.stop(0);
    let begun = boot_ns();
    large.cluster.restart(0);
    large.cluster.wait_ready().await;
    met &= judge("from start to ready", ms_between(begun, boot_ns()), RESTART_MS, "ms");
    let resident = print_memory("after the restart", large);
    met &= judge(&format!("{for_each}, after the restart"), (resident - small) / more_json, MEMORY, "x");
    met &= judge("all memory as a multiple of the JSON", resident / large.json as f64, MEMORY, "x");
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
