//! One node: its replica, what its issuers see, its lease, and its session while it leads.

use super::{
    clocks::Clocks,
    issuer::Issue,
    leader::{Lead, Round, Write},
    log::Leadership,
    replica::Replica,
    view::View,
};
use crate::lease::{
    clock::Reading,
    holder::{Holder, Lease},
    rules::{Mutant, Rules},
};

/// How many descriptors a node works on at a time.
pub(super) const SLOTS: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) me: usize,
    pub(super) clocks: Clocks,
    pub(super) replica: Replica,
    pub(super) view: View,
    pub(super) holder: Holder,
    /// The lease that issuers see.
    pub(super) lease: Option<Lease>,
    pub(super) issues: [Option<Issue>; SLOTS],
    pub(super) lead: Option<Lead>,
    /// Requests for leases that no round serves yet.
    pub(super) asks: Vec<(usize, u64)>,
    pub(super) rounds: Vec<Round>,
    pub(super) writes: Vec<Write>,
    /// When it last stood for election.
    pub(super) stood: Reading,
    /// The process stands still.
    pub(super) paused: bool,
}

impl Node {
    pub(super) fn new(me: usize, nodes: usize, rules: Rules) -> Self {
        Self {
            me,
            clocks: Clocks::default(),
            replica: Replica::new(me, nodes),
            view: View::new(nodes),
            holder: Holder::new(rules),
            lease: None,
            issues: [None; SLOTS],
            lead: None,
            asks: Vec::new(),
            rounds: Vec::new(),
            writes: Vec::new(),
            stood: Reading::default(),
            paused: false,
        }
    }

    /// A new process takes over what is on disk, with the state as it was at `applied`, and resumes the
    /// leadership if it is told to and may.
    pub(super) fn restart(
        &mut self,
        rules: Rules,
        nodes: usize,
        applied: u64,
        resume: bool,
    ) -> Option<Leadership> {
        let old = std::mem::replace(self, Self::new(self.me, nodes, rules));
        self.clocks = old.clocks;
        self.replica = old.replica;
        self.stood = old.stood;
        let applied = applied.min(old.view.applied);
        self.view.advance(rules, self.replica.log(), applied);
        self.replica.restart(applied, resume);
        if !rules.hold(Mutant::SessionSurvivesRestart) && self.replica.leads().is_some() {
            self.lead = old.lead;
        }
        if !rules.hold(Mutant::LeaseSurvivesRestart) {
            self.lease = old.lease;
        }
        self.replica.leads()
    }
}
