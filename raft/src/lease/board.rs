//! What issuers see: the state, how far it is applied, and this node's lease. Nobody takes a lock.
//!
//! Two orders carry the guarantee. A new state is published *before* the applied index is raised: whoever
//! hears of an index (a confirmation to the leader, a lease that waited for its threshold) can be sure that
//! every later look shows a state at or above it. And an issuer loads the lease *before* the state: a lease
//! that it sees was stored when the state had reached the threshold already.

use std::sync::Arc;

/// A place for one value that is replaced as a whole.
pub(crate) trait Slot<T> {
    /// The value at this moment.
    fn load(&self) -> Arc<T>;
    /// Replaces it, for everyone who loads from now on.
    fn store(&self, value: Arc<T>);
}

impl<T> Slot<T> for arc_swap::ArcSwap<T> {
    fn load(&self) -> Arc<T> {
        self.load_full()
    }

    fn store(&self, value: Arc<T>) {
        arc_swap::ArcSwapAny::store(self, value);
    }
}

/// Where the applied index is raised.
pub(crate) trait Index {
    /// Says that issuers see every entry up to `index`.
    fn raise(&self, index: u64);
}

impl Index for tokio::sync::watch::Sender<u64> {
    fn raise(&self, index: u64) {
        self.send_replace(index);
    }
}

/// Shows a new state, and only then says how far it is.
pub(crate) fn publish<T>(state: &impl Slot<T>, applied: &impl Index, value: Arc<T>, index: u64) {
    state.store(value);
    applied.raise(index);
}

/// What an issuer goes by: first the lease, then the state.
pub(crate) fn capture<T, L>(lease: &impl Slot<Option<L>>, state: &impl Slot<T>) -> Option<(L, Arc<T>)>
where
    L: Copy,
{
    let lease = (*lease.load())?;
    Some((lease, state.load()))
}
