//! Snapshot files: complete or absent, and refused when damaged.

use std::{fs, path::Path};

use futures::executor::block_on;
use hapi_storage::{MAX_RECORD_BYTES, SnapshotError, SnapshotFile, SnapshotStore, snapshot_name};
use tempfile::TempDir;

use crate::support::{open, snapshot};

fn store() -> (TempDir, SnapshotStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(dir.path());
    (dir, store)
}

/// The snapshots of a folder whose store is closed already, so that it can be opened again.
fn reopen(dir: &Path) -> SnapshotStore {
    let storage = open(dir);
    let snapshots = storage.snapshots.clone();
    block_on(storage.close());
    snapshots
}

fn write(store: &SnapshotStore, name: &str, records: &[Vec<u8>]) -> SnapshotFile {
    let mut writer = store.create(b"the header", name).unwrap();
    records.iter().for_each(|record| writer.push(record).unwrap());
    writer.finish().unwrap()
}

fn read(file: &SnapshotFile) -> Vec<Vec<u8>> {
    file.records().unwrap().collect::<Result<_, _>>().unwrap()
}

/// Records of many sizes, some larger than a block.
fn records() -> Vec<Vec<u8>> {
    (0..300_usize)
        .map(|number| vec![number as u8; if number % 100 == 50 { 150_000 } else { number * 7 }])
        .collect()
}

fn bytes(file: &SnapshotFile) -> Vec<u8> {
    let mut bytes = vec![0; file.bytes as usize + 10];
    let mut filled = 0;
    loop {
        match file.read_at(filled as u64, &mut bytes[filled..]).unwrap() {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    bytes
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("snapshots")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn records_come_back_in_order() {
    let (_dir, store) = store();
    assert!(store.newest().unwrap().is_none());
    for records in [vec![], vec![vec![]], records()] {
        let file = write(&store, "a", &records);
        assert_eq!(file.header, b"the header");
        assert_eq!(file.name(), "a");
        assert_eq!(file.bytes, fs::metadata(&file.path).unwrap().len());
        assert_eq!(read(&file), records);
    }
}

#[test]
fn the_newest_is_the_greatest_name() {
    let (dir, store) = store();
    for index in [10, 9, 100] {
        write(&store, &snapshot_name(2, index), &records());
    }
    assert_eq!(store.newest().unwrap().unwrap().name(), snapshot_name(2, 100));
    drop(store);
    let newest = reopen(dir.path()).newest().unwrap().unwrap();
    assert_eq!(newest.name(), snapshot_name(2, 100));
    assert_eq!(read(&newest), records());
}

#[test]
fn a_snapshot_given_up_leaves_nothing() {
    let (dir, store) = store();
    let mut writer = store.create(b"", "a").unwrap();
    writer.push(b"record").unwrap();
    assert_eq!(names(dir.path()).len(), 1);
    drop(writer);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_half_written_snapshot_is_gone_after_a_restart() {
    let (dir, store) = store();
    drop(store);
    fs::write(dir.path().join("snapshots/a.0.tmp"), b"half").unwrap();
    fs::write(dir.path().join("snapshots/b.part"), b"half").unwrap();
    let store = reopen(dir.path());
    assert_eq!(names(dir.path()), ["b.part"]);
    assert!(store.newest().unwrap().is_none());
}

#[test]
fn every_flipped_bit_is_found() {
    let (_dir, store) = store();
    let file = write(&store, "a", &[b"one".to_vec(), b"two".to_vec()]);
    let intact = fs::read(&file.path).unwrap();
    for bit in 0..intact.len() * 8 {
        let mut flipped = intact.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file.path, &flipped).unwrap();
        let read: Result<Vec<_>, _> = file.records().and_then(|records| records.collect());
        assert!(matches!(read, Err(SnapshotError::Damaged { .. })), "bit {bit}");
    }
}

#[test]
fn a_file_of_any_other_length_is_damaged() {
    let (dir, store) = store();
    let file = write(&store, "a", &[b"one".to_vec(), b"two".to_vec()]);
    let intact = fs::read(&file.path).unwrap();
    drop((file, store));
    let path = dir.path().join("snapshots/a.snap");
    let lengths = (0..intact.len()).map(|length| intact[..length].to_vec());
    for content in lengths.chain([[intact.as_slice(), b"x"].concat()]) {
        fs::write(&path, &content).unwrap();
        let newest = reopen(dir.path()).newest();
        assert!(matches!(newest, Err(SnapshotError::Damaged { .. })), "length {}", content.len());
    }
}

#[test]
fn a_transfer_goes_on_where_it_was_cut() {
    let ((_sender_dir, sender), (receiver_dir, receiver)) = (store(), store());
    let sent = write(&sender, &snapshot_name(3, 7), &records());
    let content = bytes(&sent);
    assert_eq!(content.len() as u64, sent.bytes);
    for chunk in content.chunks(10_000) {
        let mut incoming = receiver.receive(sent.name()).unwrap();
        let offset = incoming.offset();
        incoming.append(offset, chunk).unwrap();
    }
    let mut incoming = receiver.receive(sent.name()).unwrap();
    let refused = incoming.append(5, b"again").unwrap_err();
    assert!(matches!(refused, SnapshotError::Offset { expected, found: 5 } if expected == sent.bytes));
    let received = incoming.finish(sent.sha256).unwrap();
    assert_eq!((received.sha256, received.bytes, &received.header), (sent.sha256, sent.bytes, &sent.header));
    assert_eq!(read(&received), records());
    assert_eq!(receiver.newest().unwrap().unwrap().name(), sent.name());
    assert_eq!(names(receiver_dir.path()), [format!("{}.snap", sent.name())]);
}

#[test]
fn a_damaged_or_foreign_transfer_begins_anew() {
    let ((_sender_dir, sender), (receiver_dir, receiver)) = (store(), store());
    let sent = write(&sender, "a", &records());
    let mut damaged = bytes(&sent);
    damaged[100_000] ^= 1;

    let mut incoming = receiver.receive("a").unwrap();
    incoming.append(0, &damaged).unwrap();
    assert!(matches!(incoming.finish(sent.sha256), Err(SnapshotError::Damaged { .. })));
    let mut incoming = receiver.receive("a").unwrap();
    assert_eq!(incoming.offset(), 0);
    incoming.append(0, &bytes(&sent)).unwrap();
    assert!(matches!(incoming.finish([0; 32]), Err(SnapshotError::Hash { .. })));
    assert!(names(receiver_dir.path()).is_empty());
    assert!(receiver.newest().unwrap().is_none());
}

#[test]
fn pruning_keeps_the_newest_and_what_is_being_read() {
    let (dir, store) = store();
    let files: Vec<_> = (0..5).map(|index| write(&store, &snapshot_name(1, index), &records())).collect();
    drop(store.receive(&snapshot_name(1, 2)).unwrap());
    drop(store.receive(&snapshot_name(1, 9)).unwrap());
    assert_eq!(store.prune(2).unwrap(), 4);
    let left = [(3, "snap"), (4, "snap"), (9, "part")];
    assert_eq!(names(dir.path()), left.map(|(index, kind)| format!("{}.{kind}", snapshot_name(1, index))));
    assert_eq!(read(&files[0]), records());
    assert_eq!(store.prune(0).unwrap(), 1);
    assert_eq!(store.newest().unwrap().unwrap().name(), snapshot_name(1, 4));
}

#[test]
fn names_and_sizes_are_bounded() {
    let (dir, store) = store();
    for name in ["", "../a", "a/b", "A"] {
        assert!(matches!(store.create(b"", name), Err(SnapshotError::Name(_))));
        assert!(matches!(store.receive(name), Err(SnapshotError::Name(_))));
    }
    let mut writer = store.create(b"", "a").unwrap();
    let refused = writer.push(&vec![0; MAX_RECORD_BYTES + 1]);
    assert!(matches!(refused, Err(SnapshotError::TooLarge { what: "record", .. })));
    writer.push(&vec![0; MAX_RECORD_BYTES]).unwrap();
    assert_eq!(read(&writer.finish().unwrap()).len(), 1);
    assert_eq!(names(dir.path()), ["a.snap"]);
}

#[test]
fn free_space_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    snapshot(&storage, "a", &[]);
    assert!(storage.snapshots.free_bytes().unwrap() > 0);
}
