//! The log in good times: what is written is read back, through memory and through the disk.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures::future::join_all;
use hapi_storage::{MAX_ENTRY_BYTES, MAX_META_BYTES, StorageError};
use openraft::storage::{RaftLogReader, RaftLogStorage};

use crate::support::{
    Entry, append, begin_append, compact, entries, entry, inner, last_index, log_id, open, open_uncached,
    read, vote,
};

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    append(&mut storage.log, entries(1, 0..100)).await.unwrap();
    storage.log.save_vote(&vote(3)).await.unwrap();
    storage.log.save_committed(Some(log_id(1, 90))).await.unwrap();
    storage.meta.put("node", b"id".to_vec()).await.unwrap();
    storage.close().await;

    let mut storage = open(dir.path());
    assert_eq!(read(&mut storage.log).await, entries(1, 0..100));
    assert_eq!(storage.log.read_vote().await.unwrap(), Some(vote(3)));
    assert_eq!(storage.log.read_committed().await.unwrap(), Some(log_id(1, 90)));
    assert_eq!(storage.meta.get("node").unwrap(), Some(b"id".to_vec()));
    assert_eq!(storage.meta.get("other").unwrap(), None);
}

#[tokio::test]
async fn an_entry_of_any_allowed_size_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [0, 1, 4_000, 4_096, 5_000, 64 << 10, 200 << 10, MAX_ENTRY_BYTES - 100];
    let entries: Vec<Entry> =
        sizes.iter().zip(0..).map(|(size, index)| entry(1, index, &"x".repeat(*size))).collect();
    let mut storage = open_uncached(dir.path());
    append(&mut storage.log, entries.clone()).await.unwrap();
    assert_eq!(read(&mut storage.log).await, entries);
    assert!(storage.watch.disk_reads() > 0);
    storage.close().await;
    assert_eq!(read(&mut open_uncached(dir.path()).log).await, entries);
}

#[tokio::test]
async fn a_larger_entry_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    let refused =
        append(&mut storage.log, vec![entry(1, 0, &"x".repeat(MAX_ENTRY_BYTES))]).await.unwrap_err();
    assert!(matches!(inner(&refused), Some(StorageError::TooLarge { what: "log entry", .. })), "{refused}");
    assert_eq!(last_index(&mut storage.log).await, None);
    append(&mut storage.log, entries(1, 0..2)).await.unwrap();
}

#[tokio::test]
async fn no_entry_lands_in_files_that_are_never_synced() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    for batch in 0..30 {
        let large = (0..10).map(|place| entry(1, batch * 10 + place, &"x".repeat(70_000 + place as usize)));
        append(&mut storage.log, large.collect()).await.unwrap();
    }
    compact(&mut storage, 1, 200).await;
    storage.log.truncate_after(Some(log_id(1, 250))).await.unwrap();
    storage.close().await;
    assert_eq!(fs::read_dir(dir.path().join("db/blobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_recent_log_is_read_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    append(&mut storage.log, entries(1, 0..500)).await.unwrap();
    assert_eq!(storage.log.try_get_log_entries(100..=200).await.unwrap(), entries(1, 100..201));
    assert_eq!(storage.watch.disk_reads(), 0);
}

#[tokio::test]
async fn an_entry_is_readable_before_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open_uncached(dir.path());
    let flushed = begin_append(&mut storage.log, entries(1, 0..3)).await.unwrap();
    assert_eq!(read(&mut storage.log).await, entries(1, 0..3));
    flushed.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_limited_read_gives_at_least_one_entry_and_not_too_much() {
    let dir = tempfile::tempdir().unwrap();
    for cached in [true, false] {
        let dir = dir.path().join(cached.to_string());
        let mut storage = if cached { open(&dir) } else { open_uncached(&dir) };
        let large: Vec<Entry> = (0..10).map(|index| entry(1, index, &"x".repeat(600_000))).collect();
        append(&mut storage.log, large.clone()).await.unwrap();
        let some = storage.log.limited_get_log_entries(2, 10).await.unwrap();
        assert!(!some.is_empty() && some.len() < 8, "{}", some.len());
        assert_eq!(some, large[2..2 + some.len()]);
    }
}

#[tokio::test]
async fn truncated_entries_are_replaced_by_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open_uncached(dir.path());
    append(&mut storage.log, entries(1, 0..1000)).await.unwrap();
    storage.log.truncate_after(Some(log_id(1, 99))).await.unwrap();
    assert_eq!(last_index(&mut storage.log).await, Some(99));
    append(&mut storage.log, entries(2, 100..110)).await.unwrap();
    let expected = [entries(1, 0..100), entries(2, 100..110)].concat();
    assert_eq!(read(&mut storage.log).await, expected);
    storage.close().await;
    assert_eq!(read(&mut open(dir.path()).log).await, expected);
}

#[tokio::test]
async fn a_hole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    append(&mut storage.log, entries(1, 0..3)).await.unwrap();
    let refused = append(&mut storage.log, entries(1, 4..5)).await.unwrap_err();
    assert!(
        matches!(inner(&refused), Some(StorageError::Discontinuous { expected: 3, found: 4 })),
        "{refused}"
    );
    let refused = append(&mut storage.log, vec![entry(1, 3, ""), entry(1, 5, "")]).await.unwrap_err();
    assert!(
        matches!(inner(&refused), Some(StorageError::Discontinuous { expected: 4, found: 5 })),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_and_reads_go_on_while_thousands_of_entries_are_purged() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open_uncached(dir.path());
    append(&mut storage.log, entries(1, 0..5_100)).await.unwrap();
    let deleted = storage.watch.keys_deleted();
    compact(&mut storage, 1, 4_999).await;
    let mut next = 5_100;
    let deadline = Instant::now() + Duration::from_secs(60);
    while storage.watch.keys_deleted() - deleted < 5_000 {
        append(&mut storage.log, entries(1, next..next + 1)).await.unwrap();
        next += 1;
        assert_eq!(storage.log.try_get_log_entries(4_990..5_010).await.unwrap(), entries(1, 5_000..5_010));
        assert!(Instant::now() < deadline, "purging does not end");
    }
    storage.close().await;
    assert_eq!(read(&mut open(dir.path()).log).await, entries(1, 5_000..next));
}

#[tokio::test]
async fn the_committed_log_id_is_saved_without_further_writes() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    append(&mut storage.log, entries(1, 0..3)).await.unwrap();
    let syncs = storage.watch.sync_seconds().count;
    storage.log.save_committed(Some(log_id(1, 2))).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while storage.watch.sync_seconds().count == syncs {
        assert!(Instant::now() < deadline, "never saved");
        tokio::task::yield_now().await;
    }
    let image = tempfile::tempdir().unwrap();
    crate::support::crash_image(dir.path(), image.path());
    let mut copy = open(image.path());
    assert_eq!(copy.log.read_committed().await.unwrap(), Some(log_id(1, 2)));
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let (mut log, meta) = (storage.log.clone(), storage.meta.clone());
    storage.close().await;
    let refused = log.save_vote(&vote(1)).await.unwrap_err();
    assert!(matches!(inner(&refused), Some(StorageError::Closed)), "{refused}");
    assert!(matches!(meta.put("key", Vec::new()).await, Err(StorageError::Closed)));
}

#[tokio::test]
async fn meta_records_are_bounded_and_independent() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let refused = storage.meta.put("large", vec![0; MAX_META_BYTES]).await;
    assert!(matches!(refused, Err(StorageError::TooLarge { what: "meta record", .. })));
    let names: Vec<String> = (0..20).map(|number| format!("name{number}")).collect();
    let puts = names.iter().map(|name| storage.meta.put(name, name.as_bytes().to_vec()));
    join_all(puts).await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    // Names of the log's own records are free: `put` cannot reach those.
    storage.meta.put("vote", b"mine".to_vec()).await.unwrap();
    assert_eq!(storage.meta.get("name7").unwrap(), Some(b"name7".to_vec()));
    assert_eq!(storage.log.clone().read_vote().await.unwrap(), None);
}
