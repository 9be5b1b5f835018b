//! What a start makes of damage: a repair that loses nothing, or a refusal by name.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use hapi_storage::{Damage, FrameFault, OpenError, Options, Storage, snapshot_name};
use openraft::storage::{RaftLogReader, RaftLogStorage};
use tempfile::TempDir;

use crate::support::{
    Types, append, compact, crash_image, entries, entry, last_index, open, read, snapshot, vote,
};

/// A folder with entries 0 to 99 and a vote, closed.
async fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    append(&mut storage.log, entries(1, 0..100)).await.unwrap();
    storage.log.save_vote(&vote(5)).await.unwrap();
    storage.close().await;
    dir
}

fn refusal(dir: &Path) -> Damage {
    match Storage::<Types>::open(dir, Options::default()) {
        Err(OpenError::Damaged { damage, .. }) => damage,
        Err(other) => panic!("refused, but as {other}"),
        Ok(_) => panic!("not refused"),
    }
}

/// Looks into a tree of the closed database, past this crate.
fn tamper(dir: &Path, tree: &str, act: impl FnOnce(&sled::Tree)) {
    let db = open_sled(&dir.join("db"));
    act(&db.open_tree(tree).unwrap());
    db.flush().unwrap();
}

/// sled lets go of its lock some time after its handles are dropped.
fn open_sled(dir: &Path) -> sled::Db {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match sled::Config::new().path(dir).flush_every_ms(None).open() {
            Ok(db) => return db,
            Err(error) => assert!(Instant::now() < deadline && error.to_string().contains("lock"), "{error}"),
        }
    }
}

fn key(index: u64, piece: u16) -> Vec<u8> {
    [index.to_be_bytes().as_slice(), &piece.to_be_bytes()].concat()
}

fn frame(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let crc = crc32c::crc32c(&[&[1], key, payload].concat());
    [&[1], crc.to_le_bytes().as_slice(), payload].concat()
}

/// Overwrites the last bytes that sled has written with zeros, as if they had not reached the disk.
fn tear(dir: &Path, bytes: usize) {
    let path = dir.join("db/db");
    let content = fs::read(&path).unwrap();
    let end = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0; bytes], (end - bytes) as u64).unwrap();
}

/// Crash images of one store: after 90 acknowledged entries, and after 100.
async fn two_moments() -> (TempDir, TempDir) {
    let (dir, early, late) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut storage = open(dir.path());
    for index in 0..90 {
        append(&mut storage.log, entries(1, index..index + 1)).await.unwrap();
    }
    crash_image(dir.path(), early.path());
    for index in 90..100 {
        append(&mut storage.log, entries(1, index..index + 1)).await.unwrap();
    }
    crash_image(dir.path(), late.path());
    (early, late)
}

#[tokio::test]
async fn a_torn_end_that_was_not_acknowledged_is_dropped() {
    let (early, late) = two_moments().await;
    fs::copy(early.path().join("watermark"), late.path().join("watermark")).unwrap();
    tear(late.path(), 200);
    let mut storage = open(late.path());
    let last = last_index(&mut storage.log).await.unwrap();
    assert!((89..99).contains(&last), "{last}");
    assert_eq!(read(&mut storage.log).await, entries(1, 0..last + 1));
    append(&mut storage.log, entries(1, last + 1..last + 5)).await.unwrap();
    storage.close().await;
    assert_eq!(read(&mut open(late.path()).log).await, entries(1, 0..last + 5));
}

#[tokio::test]
async fn a_torn_end_that_was_acknowledged_is_refused() {
    let (_, late) = two_moments().await;
    tear(late.path(), 200);
    let damage = refusal(late.path());
    assert!(matches!(damage, Damage::LostTail { acknowledged: 99, last: Some(89..99) }), "{damage}");
}

#[tokio::test]
async fn a_watermark_that_lags_is_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("watermark");
    let mut storage = open(dir.path());
    storage.log.save_vote(&vote(1)).await.unwrap();
    let lagging = fs::read(&path).unwrap();
    storage.log.save_vote(&vote(2)).await.unwrap();
    append(&mut storage.log, entries(1, 0..10)).await.unwrap();
    storage.close().await;

    fs::write(&path, lagging).unwrap();
    let mut storage = open(dir.path());
    append(&mut storage.log, entries(1, 10..20)).await.unwrap();
    assert_eq!(storage.log.read_vote().await.unwrap(), Some(vote(2)));
    storage.close().await;
    let mut storage = open(dir.path());
    assert_eq!(storage.log.read_vote().await.unwrap(), Some(vote(2)));
    assert_eq!(read(&mut storage.log).await, entries(1, 0..20));
}

#[tokio::test]
async fn a_cut_file_is_refused() {
    let (_, late) = two_moments().await;
    let file = OpenOptions::new().write(true).open(late.path().join("db/db")).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let damage = refusal(late.path());
    assert!(
        matches!(damage, Damage::LostTail { .. } | Damage::Database(_) | Damage::MissingRecord(_)),
        "{damage}"
    );
}

#[tokio::test]
async fn an_older_database_is_refused() {
    let (early, late) = two_moments().await;
    fs::copy(late.path().join("watermark"), early.path().join("watermark")).unwrap();
    let damage = refusal(early.path());
    assert_eq!(damage, Damage::LostTail { acknowledged: 99, last: Some(89) });
}

#[tokio::test]
async fn a_lost_database_is_refused() {
    let dir = folder().await;
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert_eq!(refusal(dir.path()), Damage::MissingRecord("format"));
}

#[tokio::test]
async fn a_flipped_byte_in_an_entry_is_named() {
    let dir = folder().await;
    tamper(dir.path(), "log", |log| {
        let mut value = log.get(key(42, 0)).unwrap().unwrap().to_vec();
        value[30] ^= 4;
        log.insert(key(42, 0), value).unwrap();
    });
    match refusal(dir.path()) {
        Damage::Frame { tree: "log", key, fault: FrameFault::Checksum } => {
            assert!(key.contains("42"), "{key}")
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_flipped_byte_on_disk_is_never_served() {
    let (_, late) = two_moments().await;
    let content = fs::read(late.path().join("db/db")).unwrap();
    let needle = b"1.42 1.42 ";
    let place = content.windows(needle.len()).position(|bytes| bytes == needle).unwrap();
    let file = OpenOptions::new().write(true).open(late.path().join("db/db")).unwrap();
    file.write_all_at(b"X", place as u64).unwrap();
    let damage = refusal(late.path());
    assert!(!damage.to_string().is_empty());
}

#[tokio::test]
async fn a_gap_is_named() {
    let dir = folder().await;
    tamper(dir.path(), "log", |log| drop(log.remove(key(42, 0)).unwrap()));
    assert_eq!(refusal(dir.path()), Damage::Gap { expected: 42, found: 43 });
}

#[tokio::test]
async fn a_missing_beginning_is_named() {
    let dir = folder().await;
    tamper(dir.path(), "log", |log| drop(log.remove(key(0, 0)).unwrap()));
    assert_eq!(refusal(dir.path()), Damage::Gap { expected: 0, found: 1 });
}

#[tokio::test]
async fn a_missing_piece_is_named() {
    // Entry 7 of the test data has several pieces.
    for piece in [0, 1, 5] {
        let dir = folder().await;
        tamper(dir.path(), "log", |log| assert!(log.remove(key(7, piece)).unwrap().is_some()));
        let damage = refusal(dir.path());
        assert!(matches!(damage, Damage::Entry { index: 7, .. }), "piece {piece}: {damage}");
    }
}

#[tokio::test]
async fn an_entry_that_does_not_decode_is_named() {
    let dir = folder().await;
    let garbage = [0xff; 40];
    let head = [40_u32.to_le_bytes(), crc32c::crc32c(&garbage).to_le_bytes()].concat();
    let payload = [head.as_slice(), &garbage].concat();
    tamper(dir.path(), "log", |log| drop(log.insert(key(42, 0), frame(&key(42, 0), &payload)).unwrap()));
    let damage = refusal(dir.path());
    assert!(matches!(damage, Damage::Entry { index: 42, .. }), "{damage}");
}

#[tokio::test]
async fn another_entry_at_the_acknowledged_index_is_named() {
    let (dir, other) = (folder().await, tempfile::tempdir().unwrap());
    let mut storage = open(other.path());
    append(&mut storage.log, vec![entry(2, 99, "another")]).await.unwrap();
    storage.close().await;
    let mut stranger = None;
    tamper(other.path(), "log", |log| stranger = log.get(key(99, 0)).unwrap());
    tamper(dir.path(), "log", |log| drop(log.insert(key(99, 0), stranger.unwrap()).unwrap()));
    assert_eq!(refusal(dir.path()), Damage::Diverged { index: 99 });
}

#[tokio::test]
async fn a_vote_that_went_back_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    storage.log.save_vote(&vote(4)).await.unwrap();
    storage.close().await;
    let mut older = None;
    tamper(dir.path(), "meta", |meta| older = meta.get("vote").unwrap());
    let mut storage = open(dir.path());
    storage.log.save_vote(&vote(5)).await.unwrap();
    storage.close().await;

    tamper(dir.path(), "meta", |meta| drop(meta.insert("vote", older.unwrap()).unwrap()));
    let damage = refusal(dir.path());
    assert!(matches!(&damage, Damage::LostVote { found, .. } if found.contains("T4")), "{damage}");
    tamper(dir.path(), "meta", |meta| drop(meta.remove("vote").unwrap()));
    let damage = refusal(dir.path());
    assert!(matches!(&damage, Damage::LostVote { found, .. } if found == "none"), "{damage}");
}

#[tokio::test]
async fn a_damaged_record_is_named() {
    let dir = folder().await;
    tamper(dir.path(), "meta", |meta| drop(meta.insert("floor", b"\x01abcdefgh").unwrap()));
    let expected = Damage::Frame { tree: "meta", key: "floor".to_owned(), fault: FrameFault::Checksum };
    assert_eq!(refusal(dir.path()), expected);
    tamper(dir.path(), "meta", |meta| drop(meta.remove("floor").unwrap()));
    assert_eq!(refusal(dir.path()), Damage::MissingRecord("floor"));
}

#[tokio::test]
async fn an_unusable_watermark_is_named() {
    let dir = folder().await;
    let path = dir.path().join("watermark");
    fs::write(&path, [0; 8192]).unwrap();
    assert!(matches!(refusal(dir.path()), Damage::Watermark { .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(refusal(dir.path()), Damage::Watermark { .. }));
}

#[tokio::test]
async fn an_emptied_recovery_snapshot_is_removed_and_nothing_is_lost() {
    let dir = folder().await;
    open(dir.path()).close().await;
    let emptied = fs::read_dir(dir.path().join("db")).unwrap().map(|entry| entry.unwrap().path());
    let emptied: Vec<_> = emptied.filter(|path| path.to_string_lossy().contains("/snap.")).collect();
    assert!(!emptied.is_empty(), "sled has written no snapshot");
    emptied.iter().for_each(|path| drop(File::create(path).unwrap()));
    let mut storage = open(dir.path());
    assert_eq!(read(&mut storage.log).await, entries(1, 0..100));
    assert_eq!(storage.log.read_vote().await.unwrap(), Some(vote(5)));
}

#[tokio::test]
async fn a_half_written_recovery_snapshot_is_removed_and_nothing_is_lost() {
    let dir = folder().await;
    fs::write(dir.path().join("db/snap.FFFFFFFFFFFFFFFF.generating"), b"half of it").unwrap();
    assert_eq!(read(&mut open(dir.path()).log).await, entries(1, 0..100));
}

#[tokio::test]
async fn a_damaged_recovery_snapshot_is_refused() {
    let dir = folder().await;
    open(dir.path()).close().await;
    for entry in fs::read_dir(dir.path().join("db")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("/snap.") {
            fs::write(path, [7; 100]).unwrap();
        }
    }
    assert!(matches!(refusal(dir.path()), Damage::Database(_)));
}

#[tokio::test]
async fn a_missing_snapshot_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    append(&mut storage.log, entries(1, 0..100)).await.unwrap();
    let older = snapshot(&storage, &snapshot_name(1, 20), &[]);
    compact(&mut storage, 1, 50).await;
    storage.close().await;
    let name = snapshot_name(1, 50);
    let newest = dir.path().join(format!("snapshots/{name}.snap"));
    let aside = dir.path().join("aside");
    fs::rename(&newest, &aside).unwrap();
    assert!(older.path.exists());
    assert_eq!(refusal(dir.path()), Damage::MissingSnapshot { purged: 50, name });
    fs::rename(&aside, &newest).unwrap();
    assert_eq!(read(&mut open(dir.path()).log).await, entries(1, 51..100));
}

#[tokio::test]
async fn a_damaged_snapshot_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(dir.path());
    append(&mut storage.log, entries(1, 0..100)).await.unwrap();
    compact(&mut storage, 1, 50).await;
    storage.close().await;
    let file = dir.path().join(format!("snapshots/{}.snap", snapshot_name(1, 50)));
    OpenOptions::new().write(true).open(&file).unwrap().write_all_at(b"X", 40).unwrap();
    assert!(matches!(refusal(dir.path()), Damage::Snapshot(reason) if reason.contains("snap")));
}

#[tokio::test]
async fn a_purge_cut_short_is_finished() {
    let dir = folder().await;
    let mut purged = Vec::new();
    tamper(dir.path(), "log", |log| purged = log.range(..key(50, 0)).collect::<Result<_, _>>().unwrap());
    let mut storage = open(dir.path());
    compact(&mut storage, 1, 60).await;
    storage.close().await;

    // The marker was written and some of the entries were not yet deleted.
    tamper(dir.path(), "log", |log| {
        purged.iter().for_each(|(key, value)| drop(log.insert(key, value.clone()).unwrap()));
    });
    let mut storage = open(dir.path());
    assert_eq!(read(&mut storage.log).await, entries(1, 61..100));
    append(&mut storage.log, entries(1, 100..101)).await.unwrap();
    storage.close().await;
    tamper(dir.path(), "log", |log| assert!(log.range(..key(61, 0)).next().is_none()));
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let second = Storage::<Types>::open(dir.path(), Options::default());
    assert!(matches!(second, Err(OpenError::Locked { .. })));
    storage.close().await;
    open(dir.path());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let refused = Storage::<Types>::open(&file.join("data"), Options::default());
    assert!(matches!(refused, Err(OpenError::Unwritable { .. })));
}

#[tokio::test]
async fn another_format_is_refused() {
    let dir = folder().await;
    // An older and a newer one, as bincode writes them.
    for format in [2, 4] {
        tamper(dir.path(), "meta", |meta| drop(meta.insert("format", frame(b"format", &[format])).unwrap()));
        let refused = Storage::<Types>::open(dir.path(), Options::default());
        let Err(OpenError::Format { found, supported: 3, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(found, u32::from(format));
    }
}

#[tokio::test]
async fn a_refusal_names_the_way_back() {
    let dir = folder().await;
    tamper(dir.path(), "log", |log| drop(log.remove(key(42, 0)).unwrap()));
    let refused = Storage::<Types>::open(dir.path(), Options::default()).unwrap_err().to_string();
    assert!(refused.contains("expected index 42") && refused.contains("as a new node"), "{refused}");
}
