//! This node's own lease: what is asked for, and what issuers may use.

use crate::lease::{
    board::{Slot, capture},
    clock::{Reading, Terms},
    holder::{Declined, Grant, Holder, Lease},
    rules::Rules,
};
use arc_swap::ArcSwap;
use prometheus::IntCounterVec;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a lease was lost, before its end or at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A snapshot took the place of the state.
    Snapshot,
    /// The wall clock moved against the boot clock.
    ClockJump,
    /// The node is not on the roster, or is draining.
    Roster,
    /// It ran out, and no other one came in time.
    Expired,
    /// Log or snapshots failed.
    Storage,
}

impl Loss {
    pub(crate) const ALL: [Self; 5] =
        [Self::Snapshot, Self::ClockJump, Self::Roster, Self::Expired, Self::Storage];

    /// The label in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::ClockJump => "clock_jump",
            Self::Roster => "roster",
            Self::Expired => "expired",
            Self::Storage => "storage",
        }
    }
}

/// The holder and the slot that issuers look into. Every change of the slot happens under the holder's lock,
/// so that a lease that was dropped is not put back by an answer that was on its way.
pub(crate) struct Seat {
    terms: Terms,
    lease: ArcSwap<Option<Lease>>,
    holder: Mutex<Holder>,
    drops: IntCounterVec,
}

impl Seat {
    pub(crate) fn new(rules: Rules, terms: Terms, drops: IntCounterVec) -> Self {
        let (lease, holder) = (ArcSwap::from_pointee(None), Mutex::new(Holder::new(rules)));
        Self { terms, lease, holder, drops }
    }

    /// The lease in the slot; whether it is valid is for its holder's clocks to say.
    pub(crate) fn lease(&self) -> Option<Lease> {
        **self.lease.load()
    }

    /// What an issuer goes by: the lease, and a state that was loaded after it.
    pub(crate) fn capture<T>(&self, state: &impl Slot<T>) -> Option<(Lease, Arc<T>)> {
        capture(&self.lease, state)
    }

    /// Notes that a request with this nonce goes out after `now` was read.
    pub(crate) fn ask(&self, nonce: u64, now: Reading) {
        self.holder().ask(nonce, now);
    }

    /// Takes an answer. The lease is usable once [`Self::take_up`] has put it into the slot.
    pub(crate) fn accept(&self, grant: &Grant, now: &Reading) -> Result<(), Declined> {
        self.holder().accept(grant, now, &self.terms)
    }

    /// The threshold that the lease granted last waits for.
    pub(crate) fn awaited(&self) -> Option<u64> {
        self.holder().awaited()
    }

    /// Puts the lease that was granted last into the slot, if issuers see a state at or above its threshold.
    pub(crate) fn take_up(&self, applied: u64) -> bool {
        let mut holder = self.holder();
        let lease = holder.visible(applied);
        if lease.is_some() {
            self.lease.store(Arc::new(lease));
        }
        lease.is_some()
    }

    /// Gives up the lease, and whatever was asked for.
    pub(crate) fn give_up(&self, why: Loss) {
        let mut holder = self.holder();
        holder.forget();
        if self.lease.swap(Arc::new(None)).is_some() {
            self.drops.with_label_values(&[why.name()]).inc();
            tracing::info!(why = why.name(), "the serving lease is gone");
        }
    }

    /// Empties the slot of a lease that is over at `now`.
    pub(crate) fn inspect(&self, now: &Reading) {
        let Some(lease) = self.lease().filter(|lease| !lease.is_valid(now)) else { return };
        self.give_up(if lease.is_jumped(now) { Loss::ClockJump } else { Loss::Expired });
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
