//! What a seal costs: plain committed writes and sealed ones, in turn, on the same three nodes; then with one
//! node freshly cut off. Ends with 1 when an aim is missed.
//!
//! `HAPI_ROUNDS` pairs of writes (200), `HAPI_CUTS` cuts (3). `HAPI_BINARY` names a release build.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for measurements")]

use hapi_cluster_tests::{Cluster, Options, boot_ns, document, ms_between, publish_all};
use std::process::ExitCode;

const SERVER: &str = "ai.acme/a";

/// The longest that a lease may keep a seal waiting, W, and what a seal may take beyond it.
const FIRST_MS: f64 = 3_667.0 + 500.0;

/// What a sealed write may cost, as multiples of a plain one: at p50 and at p99.
const RATIOS: [f64; 2] = [2.0, 3.0];

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

async fn timed(cluster: &Cluster, leader: usize, act: &str) -> f64 {
    let door = cluster.moderator(leader);
    let begun = boot_ns();
    let receipt = door.moderate(act, "server", SERVER).await;
    let took = ms_between(begun, boot_ns());
    assert_eq!(receipt.status, 200, "{act}: {}", receipt.text);
    took
}

/// Suspends and reinstates in turn: sealed writes, and plain ones.
async fn pairs(cluster: &Cluster, leader: usize, count: usize) -> [Vec<f64>; 2] {
    let (mut sealed, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..count {
        sealed.push(timed(cluster, leader, "suspend").await);
        plain.push(timed(cluster, leader, "reinstate").await);
    }
    [sealed, plain].map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times
    })
}

fn at(times: &[f64], share: f64) -> f64 {
    times[((times.len() - 1) as f64 * share).round() as usize]
}

/// Prints one line for plain and sealed writes, and tells whether the aims are met.
fn compare(name: &str, [sealed, plain]: &[Vec<f64>; 2]) -> bool {
    let mut met = true;
    for (share, aim) in [0.5, 0.99].into_iter().zip(RATIOS) {
        let (plain, sealed) = (at(plain, share), at(sealed, share));
        let (ratio, percent) = (sealed / plain, share * 100.0);
        println!("{name:<24} p{percent:<3} {plain:8.2} {sealed:8.2} {ratio:7.2}  (aim {aim})");
        met &= ratio <= aim;
    }
    met
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(cluster) = Cluster::separable(3, Options::default()).await else { return ExitCode::FAILURE };
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    let leader = cluster.leader().await;
    pairs(&cluster, leader, 20).await;
    println!("{:<24} {:<4} {:>8} {:>8} {:>7}", "milliseconds", "", "plain", "sealed", "ratio");
    let mut met = compare("all nodes up", &pairs(&cluster, leader, number("HAPI_ROUNDS", 200)).await);
    for _ in 0..number("HAPI_CUTS", 3) {
        cluster.cut(&[cluster.other_than(leader)]);
        let first = timed(&cluster, leader, "suspend").await;
        println!("one node freshly cut off, the first seal: {first:.0} ms (aim {FIRST_MS:.0})");
        timed(&cluster, leader, "reinstate").await;
        met &= first <= FIRST_MS;
        met &= compare("one node still cut off", &pairs(&cluster, leader, 100).await);
        cluster.heal();
        cluster.wait_leases(&cluster.running()).await;
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
