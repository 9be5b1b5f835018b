//! Tests that need to hold or break the fsync.

use std::{
    io,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

use openraft::storage::{RaftLogReader, RaftLogStorage};

use self::support::{Types, append, begin_append, entries, inner, vote};
use crate::{
    Options, Storage, StorageError, StorageMetrics,
    disk::{BATCH_KEYS, SyncFile},
    writer::SyncData,
};

#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
#[path = "../tests/storage/support.rs"]
mod support;

/// A store whose fsyncs each wait for a word: the sender lets one go, with its result.
fn gated(dir: &Path, options: Options) -> (Storage<Types>, mpsc::Sender<io::Result<()>>) {
    let (gate, words) = mpsc::channel::<io::Result<()>>();
    let sync = |file: SyncFile| -> SyncData {
        Box::new(move || words.recv().unwrap_or(Ok(())).and_then(|()| file.sync()))
    };
    (Storage::open_with(dir, options, sync).unwrap(), gate)
}

#[tokio::test]
async fn appends_that_wait_share_one_fsync() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, gate) = gated(dir.path(), Options::default());
    let mut waiting = Vec::new();
    for index in 0..65 {
        waiting.push(begin_append(&mut storage.log, entries(1, index..index + 1)).await.unwrap());
    }
    // The writer may have taken any number of them before the first fsync, which is held.
    gate.send(Ok(())).unwrap();
    gate.send(Ok(())).unwrap();
    for flushed in waiting {
        flushed.await.unwrap().unwrap();
    }
    assert!(storage.watch.sync_seconds().count <= 2);
    assert_eq!(storage.watch.group_size().sum, 65.0);
    drop(gate);
    storage.close().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_before_the_fsync() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, gate) = gated(dir.path(), Options::default());
    let mut flushed = begin_append(&mut storage.log, entries(1, 0..1)).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), &mut flushed).await;
    assert!(early.is_err(), "acknowledged without an fsync");
    let mut log = storage.log.clone();
    let saving = tokio::spawn(async move { log.save_vote(&vote(1)).await });
    assert_eq!(storage.log.read_vote().await.unwrap(), None);
    drop(gate);
    flushed.await.unwrap().unwrap();
    saving.await.unwrap().unwrap();
    assert_eq!(storage.log.read_vote().await.unwrap(), Some(vote(1)));
}

#[tokio::test]
async fn a_failed_fsync_stops_storage_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, gate) = gated(dir.path(), Options::default());
    gate.send(Ok(())).unwrap();
    append(&mut storage.log, entries(1, 0..1)).await.unwrap();
    gate.send(Err(io::Error::other("disk on fire"))).unwrap();
    let failed = append(&mut storage.log, entries(1, 1..2)).await.unwrap_err();
    assert!(matches!(inner(&failed), Some(StorageError::Stopped { .. })), "{failed}");
    assert!(storage.failure().wait().await.contains("disk on fire"));

    // The next fsyncs would succeed; none is tried.
    drop(gate);
    assert!(append(&mut storage.log, entries(1, 2..3)).await.is_err());
    assert!(storage.log.save_vote(&vote(1)).await.is_err());
    assert!(storage.log.try_get_log_entries(..).await.is_err());
    assert!(storage.meta.put("key", Vec::new()).await.is_err());
    storage.close().await;

    let mut storage = support::open(dir.path());
    assert_eq!(support::read(&mut storage.log).await[..1], entries(1, 0..1));
}

#[tokio::test]
async fn a_hanging_fsync_is_reported_by_the_watchdog() {
    let dir = tempfile::tempdir().unwrap();
    let (stalls, reports) = mpsc::channel();
    let stalled = Arc::new(move |reason: &str| drop(stalls.send(reason.to_owned())));
    let options = Options { watchdog: Duration::from_millis(100), stalled, ..Options::default() };
    let (mut storage, gate) = gated(dir.path(), options);
    let flushed = begin_append(&mut storage.log, entries(1, 0..1)).await.unwrap();
    let report =
        tokio::task::spawn_blocking(move || reports.recv_timeout(Duration::from_secs(10))).await.unwrap();
    assert!(report.unwrap().contains("none moved"));
    drop(gate);
    flushed.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_append_waits_for_no_more_than_a_batch_of_a_purge() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, words) = mpsc::channel::<()>();
    let metrics = Arc::new(OnceLock::<StorageMetrics>::new());
    let deleted = Arc::new(AtomicU64::new(0));
    let (seen, noted) = (metrics.clone(), deleted.clone());
    let sync = |_: SyncFile| -> SyncData {
        Box::new(move || {
            let _ = words.recv();
            noted.store(seen.get().unwrap().keys_deleted(), Relaxed);
            Ok(())
        })
    };
    let mut storage = Storage::<Types>::open_with(dir.path(), Options::default(), sync).unwrap();
    metrics.set(storage.watch.clone()).unwrap();
    let appended = begin_append(&mut storage.log, entries(1, 0..5_000)).await.unwrap();
    gate.send(()).unwrap();
    appended.await.unwrap().unwrap();

    // The purge is queued by its first poll, then the append behind it; both wait for the gate.
    let mut log = storage.log.clone();
    let mut purge = Box::pin(log.purge(support::log_id(1, 4_899)));
    assert!(futures::poll!(&mut purge).is_pending());
    let appended = begin_append(&mut storage.log, entries(1, 5_000..5_001)).await.unwrap();
    drop(gate);
    appended.await.unwrap().unwrap();
    assert!(deleted.load(Relaxed) <= 2 * BATCH_KEYS as u64, "the append waited for {deleted:?} deletions");
    purge.await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while storage.watch.keys_deleted() < 4_900 {
        assert!(Instant::now() < deadline, "purging does not end");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, gate) = gated(dir.path(), Options { queue_length: 2, ..Options::default() });
    let first = begin_append(&mut storage.log, entries(1, 0..1)).await.unwrap();
    let second = begin_append(&mut storage.log, entries(1, 1..2)).await.unwrap();
    let third = begin_append(&mut storage.log, entries(1, 2..3));
    let early = tokio::time::timeout(Duration::from_millis(50), third).await;
    assert!(early.is_err(), "there was room for a third operation");
    drop(gate);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    append(&mut storage.log, entries(1, 2..3)).await.unwrap();
}
