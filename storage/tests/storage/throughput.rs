//! Figures, printed and not asserted. Run with
//! `cargo test --release -p hapi-storage -- --ignored --nocapture throughput`.

use std::{collections::VecDeque, fs, path::Path, time::Instant};

use crate::support::{append, begin_append, compact, entry, last_index, open};

const APPENDS: u64 = 20_000;

#[tokio::test]
#[ignore = "a measurement"]
async fn throughput() {
    for in_flight in [1, 16, 64, 256] {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut storage = open(dir.path());
        let appends = if in_flight == 1 { APPENDS / 10 } else { APPENDS };
        let data = "x".repeat(400);
        let mut waiting = VecDeque::new();
        let started = Instant::now();
        for index in 0..appends {
            waiting.push_back(begin_append(&mut storage.log, vec![entry(1, index, &data)]).await.unwrap());
            if waiting.len() == in_flight {
                waiting.pop_front().unwrap().await.unwrap().unwrap();
            }
        }
        for flushed in waiting {
            flushed.await.unwrap().unwrap();
        }
        let seconds = started.elapsed().as_secs_f64();
        let syncs = storage.watch.sync_seconds();
        println!(
            "{in_flight:>3} in flight: {:>7.0} appends/s, {:.1} per fsync, {:.2} ms per group",
            appends as f64 / seconds,
            appends as f64 / syncs.count as f64,
            1000.0 * syncs.sum / syncs.count as f64,
        );
        storage.close().await;
    }
}

/// How large database and start-up become for a log that is purged now and then.
#[tokio::test]
#[ignore = "a measurement"]
async fn growth() {
    const KEPT: u64 = 20_000;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut storage = open(dir.path());
    let data = "x".repeat(500);
    for first in (0..400_000).step_by(100) {
        let batch = (first..first + 100).map(|index| entry(1, index, &data)).collect();
        append(&mut storage.log, batch).await.unwrap();
        if first % KEPT == 0 && first >= 2 * KEPT {
            compact(&mut storage, 1, first - KEPT).await;
            storage.snapshots.prune(1).unwrap();
            println!("{first:>6} entries: {:>3} MiB on disk", size(&dir.path().join("db")) >> 20);
        }
    }
    storage.close().await;
    let started = Instant::now();
    let entries = last_index(&mut open(dir.path()).log).await;
    println!("opened up to index {entries:?} in {:?}", started.elapsed());
}

fn size(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
