//! The judge: what was acknowledged, and whether a descriptor came after it.
//!
//! Promise 1: the issue instant of every descriptor that a write forbids, the last read of the state, lies
//! before the acknowledgement of the write. So all that counts is what was acknowledged when the state was
//! read for the last time.

use super::{
    log::{Command, Entry, Log},
    name,
};
use std::hash::{Hash, Hasher};

/// A descriptor that breaks the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Late {
    pub(super) node: usize,
    pub(super) decided_on: u64,
    /// The entry that forbade it and had been acknowledged.
    pub(super) denial: u64,
}

/// How much went on: a model in which nothing happens has no late descriptors either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) released: u64,
    pub(super) withheld: u64,
    pub(super) decided_again: u64,
    pub(super) granted: u64,
    pub(super) usable: u64,
    pub(super) acknowledged: u64,
    pub(super) covered_by_expiry: u64,
    pub(super) elections: u64,
    pub(super) restarts: u64,
    pub(super) resumptions: u64,
    pub(super) departures: u64,
}

impl Figures {
    pub(super) fn add(&mut self, other: &Self) {
        self.released += other.released;
        self.withheld += other.withheld;
        self.decided_again += other.decided_again;
        self.granted += other.granted;
        self.usable += other.usable;
        self.acknowledged += other.acknowledged;
        self.covered_by_expiry += other.covered_by_expiry;
        self.elections += other.elections;
        self.restarts += other.restarts;
        self.resumptions += other.resumptions;
        self.departures += other.departures;
    }

    /// Whether everything that leases are about happened at least once.
    pub(super) fn is_lively(&self) -> bool {
        let all = [
            self.released,
            self.withheld,
            self.decided_again,
            self.granted,
            self.usable,
            self.acknowledged,
            self.covered_by_expiry,
            self.elections,
            self.restarts,
            self.resumptions,
            self.departures,
        ];
        all.iter().all(|figure| *figure > 0)
    }
}

/// What happened, for those who watch. Two worlds that differ in nothing else go on alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) figures: Figures,
    /// The transcript, if anybody wants one.
    pub(super) transcript: Option<Vec<String>>,
}

impl Hash for Record {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Record {
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            transcript.push(line());
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Oracle {
    /// What is committed, as the first node to apply it saw it.
    committed: Log,
    acknowledged: Vec<(u64, Command)>,
    late: Option<Late>,
    pub(super) record: Record,
}

impl Oracle {
    pub(super) fn late(&self) -> Option<Late> {
        self.late
    }

    /// A node applies the entry at `index`. Another one than all others at that index would be a fault of the
    /// abstract Raft, on which no verdict on leases could be built.
    pub(super) fn apply(&mut self, index: u64, entry: Entry) {
        if index > self.committed.last() {
            self.committed.push(entry);
        }
        assert_eq!(self.committed.get(index), Some(&entry), "two entries committed at {index}");
    }

    /// The write at `index`, which is committed, is acknowledged.
    pub(super) fn acknowledge(&mut self, index: u64) {
        let Some(command) = self.committed.get(index).map(|entry| entry.command) else { return };
        if command.is_denial() && self.acknowledged.iter().all(|(known, _)| *known != index) {
            self.acknowledged.push((index, command));
            self.record.figures.acknowledged += 1;
            self.record.note(|| format!("        {index} is acknowledged"));
        }
    }

    /// `index` is sealed, and every denial before it with it: seals are cumulative.
    pub(super) fn seal(&mut self, index: u64) {
        for index in 1..=index {
            self.acknowledge(index);
        }
    }

    /// What has been acknowledged and forbids what `node` decided on the state at `decided_on`.
    pub(super) fn forbids(&self, node: usize, decided_on: u64) -> Option<u64> {
        let forbids = |(index, command): &&(u64, Command)| *index > decided_on && command.denies(node);
        self.acknowledged.iter().find(forbids).map(|(index, _)| *index)
    }

    /// A descriptor leaves `node`; `forbidden` is what forbade it at its issue instant.
    pub(super) fn release(&mut self, node: usize, decided_on: u64, forbidden: Option<u64>) {
        self.record.figures.released += 1;
        self.record.note(|| format!("        {} releases a descriptor decided on {decided_on}", name(node)));
        if let Some(denial) = forbidden {
            self.record.note(|| format!("        LATE: {denial} had been acknowledged"));
            self.late.get_or_insert(Late { node, decided_on, denial });
        }
    }
}
