//! The state that issuers see: what the log up to some index makes of the registry.

use super::{
    MOST_NODES,
    log::{Command, Entry, Log},
};
use crate::lease::rules::{Mutant, Rules};
use hapi_registry_state::NodeId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    Active,
    /// Since the drain at this index.
    Draining {
        since: u64,
    },
    Absent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// The index of the last entry that it shows.
    pub(super) applied: u64,
    /// The deny counter.
    pub(super) denied: u64,
    /// Up to which index denials are recorded as sealed.
    pub(super) sealed: u64,
    /// The index of the last denial.
    pub(super) denial: u64,
    roster: [Standing; MOST_NODES],
}

impl View {
    pub(super) fn new(nodes: usize) -> Self {
        let standing = |node| if node < nodes { Standing::Active } else { Standing::Absent };
        Self { applied: 0, denied: 0, sealed: 0, denial: 0, roster: std::array::from_fn(standing) }
    }

    /// Whether `node` may issue and be granted leases.
    pub(super) fn is_active(&self, node: usize) -> bool {
        self.roster[node] == Standing::Active
    }

    /// All who must be covered by a seal: whoever drains may still hold a lease.
    pub(super) fn roster(&self) -> impl Iterator<Item = NodeId> {
        let standing = self.roster.iter().enumerate();
        standing.filter(|(_, standing)| **standing != Standing::Absent).map(|(node, _)| id(node))
    }

    /// Shows the entries of `log` up to `index` as well.
    pub(super) fn advance(&mut self, rules: Rules, log: &Log, index: u64) {
        while self.applied < index {
            let Some(entry) = log.get(self.applied + 1) else { return };
            self.apply(rules, entry);
        }
    }

    fn apply(&mut self, rules: Rules, entry: &Entry) {
        self.applied += 1;
        if entry.command.is_denial() {
            self.denied += 1;
            self.denial = self.applied;
        }
        match entry.command {
            Command::Drain { node } if self.is_active(node) => {
                self.roster[node] = Standing::Draining { since: self.applied };
            }
            Command::Leave { node } if self.may_leave(rules, node) => self.roster[node] = Standing::Absent,
            Command::Sealed { index } => self.sealed = self.sealed.max(index),
            _ => {}
        }
    }

    fn may_leave(&self, rules: Rules, node: usize) -> bool {
        match self.roster[node] {
            Standing::Draining { since } => self.sealed >= since || !rules.hold(Mutant::LeavesUnsealed),
            Standing::Active | Standing::Absent => false,
        }
    }
}

/// The identity of a node in the machines.
pub(super) fn id(node: usize) -> NodeId {
    NodeId(node as u64)
}
