//! A registry out of a snapshot file: one thread reads and checks it, others make records of the bytes, and this one puts
//! them in their places.

use hapi_registry_state::{
    Registry,
    snapshot::{self, Builder, Decoded, SnapshotError},
};
use hapi_storage::SnapshotFile;
use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// How many bytes are made records of at a time, and how many such batches wait for each thread and behind it.
const BATCH_BYTES: usize = 256 << 10;
const WAITING: usize = 2;

/// More threads would wait for the one that reads.
const MOST_THREADS: usize = 8;

/// Records as they stand in the file, and the number of the first.
struct Batch {
    first: usize,
    records: Vec<Vec<u8>>,
}

type Outcome = Result<Vec<Decoded>, SnapshotError>;

/// Reads the registry out of `file`, whose records have form `version`. Blocking, and long.
pub(super) fn restore(file: &SnapshotFile, version: u16) -> io::Result<Registry> {
    let invalid = |error: SnapshotError| {
        io::Error::new(io::ErrorKind::InvalidData, format!("snapshot {}: {error}", file.path.display()))
    };
    let builder = Builder::new(version).map_err(invalid)?;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    thread::scope(|scope| {
        let (lanes, outcomes): (Vec<_>, Vec<_>) = (0..threads)
            .map(|_| {
                let (lane, batches) = sync_channel(WAITING);
                let (made, outcomes) = sync_channel(WAITING);
                scope.spawn(move || decode_all(batches, &made));
                (lane, outcomes)
            })
            .unzip();
        let reading = scope.spawn(move || read(file, &lanes));
        // Taken before the reader is heard: it may wait for a place in a lane.
        let taken = take(builder, outcomes);
        let read = reading.join().map_err(|_| io::Error::other("the reader of a snapshot panicked"))?;
        // Without the file's end, what came before it proves nothing.
        read.and_then(|()| taken.and_then(Builder::finish).map_err(invalid))
    })
}

/// Hands out the file's records in batches, to each lane in turn. Who is not listened to any more stops.
fn read(file: &SnapshotFile, lanes: &[SyncSender<Batch>]) -> io::Result<()> {
    let mut lanes = lanes.iter().cycle();
    let mut hand_out = |batch| lanes.next().is_some_and(|lane| lane.send(batch).is_ok());
    let (mut batch, mut bytes) = (Batch { first: 0, records: Vec::new() }, 0);
    for record in file.records()? {
        let record = record?;
        bytes += record.len();
        batch.records.push(record);
        if bytes >= BATCH_BYTES {
            let next = Batch { first: batch.first + batch.records.len(), records: Vec::new() };
            if !hand_out(std::mem::replace(&mut batch, next)) {
                return Ok(());
            }
            bytes = 0;
        }
    }
    hand_out(batch);
    Ok(())
}

fn decode_all(batches: Receiver<Batch>, made: &SyncSender<Outcome>) {
    for Batch { first, records } in batches {
        let numbered = records.iter().zip(first..);
        let decoded = numbered.map(|(record, number)| snapshot::decode(number, record)).collect();
        if made.send(decoded).is_err() {
            return;
        }
    }
}

/// Takes what the lanes make, in the order in which it was handed out. The first lane without a batch is the end.
fn take(mut builder: Builder, outcomes: Vec<Receiver<Outcome>>) -> Result<Builder, SnapshotError> {
    for lane in outcomes.iter().cycle() {
        let Ok(decoded) = lane.recv() else { break };
        decoded?.into_iter().for_each(|record| builder.take(record));
    }
    Ok(builder)
}
