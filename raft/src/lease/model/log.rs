//! Entries, and the log that they make.

use std::sync::Arc;

/// Who leads: no two nodes lead in one term, and one process after another may lead in the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leadership {
    pub(super) term: u64,
    pub(super) node: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Command {
    /// The first entry of a term.
    Blank,
    /// The first act of a session.
    Open { session: u64 },
    /// Nobody may issue descriptors for one more server, a different one each time.
    Deny,
    /// The node may issue nothing.
    Drain { node: usize },
    /// The node is no more.
    Leave { node: usize },
    /// Every denial up to the index is sealed.
    Sealed { index: u64 },
}

impl Command {
    /// Whether `node` may no longer issue something once this is applied.
    pub(super) fn denies(self, node: usize) -> bool {
        self == Self::Deny || self == Self::Drain { node }
    }

    pub(super) fn is_denial(self) -> bool {
        matches!(self, Self::Deny | Self::Drain { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) leadership: Leadership,
    pub(super) command: Command,
}

/// Entries from index 1. A copy shares them until one of the two changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Log(Arc<Vec<Entry>>);

impl Log {
    /// The index of the last entry.
    pub(super) fn last(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn get(&self, index: u64) -> Option<&Entry> {
        usize::try_from(index).ok()?.checked_sub(1).and_then(|place| self.0.get(place))
    }

    /// The term of the entry at `index`, 0 if there is none.
    pub(super) fn term(&self, index: u64) -> u64 {
        self.get(index).map_or(0, |entry| entry.leadership.term)
    }

    /// What decides which of two logs is ahead: the term of the last entry, then its index.
    pub(super) fn reach(&self) -> (u64, u64) {
        (self.term(self.last()), self.last())
    }

    pub(super) fn push(&mut self, entry: Entry) -> u64 {
        Arc::make_mut(&mut self.0).push(entry);
        self.last()
    }

    /// Takes over the leader's `other`. Logs that agree in an entry agree in all before it, so one look shows
    /// whether this log holds all of it already; if not, what differs is truncated.
    pub(super) fn follow(&mut self, other: &Self) {
        let last = other.last();
        if self.last() < last || self.get(last) != other.get(last) {
            *self = other.clone();
        }
    }
}
