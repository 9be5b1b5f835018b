//! Writers that publish through all nodes, and remember what was acknowledged.

use crate::{Cluster, document, wait_until};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::task::JoinSet;

/// How many writers publish at a time.
const WRITERS: usize = 16;

/// Publishes numbers below `total` through all nodes until told to stop; keeps what was acknowledged. A writer whose
/// node dies goes on to the next number at another node.
#[derive(Debug)]
pub struct Publishing {
    writers: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    next: AtomicUsize,
    stop: AtomicBool,
    acknowledged: Mutex<BTreeSet<usize>>,
}

impl Publishing {
    /// The server that is published for a number.
    pub fn name(number: usize) -> String {
        format!("ai.load/server-{number:05}")
    }

    /// Starts the writers.
    pub fn start(cluster: &Cluster, total: usize) -> Self {
        let doors: Vec<_> = cluster.running().into_iter().map(|place| cluster.publisher(place)).collect();
        let shared = Arc::new(Shared::default());
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (doors, shared) = (doors.clone(), shared.clone());
            writers.spawn(async move {
                let mut at = writer;
                while !shared.stop.load(Ordering::Relaxed) {
                    let number = shared.next.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        break;
                    }
                    let door = &doors[at % doors.len()];
                    let request = door.request(reqwest::Method::POST, "/v0/publish");
                    match door.try_send(request.json(&document(&Self::name(number), "1.0.0"))).await {
                        Ok(answer) if answer.status == 200 => {
                            shared.acknowledged.lock().expect("no holder panics").insert(number);
                        }
                        _ => at += 1,
                    }
                }
            });
        }
        Self { writers, shared }
    }

    /// Waits until the publishing of `number` has begun.
    pub async fn wait_for(&self, number: usize) {
        wait_until(&format!("{number} publishes have begun"), async || {
            (self.shared.next.load(Ordering::Relaxed) >= number).then_some(())
        })
        .await;
    }

    /// The numbers that have been acknowledged so far.
    pub fn acknowledged(&self) -> BTreeSet<usize> {
        self.shared.acknowledged.lock().expect("no holder panics").clone()
    }

    /// The numbers of all acknowledged publishes, once all are done.
    pub async fn finish(mut self) -> BTreeSet<usize> {
        while let Some(writer) = self.writers.join_next().await {
            writer.expect("a writer does not panic");
        }
        self.acknowledged()
    }

    /// The same, without beginning further ones.
    pub async fn stop(self) -> BTreeSet<usize> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }
}
