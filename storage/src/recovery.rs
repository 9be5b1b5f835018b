//! Reading everything back at start, and refusing what is not what was acknowledged.

use std::ops::ControlFlow;

use openraft::{RaftTypeConfig, type_config::alias::VoteOf, vote::RaftVote};

use crate::{
    SnapshotStore, codec,
    damage::Damage,
    disk::Disk,
    log_id::{self, RawLogId},
    tail::{Payload, Tail},
    watermark::Mark,
    writer::{FloorRecord, record},
};

/// Reads the log and its records, every entry of it, and checks them against the watermark and the
/// snapshots.
pub(crate) fn recover<C: RaftTypeConfig>(
    disk: &Disk,
    snapshots: &SnapshotStore,
    mark: &Mark,
    cache_bytes: usize,
) -> Result<Tail, Damage> {
    disk.check_meta()?;
    let floor: Option<FloorRecord> = read(disk, record::FLOOR)?;
    let vote = disk.meta(record::VOTE)?;
    let committed: Option<RawLogId> = read(disk, record::COMMITTED)?;
    check_vote::<C>(mark.vote.as_deref(), vote.as_deref())?;
    if let Some(committed) = &committed {
        committed.decode::<C>().map_err(|reason| undecodable(record::COMMITTED, reason))?;
    }
    let beginning = floor.as_ref().map(|stored| stored.floor.clone()).unwrap_or_default();
    let mut tail = Tail::new(cache_bytes, beginning, vote, committed);
    read_log::<C>(disk, mark, &mut tail)?;
    match floor {
        Some(floor) => check_snapshots(snapshots, &floor)?,
        None if tail.last().is_some() => return Err(Damage::MissingRecord(record::FLOOR)),
        None => {}
    }
    Ok(tail)
}

/// The folder's format; a folder without one must be new.
pub(crate) fn format(disk: &Disk, mark: &Mark) -> Result<Option<u32>, Damage> {
    let format = read(disk, record::FORMAT)?;
    let used = disk.check_meta()? > 0 || *mark != Mark::default();
    if format.is_none() && used { Err(Damage::MissingRecord(record::FORMAT)) } else { Ok(format) }
}

fn read_log<C: RaftTypeConfig>(disk: &Disk, mark: &Mark, tail: &mut Tail) -> Result<(), Damage> {
    let mut expected = tail.floor().first;
    disk.entries(expected..u64::MAX, |index, payload| {
        if index != expected {
            return Err(Damage::Gap { expected, found: index });
        }
        let id = log_id::of_entry::<C>(&payload).map_err(|reason| Damage::Entry { index, reason })?;
        check_entry(index, &id, mark)?;
        tail.restore(Payload::from(payload), id);
        expected += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    check_end(tail.last(), mark)
}

fn check_entry(index: u64, id: &RawLogId, mark: &Mark) -> Result<(), Damage> {
    if id.index != index {
        return Err(Damage::Entry { index, reason: format!("it carries index {}", id.index) });
    }
    let acknowledged = mark.last.as_ref().filter(|last| last.index == index);
    if acknowledged.is_some_and(|acknowledged| acknowledged != id) {
        return Err(Damage::Diverged { index });
    }
    Ok(())
}

fn check_end(last: Option<&RawLogId>, mark: &Mark) -> Result<(), Damage> {
    let last = last.map(|last| last.index);
    match mark.last.as_ref().map(|acknowledged| acknowledged.index) {
        Some(acknowledged) if last.is_none_or(|last| last < acknowledged) => {
            Err(Damage::LostTail { acknowledged, last })
        }
        _ => Ok(()),
    }
}

fn check_vote<C: RaftTypeConfig>(acknowledged: Option<&[u8]>, found: Option<&[u8]>) -> Result<(), Damage> {
    let decode =
        |bytes: &[u8]| codec::decode::<VoteOf<C>>(bytes).map_err(|reason| undecodable(record::VOTE, reason));
    let found = found.map(decode).transpose()?;
    let Some(acknowledged) = acknowledged.map(decode).transpose()? else { return Ok(()) };
    let kept = found
        .as_ref()
        .is_some_and(|found| RaftVote::partial_cmp(found, &acknowledged).is_some_and(|order| order.is_ge()));
    if kept {
        return Ok(());
    }
    let found = found.map_or("none".to_owned(), |found| found.to_string());
    Err(Damage::LostVote { acknowledged: acknowledged.to_string(), found })
}

/// What was purged must be covered by a snapshot, and the newest snapshot must be intact: the state
/// is rebuilt from it.
fn check_snapshots(snapshots: &SnapshotStore, stored: &FloorRecord) -> Result<(), Damage> {
    let newest = snapshots.newest().map_err(|error| Damage::Snapshot(error.to_string()))?;
    let Some(purged) = &stored.floor.purged else { return Ok(()) };
    let needed = stored.snapshot.as_deref().unwrap_or_default();
    match newest {
        Some(newest) if newest.name() >= needed => Ok(()),
        _ => {
            let name = stored.snapshot.clone().unwrap_or("none".to_owned());
            Err(Damage::MissingSnapshot { purged: purged.index, name })
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(disk: &Disk, key: &'static str) -> Result<Option<T>, Damage> {
    let value = disk.meta(key)?;
    value.map(|value| codec::decode(&value)).transpose().map_err(|reason| undecodable(key, reason))
}

fn undecodable(key: &'static str, reason: String) -> Damage {
    Damage::Record { key, reason }
}
