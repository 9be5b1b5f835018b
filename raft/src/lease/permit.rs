//! What an issuer holds between its look at the state and its answer.

use crate::{
    lease::{
        clock::Reading,
        issue::{Basis, Release},
    },
    node::Node,
};
use hapi_registry_state::{Registry, Timestamp};
use std::sync::Arc;

/// The right to decide on one state: a lease that was valid when it was captured, and a state that was loaded
/// after it.
pub struct Permit {
    basis: Basis,
    state: Arc<Registry>,
    captured: Reading,
}

/// What may be done with a descriptor that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it out. The issue instant, the last read of the state, lies before this reading of
    /// `CLOCK_BOOTTIME`, in nanoseconds.
    Issue {
        /// The reading.
        boottime_ns: u64,
    },
    /// Something was denied meanwhile. [`Permit::state`] is the newer state: decide on it, then ask again.
    DecideAgain,
    /// The lease is over: throw the descriptor away.
    Withhold,
}

impl Permit {
    /// The state to decide on.
    pub fn state(&self) -> &Arc<Registry> {
        &self.state
    }

    /// The time of day for `iat`: the wall clock when the lease was asked for, which the leader found right,
    /// and what has passed since.
    pub fn wall(&self) -> Timestamp {
        self.basis.lease().wall(&self.captured)
    }
}

impl Node {
    /// Captures lease and state. `None` without a valid lease.
    pub(crate) fn permit(&self) -> Option<Permit> {
        let (lease, state) = self.published.capture(&self.seat)?;
        let captured = self.environment.clocks();
        let basis = Basis::capture(self.rules, &lease, &captured, state.applied(), state.denied())?;
        Some(Permit { basis, state, captured })
    }

    /// Reads the state for the last time, then the clocks, and judges.
    pub(crate) fn judge(&self, permit: &mut Permit) -> Verdict {
        let state = self.published.state();
        let now = self.environment.clocks();
        let boottime_ns = self.environment.boottime_ns();
        match permit.basis.release(self.rules, self.seat.lease().as_ref(), &now, state.denied()) {
            Release::Now => Verdict::Issue { boottime_ns },
            Release::Never => Verdict::Withhold,
            Release::DecideAgain => {
                permit.basis = permit.basis.decided_again(state.denied());
                permit.state = state;
                Verdict::DecideAgain
            }
        }
    }
}
