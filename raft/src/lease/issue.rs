//! When a node may issue by its lease: what is checked before a descriptor is signed, and what after.

use crate::lease::{
    clock::Reading,
    holder::Lease,
    rules::{Mutant, Rules},
};

/// What a decision rests on: the lease as it was captured, and how far denials had come in the state that
/// decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Basis {
    lease: Lease,
    denied: u64,
}

/// What to do with a descriptor that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Hand it out.
    Now,
    /// Something was denied meanwhile: decide again on the state that was read last, then check once more.
    DecideAgain,
    /// The lease that the decision rested on is over: throw the descriptor away.
    Never,
}

impl Basis {
    /// Captures `lease` at `now`, for a state that was loaded after the lease and is at `applied`.
    pub(crate) fn capture(
        rules: Rules,
        lease: &Lease,
        now: &Reading,
        applied: u64,
        denied: u64,
    ) -> Option<Self> {
        let reached = applied >= lease.threshold() || !rules.hold(Mutant::UsedBeforeApplied);
        let valid = lease.is_valid(now) || !rules.hold(Mutant::CheckedAgainstCurrent);
        (reached && valid).then_some(Self { lease: *lease, denied })
    }

    /// The lease that was captured.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Judges a signed descriptor. The order is the guarantee: first the state is read for the last time,
    /// which is the issue instant; `denied` is of that state; `now` is read after it. The lease that counts is
    /// the captured one: a pause between the two may be longer than any lease, and a fresh one that came
    /// after it says nothing about what was decided before.
    pub(crate) fn release(
        &self,
        rules: Rules,
        current: Option<&Lease>,
        now: &Reading,
        denied: u64,
    ) -> Release {
        if !rules.hold(Mutant::CheckedOnlyBefore) {
            return Release::Now;
        }
        let lease = if rules.hold(Mutant::CheckedAgainstCurrent) { Some(&self.lease) } else { current };
        if !lease.is_some_and(|lease| lease.is_valid(now)) {
            Release::Never
        } else if denied == self.denied {
            Release::Now
        } else {
            Release::DecideAgain
        }
    }

    /// The same basis after the decision was taken again on a state with denials up to `denied`.
    pub(crate) fn decided_again(&self, denied: u64) -> Self {
        Self { denied, ..*self }
    }
}
