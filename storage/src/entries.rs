//! Ranges of entries: encoded for the queue, read from disk, decoded for openraft.

use std::ops::{Bound, ControlFlow, Range, RangeBounds};

use openraft::{RaftTypeConfig, entry::RaftEntry, type_config::alias::LogIdOf};

use crate::{
    MAX_ENTRY_BYTES, StorageError, codec, damage::Damage, disk::Disk, log_id::RawLogId, tail::Payload,
};

/// Entries ready to be queued.
pub(crate) struct Encoded {
    pub(crate) first: u64,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) last: RawLogId,
}

/// Encodes entries, which must follow on each other; `None` when there are none.
pub(crate) fn encode<C: RaftTypeConfig>(
    entries: impl IntoIterator<Item = C::Entry>,
) -> Result<Option<Encoded>, StorageError> {
    let mut payloads = Vec::new();
    let mut ends: Option<(u64, LogIdOf<C>)> = None;
    for entry in entries {
        let id = entry.log_id();
        let first = ends.as_ref().map_or(id.index, |(first, _)| *first);
        let expected = first + payloads.len() as u64;
        if id.index != expected {
            return Err(StorageError::Discontinuous { expected, found: id.index });
        }
        payloads.push(encode_entry::<C>(&entry)?);
        ends = Some((first, id));
    }
    let Some((first, last)) = ends else { return Ok(None) };
    Ok(Some(Encoded { first, payloads, last: RawLogId::new::<C>(&last)? }))
}

fn encode_entry<C: RaftTypeConfig>(entry: &C::Entry) -> Result<Payload, StorageError> {
    let payload = codec::encode("log entry", entry)?;
    match payload.len() {
        bytes if bytes > MAX_ENTRY_BYTES => {
            Err(StorageError::TooLarge { what: "log entry", bytes, limit: MAX_ENTRY_BYTES })
        }
        _ => Ok(payload.into()),
    }
}

/// Reads the entries of a range, all of which must be there, until `limit` bytes are exceeded.
pub(crate) fn read(disk: &Disk, range: Range<u64>, limit: usize) -> Result<Vec<Payload>, Damage> {
    let mut payloads = Vec::new();
    let mut expected = range.start;
    let mut bytes = 0;
    disk.entries(range.clone(), |index, payload| {
        if index != expected {
            return Err(Damage::Gap { expected, found: index });
        }
        expected += 1;
        bytes += payload.len();
        payloads.push(Payload::from(payload));
        Ok(if bytes > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if expected < range.end && bytes <= limit {
        return Err(Damage::Gap { expected, found: range.end });
    }
    Ok(payloads)
}

/// The first payloads that together have at most `limit` bytes, but at least one.
pub(crate) fn up_to(limit: usize, payloads: impl Iterator<Item = Payload>) -> impl Iterator<Item = Payload> {
    let mut bytes = 0;
    payloads
        .enumerate()
        .take_while(move |(place, payload)| {
            bytes += payload.len();
            *place == 0 || bytes <= limit
        })
        .map(|(_, payload)| payload)
}

/// Decodes entries, the first of which has index `first`.
pub(crate) fn decode<C: RaftTypeConfig>(
    first: u64,
    payloads: impl Iterator<Item = Payload>,
) -> Result<Vec<C::Entry>, StorageError> {
    let damaged = |index, reason| StorageError::Damaged(Damage::Entry { index, reason });
    let decode =
        |(index, payload): (u64, Payload)| codec::decode(&payload).map_err(|reason| damaged(index, reason));
    (first..).zip(payloads).map(decode).collect()
}

/// The range in half-open form.
pub(crate) fn half_open(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}
