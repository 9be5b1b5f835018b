//! Not a test of anything: figures to look at.

use super::harness::{homes, leader, start_all};
use crate::Replica;
use hapi_registry_state::{Command, Principal};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Run it in release with `cargo test --release -p hapi-raft throughput -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of several seconds, not a check"]
async fn commits_and_reads_per_second() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let leader = leader(&replicas).await;
    for writers in [1, 16, 64] {
        let rate = measure(&leader, writers, write_once).await;
        report("commits", writers, rate);
    }
    for readers in [1, 16, 64] {
        let rate = measure(&leader, readers, read_once).await;
        report("read indexes", readers, rate);
    }
}

#[expect(clippy::print_stderr, reason = "the figures are what this is for")]
fn report(what: &str, callers: usize, rate: f64) {
    eprintln!("{what} per second with {callers} callers at the leader: {rate:.0}");
}

async fn write_once(replica: Replica) {
    // About 400 bytes, as an entry with a small document has.
    let command = Command::JoinRoster { http: "x".repeat(360), version: "1".into() };
    replica.propose(Principal::Node(replica.node_id()), command).await.unwrap();
}

async fn read_once(replica: Replica) {
    replica.read_index().await.unwrap();
}

async fn measure<F>(
    replica: &Replica,
    callers: usize,
    once: impl Fn(Replica) -> F + Copy + Send + 'static,
) -> f64
where
    F: Future<Output = ()> + Send,
{
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (replica, count, stop) = (replica.clone(), count.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    once(replica.clone()).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let started = Instant::now();
    sleep(Duration::from_secs(3)).await;
    let rate = count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    rate
}
