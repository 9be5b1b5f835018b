//! Whether time tells what bytes do not: medians of what is hidden and of what is absent, asked for by turns.
//!
//!     cargo run --release -p hapi-cluster-tests --example isolation_timing [PAIRS]
//!
//! Prints the medians of both for each route, and ends with 1 if two differ by more than 5 %.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use hapi_cluster_tests::{Cluster, Door, document, publish_all};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

const HIDDEN: &str = "ai.secret/here";
const ABSENT: &str = "ai.absent/here";

/// How far two medians may be apart, as a part of the smaller.
const MOST: f64 = 0.05;

type Ask = fn(&Door, &str) -> RequestBuilder;

const ROUTES: &[(&str, Ask)] = &[
    ("GET version", |door, name| {
        let path = format!("/v0.1/servers/{}/versions/latest", name.replace('/', "%2F"));
        door.request(Method::GET, &path)
    }),
    ("GET versions", |door, name| {
        let path = format!("/v0.1/servers/{}/versions", name.replace('/', "%2F"));
        door.request(Method::GET, &path)
    }),
    ("search", |door, name| {
        door.request(Method::GET, &format!("/v1/servers?query={}", name.replace('/', "%2F")))
    }),
    ("connect", |door, name| door.request(Method::POST, "/v1/connect").json(&json!({ "server_ref": name }))),
];

#[tokio::main]
async fn main() -> ExitCode {
    let pairs = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let cluster = Cluster::start(1).await;
    publish_all(&cluster.publisher(0), &[document(HIDDEN, "1.0.0")]).await;
    cluster.operator(0).put("/v1/namespaces/ai.secret", &json!({ "private": true })).await.ok();
    let mut alike = true;
    for (route, ask) in ROUTES {
        let [hidden, absent] = measure(&cluster.client(0), *ask, pairs).await;
        let apart = hidden.max(absent).as_secs_f64() / hidden.min(absent).as_secs_f64() - 1.0;
        alike &= apart <= MOST;
        println!(
            "{route}: hidden {} µs, absent {} µs, {:.1} % apart, {pairs} pairs",
            hidden.as_micros(),
            absent.as_micros(),
            apart * 100.0
        );
    }
    if alike { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The medians of both, each pair in an order by chance: whatever else this machine does then falls on both alike.
async fn measure(door: &Door, ask: Ask, pairs: usize) -> [Duration; 2] {
    let mut times = [Vec::with_capacity(pairs), Vec::with_capacity(pairs)];
    let warm_up = pairs / 10;
    for pair in 0..pairs + warm_up {
        let first = usize::from(rand::random::<bool>());
        for which in [first, 1 - first] {
            let request = ask(door, [HIDDEN, ABSENT][which]);
            let began = Instant::now();
            let answer = door.try_send(request).await.unwrap_or_else(|error| panic!("{error}"));
            let took = began.elapsed();
            assert!(answer.status == 404 || answer.status == 200, "{}", answer.text);
            if pair >= warm_up {
                times[which].push(took);
            }
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}
