//! What issuing costs beyond its signature: one node and three nodes against the ceiling, in turn, on one
//! machine. `scripts/bench-issue` builds what is needed and runs this.
//!
//! `HAPI_ROUNDS` rounds (5) of `HAPI_SECONDS` (5) each, over `HAPI_CONNECTIONS` connections (16), in a closed
//! loop; every round begins with another of the three. Load generator, ceiling and nodes share the machine,
//! so that only the ratios mean something.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for measurements")]

use hapi_cluster_tests::{Cluster, command, document, publish_all};
use serde_json::Value;
use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

const SERVER: &str = "ai.acme/a";

fn setting(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or(otherwise.into())
}

/// The running ceiling; it ends with this.
struct Ceiling(Child);

impl Ceiling {
    /// Starts the example beside this one, and yields its address.
    fn start() -> (Self, String) {
        let here = env::current_exe().expect("this program is a file");
        let mut child = Command::new(here.with_file_name("ceiling"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example `ceiling` is built");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut address).expect("it says where it listens");
        (Self(child), address.trim().to_owned())
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is loaded, and what came of it in each round.
struct Candidate {
    name: &'static str,
    nodes: String,
    path: &'static str,
    token: String,
    rounds: Vec<Round>,
}

#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Candidate {
    fn new(name: &'static str, cluster: &Cluster) -> Self {
        let nodes: Vec<_> = cluster.running().into_iter().map(|place| cluster.node(place).http()).collect();
        let token = cluster.client_token().to_owned();
        Self { name, nodes: nodes.join(","), path: "/v1/connect", token, rounds: Vec::new() }
    }

    fn load(&mut self) {
        let output = command()
            .args(["load", "--json", "--server", SERVER, "--path", self.path, "--node", &self.nodes])
            .args(["--duration", &setting("HAPI_SECONDS", "5")])
            .args(["--connections", &setting("HAPI_CONNECTIONS", "16")])
            .env("HAPI_TOKEN", &self.token)
            .stderr(Stdio::inherit())
            .output()
            .expect("the binary runs");
        let report: Value = serde_json::from_slice(&output.stdout).expect("the load reports in JSON");
        assert_eq!(report["answers"], report["successes"], "{}: {report}", self.name);
        let figure = |value: &Value| value.as_f64().expect("a figure");
        self.rounds.push(Round {
            per_second: figure(&report["successes_per_s"]),
            p50_us: figure(&report["latency_us"]["p50"]),
            p99_us: figure(&report["latency_us"]["p99"]),
        });
    }

    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        let mut figures: Vec<_> = self.rounds.iter().map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures[figures.len() / 2]
    }
}

/// Medians of all rounds, and how they stand to the ceiling's.
fn print(candidates: &[Candidate]) {
    println!(
        "| medians | per second | of ceiling | p50 ms | × ceiling | p99 ms | × ceiling | per second, least to most |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---|");
    let ceiling = &candidates[0];
    for candidate in candidates {
        let both = |figure: fn(&Round) -> f64| {
            let value = candidate.median(figure);
            (value, value / ceiling.median(figure))
        };
        let (rate, p50, p99) = (both(|r| r.per_second), both(|r| r.p50_us), both(|r| r.p99_us));
        let rates = candidate.rounds.iter().map(|round| round.per_second);
        let (least, most) = (rates.clone().fold(f64::MAX, f64::min), rates.fold(0.0, f64::max));
        println!(
            "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {least:.0} to {most:.0} |",
            candidate.name,
            rate.0,
            rate.1,
            p50.0 / 1e3,
            p50.1,
            p99.0 / 1e3,
            p99.1
        );
    }
}

#[tokio::main]
async fn main() {
    let (_ceiling, address) = Ceiling::start();
    let (one, three) = (Cluster::start(1).await, Cluster::start(3).await);
    for cluster in [&one, &three] {
        publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
        cluster.wait_leases(&cluster.running()).await;
    }
    let mut candidates = [
        Candidate { path: "/bare", nodes: address, ..Candidate::new("ceiling", &one) },
        Candidate::new("one node", &one),
        Candidate::new("three nodes", &three),
    ];
    let rounds: usize = setting("HAPI_ROUNDS", "5").parse().expect("a number");
    for round in 0..rounds {
        for turn in 0..candidates.len() {
            candidates[(round + turn) % 3].load();
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    print(&candidates);
}
