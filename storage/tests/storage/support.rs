//! A type configuration and a few words for the tests.

use std::{fs, io, path::Path};

use hapi_storage::{LogStore, Options, Storage, StorageError, snapshot_name};
use openraft::{
    EntryPayload,
    entry::RaftEntry,
    storage::{IOFlushed, RaftLogReader, RaftLogStorage},
    type_config::{
        TypeConfigExt,
        alias::{EntryOf, LogIdOf, OneshotReceiverOf, VoteOf},
    },
    vote::{RaftLeaderId, RaftVote},
};

openraft::declare_raft_types!(pub(crate) Types: D = String, R = String);

pub(crate) type Log = LogStore<Types>;
pub(crate) type Entry = EntryOf<Types>;
pub(crate) type Flushed = OneshotReceiverOf<Types, io::Result<()>>;

pub(crate) fn open(dir: &Path) -> Storage<Types> {
    Storage::open(dir, Options::default()).unwrap()
}

/// Opens with next to no cache, so that reads come from disk.
pub(crate) fn open_uncached(dir: &Path) -> Storage<Types> {
    Storage::open(dir, Options { cache_bytes: 0, ..Options::default() }).unwrap()
}

pub(crate) fn log_id(term: u64, index: u64) -> LogIdOf<Types> {
    openraft::testing::log_id::<Types>(term, 1, index)
}

pub(crate) fn vote(term: u64) -> VoteOf<Types> {
    VoteOf::<Types>::from_leader_id(RaftLeaderId::new(term, 1), true)
}

pub(crate) fn entry(term: u64, index: u64, data: &str) -> Entry {
    Entry::new(log_id(term, index), EntryPayload::Normal(data.to_owned()))
}

/// Entries whose data follows from term and index.
pub(crate) fn entries(term: u64, range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(|index| entry(term, index, &data(term, index))).collect()
}

/// Data that follows from term and index; now and then it needs several keys.
pub(crate) fn data(term: u64, index: u64) -> String {
    let length = match index % 50 {
        7 => 21_000,
        23 => 5_000,
        rest => rest * 10,
    };
    let unit = format!("{term}.{index} ");
    unit.repeat(length as usize / unit.len() + 1)
}

/// Queues an append; resolves when it is durable.
pub(crate) async fn begin_append(log: &mut Log, entries: Vec<Entry>) -> io::Result<Flushed> {
    let (sender, receiver) = Types::oneshot();
    log.append(entries, IOFlushed::signal(sender)).await?;
    Ok(receiver)
}

pub(crate) async fn append(log: &mut Log, entries: Vec<Entry>) -> io::Result<()> {
    begin_append(log, entries).await?.await.map_err(io::Error::other)?
}

pub(crate) async fn read(log: &mut Log) -> Vec<Entry> {
    log.try_get_log_entries(..).await.unwrap()
}

pub(crate) async fn last_index(log: &mut Log) -> Option<u64> {
    log.get_log_state().await.unwrap().last_log_id.map(|id| id.index)
}

/// Writes a snapshot that covers everything up to a log id, and purges up to it.
pub(crate) async fn compact(storage: &mut Storage<Types>, term: u64, index: u64) {
    snapshot(storage, &snapshot_name(term, index), &[b"state"]);
    storage.log.purge(log_id(term, index)).await.unwrap();
}

pub(crate) fn snapshot(
    storage: &Storage<Types>,
    name: &str,
    records: &[&[u8]],
) -> hapi_storage::SnapshotFile {
    let mut writer = storage.snapshots.create(b"header", name).unwrap();
    records.iter().for_each(|record| writer.push(record).unwrap());
    writer.finish().unwrap()
}

/// What `kill -9` at this moment would leave: a copy of the folder of a running store.
pub(crate) fn crash_image(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            crash_image(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

/// The storage error inside the error that openraft gets.
pub(crate) fn inner(error: &io::Error) -> Option<&StorageError> {
    error.get_ref()?.downcast_ref()
}
