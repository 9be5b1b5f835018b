//! What readers see of the log: its bounds, and its most recent entries in memory.
//!
//! Changes show here as soon as they are queued, since openraft reads entries back before they are
//! durable. The entries in memory are always the last ones without a gap; those before them are on
//! disk. An entry leaves memory only after the writer has written it.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{StorageError, log_id::RawLogId};

/// An encoded log entry.
pub(crate) type Payload = Arc<[u8]>;

/// Where the log begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// The index of the first entry that belongs to the log; keys below it wait to be deleted.
    pub(crate) first: u64,
    /// The last purged log id, if entries were ever purged.
    pub(crate) purged: Option<RawLogId>,
}

/// The bounds of the log and its cached end.
#[derive(Debug)]
pub(crate) struct Tail {
    floor: Floor,
    /// The last entry, or the last purged one when there is none.
    last: Option<RawLogId>,
    vote: Option<Vec<u8>>,
    committed: Option<RawLogId>,
    committed_unsaved: bool,
    /// The lengths of all entries, from the floor on.
    lengths: VecDeque<u32>,
    cached: VecDeque<Cached>,
    cached_bytes: usize,
    cache_limit: usize,
    /// How many operations on the log were queued, and how many of them are written.
    queued: u64,
    written: u64,
    /// Moves when entries vanish, so that a read from disk knows that it raced with that.
    generation: u64,
}

#[derive(Debug)]
struct Cached {
    payload: Payload,
    /// The operation that writes it.
    operation: u64,
}

/// How to read a range: entries on disk first, then entries in memory.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) disk: Range<u64>,
    pub(crate) cached: Vec<Payload>,
    pub(crate) generation: u64,
}

impl Tail {
    pub(crate) fn new(
        cache_limit: usize,
        floor: Floor,
        vote: Option<Vec<u8>>,
        committed: Option<RawLogId>,
    ) -> Self {
        Self {
            last: floor.purged.clone(),
            floor,
            vote,
            committed,
            committed_unsaved: false,
            lengths: VecDeque::new(),
            cached: VecDeque::new(),
            cached_bytes: 0,
            cache_limit,
            queued: 0,
            written: 0,
            generation: 0,
        }
    }

    pub(crate) fn floor(&self) -> &Floor {
        &self.floor
    }

    pub(crate) fn last(&self) -> Option<&RawLogId> {
        self.last.as_ref()
    }

    pub(crate) fn vote(&self) -> Option<&[u8]> {
        self.vote.as_deref()
    }

    pub(crate) fn set_vote(&mut self, vote: Option<Vec<u8>>) {
        self.vote = vote;
    }

    pub(crate) fn committed(&self) -> Option<&RawLogId> {
        self.committed.as_ref()
    }

    /// Notes the committed log id; true when the writer does not know yet that there is a new one.
    pub(crate) fn set_committed(&mut self, committed: Option<RawLogId>) -> bool {
        self.committed = committed;
        !std::mem::replace(&mut self.committed_unsaved, true)
    }

    pub(crate) fn has_unsaved_committed(&self) -> bool {
        self.committed_unsaved
    }

    /// The committed log id, when it was not saved since it last changed.
    pub(crate) fn take_committed(&mut self) -> Option<RawLogId> {
        if std::mem::take(&mut self.committed_unsaved) { self.committed.clone() } else { None }
    }

    /// The index of the next entry, which is open only as long as the log is empty and unpurged.
    fn next(&self) -> Option<u64> {
        self.last.as_ref().map(|last| last.index + 1)
    }

    /// One past the last entry.
    fn end(&self) -> u64 {
        self.next().unwrap_or(self.floor.first)
    }

    fn first_cached(&self) -> u64 {
        self.end() - self.cached.len() as u64
    }

    /// Adds entries from index `first` on. Gives the new floor when they begin the log.
    pub(crate) fn append(
        &mut self,
        first: u64,
        payloads: &[Payload],
        last: RawLogId,
    ) -> Result<Option<Floor>, StorageError> {
        let expected = self.next().unwrap_or(first);
        if first != expected {
            return Err(StorageError::Discontinuous { expected, found: first });
        }
        let begins = self.last.is_none();
        if begins {
            self.floor.first = first;
        }
        self.queued += 1;
        payloads.iter().for_each(|payload| self.cache(payload.clone(), self.queued));
        self.last = Some(last);
        self.evict();
        Ok(begins.then(|| self.floor.clone()))
    }

    /// Adds an entry found on disk at start.
    pub(crate) fn restore(&mut self, payload: Payload, id: RawLogId) {
        self.cache(payload, self.written);
        self.last = Some(id);
        self.evict();
    }

    /// Removes the entries after `after`.
    pub(crate) fn truncate(&mut self, after: Option<RawLogId>) -> Result<(), StorageError> {
        let end = after.as_ref().map_or(self.floor.first, |after| after.index + 1);
        if end < self.floor.first {
            return Err(StorageError::Discontinuous { expected: self.floor.first, found: end });
        }
        self.queued += 1;
        if end < self.end() {
            let removed = (self.end() - end).min(self.cached.len() as u64);
            for cached in self.cached.drain(self.cached.len() - removed as usize..) {
                self.cached_bytes -= cached.payload.len();
            }
            self.lengths.truncate((end - self.floor.first) as usize);
            self.last = after.or_else(|| self.floor.purged.clone());
            self.generation += 1;
        }
        Ok(())
    }

    /// Removes the entries up to and including `upto`; gives the new floor, or none when that was
    /// purged before.
    pub(crate) fn purge(&mut self, upto: RawLogId) -> Option<Floor> {
        if self.floor.purged.as_ref().is_some_and(|purged| purged.index >= upto.index) {
            return None;
        }
        let first = upto.index + 1;
        let removed = first.saturating_sub(self.first_cached()).min(self.cached.len() as u64);
        for cached in self.cached.drain(..removed as usize) {
            self.cached_bytes -= cached.payload.len();
        }
        let gone = first.saturating_sub(self.floor.first).min(self.lengths.len() as u64);
        self.lengths.drain(..gone as usize);
        if self.end() <= first {
            self.last = Some(upto.clone());
        }
        self.floor = Floor { first, purged: Some(upto) };
        self.queued += 1;
        self.generation += 1;
        Some(self.floor.clone())
    }

    /// Notes that this many more of the queued operations are written.
    pub(crate) fn written(&mut self, operations: u64) {
        self.written += operations;
        self.evict();
    }

    /// How to read `range`, as far as the log has it.
    pub(crate) fn plan(&self, range: Range<u64>) -> Plan {
        let start = range.start.max(self.floor.first);
        let end = range.end.min(self.end()).max(start);
        let split = self.first_cached().clamp(start, end);
        let offset = split.saturating_sub(self.first_cached()) as usize;
        let cached = self.cached.iter().skip(offset).take((end - split) as usize);
        let cached = cached.map(|cached| cached.payload.clone()).collect();
        Plan { disk: start..split, cached, generation: self.generation }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How many bytes the entries from `index` on have.
    pub(crate) fn bytes_from(&self, index: u64) -> u64 {
        let skipped = index.saturating_sub(self.floor.first).min(self.lengths.len() as u64);
        self.lengths.range(skipped as usize..).map(|length| u64::from(*length)).sum()
    }

    /// The first of the last entries that have no more than `bytes` together.
    pub(crate) fn first_within(&self, bytes: u64) -> u64 {
        let mut left = bytes;
        let fits = |length: &&u32| match left.checked_sub(u64::from(**length)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        self.end() - self.lengths.iter().rev().take_while(fits).count() as u64
    }

    /// Takes an entry behind all others.
    fn cache(&mut self, payload: Payload, operation: u64) {
        // Far below: see `MAX_ENTRY_BYTES`.
        self.lengths.push_back(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        self.cached_bytes += payload.len();
        self.cached.push_back(Cached { payload, operation });
    }

    fn evict(&mut self) {
        while self.cached_bytes > self.cache_limit {
            match self.cached.pop_front_if(|cached| cached.operation <= self.written) {
                Some(cached) => self.cached_bytes -= cached.payload.len(),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn id(index: u64) -> RawLogId {
        codec::decode(&codec::encode("id", &(index, Vec::<u8>::new())).unwrap()).unwrap()
    }

    fn payloads(range: Range<u64>) -> Vec<Payload> {
        range.map(|index| Payload::from(vec![index as u8; 10])).collect()
    }

    fn tail(limit: usize, entries: u64) -> Tail {
        let mut tail = Tail::new(limit, Floor::default(), None, None);
        tail.append(0, &payloads(0..entries), id(entries - 1)).unwrap();
        tail
    }

    #[test]
    fn bytes_are_counted_from_any_entry_whatever_was_removed() {
        let mut tail = tail(25, 10);
        assert_eq!([0, 4, 10, 99].map(|index| tail.bytes_from(index)), [100, 60, 0, 0]);
        assert_eq!([0, 9, 10, 29, 999].map(|bytes| tail.first_within(bytes)), [10, 10, 9, 8, 0]);
        tail.truncate(Some(id(7))).unwrap();
        assert_eq!((tail.bytes_from(0), tail.first_within(30)), (80, 5));
        tail.purge(id(3)).unwrap();
        assert_eq!((tail.bytes_from(0), tail.bytes_from(6), tail.first_within(999)), (40, 20, 4));
        tail.purge(id(20)).unwrap();
        assert_eq!((tail.bytes_from(0), tail.first_within(999)), (0, 21));
    }

    fn seen(plan: &Plan) -> (Range<u64>, Vec<u8>) {
        (plan.disk.clone(), plan.cached.iter().map(|payload| payload[0]).collect())
    }

    #[test]
    fn an_entry_leaves_memory_only_after_it_was_written() {
        let mut tail = tail(25, 4);
        assert_eq!(seen(&tail.plan(0..9)), (0..0, vec![0, 1, 2, 3]));
        tail.written(1);
        assert_eq!(seen(&tail.plan(0..9)), (0..2, vec![2, 3]));
    }

    #[test]
    fn a_rewritten_entry_waits_for_its_own_operation() {
        let mut tail = tail(5, 2);
        tail.truncate(Some(id(0))).unwrap();
        tail.append(1, &payloads(1..3), id(2)).unwrap();
        tail.written(2);
        assert_eq!(seen(&tail.plan(0..9)), (0..1, vec![1, 2]));
        tail.written(1);
        assert_eq!(seen(&tail.plan(0..9)), (0..3, vec![]));
    }

    #[test]
    fn a_plan_shows_nothing_truncated_or_purged() {
        let mut tail = tail(1000, 6);
        let before = tail.generation();
        tail.truncate(Some(id(3))).unwrap();
        tail.purge(id(1)).unwrap();
        assert_eq!(seen(&tail.plan(0..9)), (2..2, vec![2, 3]));
        assert_ne!(tail.generation(), before);
    }

    #[test]
    fn purging_beyond_the_end_moves_the_last_log_id() {
        let mut tail = tail(1000, 3);
        assert_eq!(tail.purge(id(9)).unwrap(), Floor { first: 10, purged: Some(id(9)) });
        assert_eq!(tail.last(), Some(&id(9)));
        assert!(tail.append(3, &payloads(3..4), id(3)).is_err());
        assert!(tail.append(10, &payloads(10..11), id(10)).unwrap().is_none());
        assert_eq!(tail.purge(id(5)), None);
    }

    #[test]
    fn truncating_what_is_purged_is_refused() {
        let mut tail = tail(1000, 6);
        tail.purge(id(3)).unwrap();
        assert!(tail.truncate(Some(id(2))).is_err());
        tail.truncate(Some(id(3))).unwrap();
        assert_eq!(tail.last(), Some(&id(3)));
    }

    #[test]
    fn a_hole_is_refused() {
        let mut tail = tail(1000, 3);
        let refused = tail.append(4, &payloads(4..5), id(4));
        assert!(matches!(refused, Err(StorageError::Discontinuous { expected: 3, found: 4 })));
    }
}
