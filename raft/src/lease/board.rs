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

/// Every interleaving of one who applies, one who takes a lease or confirms, and one who issues.
#[cfg(test)]
mod tests {
    use super::*;
    use loom::{
        model,
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering},
        },
        thread,
    };

    /// A slot whose every load and store the model may interleave with others.
    struct Seen<T>(Mutex<Arc<T>>);

    impl<T> Seen<T> {
        fn new(value: T) -> Self {
            Self(Mutex::new(Arc::new(value)))
        }
    }

    impl<T> Slot<T> for Seen<T> {
        fn load(&self) -> Arc<T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
        }

        fn store(&self, value: Arc<T>) {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
        }
    }

    impl Index for AtomicU64 {
        fn raise(&self, index: u64) {
            self.store(index, Ordering::Release);
        }
    }

    /// The state is its own index; a lease is its threshold.
    struct Board {
        state: Seen<u64>,
        applied: AtomicU64,
        lease: Seen<Option<u64>>,
    }

    type Publish = fn(&Board);
    type Capture = fn(&Board) -> Option<(u64, Arc<u64>)>;

    const PUBLISH: Publish = |board| publish(&board.state, &board.applied, Arc::new(1), 1);
    const CAPTURE: Capture = |board| capture(&board.lease, &board.state);

    /// One thread publishes entry 1, one stores the lease with threshold 1 once it has heard of the entry,
    /// one captures what it may issue by.
    fn explore(publish: Publish, capture: Capture) {
        model(move || {
            let (state, lease) = (Seen::new(0), Seen::new(None));
            let board = loom::sync::Arc::new(Board { state, applied: AtomicU64::new(0), lease });
            let applying = board.clone();
            let applying = thread::spawn(move || publish(&applying));
            let holding = board.clone();
            let holding = thread::spawn(move || {
                if holding.applied.load(Ordering::Acquire) >= 1 {
                    assert!(*holding.state.load() >= 1, "confirmed, and not seen");
                    holding.lease.store(Arc::new(Some(1)));
                }
            });
            if let Some((threshold, state)) = capture(&board) {
                assert!(*state >= threshold, "a lease with a state below its threshold");
            }
            for thread in [applying, holding] {
                assert!(thread.join().is_ok());
            }
        });
    }

    #[test]
    fn who_hears_of_an_index_or_sees_a_lease_sees_the_state() {
        explore(PUBLISH, CAPTURE);
    }

    #[test]
    #[should_panic(expected = "confirmed, and not seen")]
    fn an_index_raised_before_its_state_is_found_out() {
        let early: Publish = |board| {
            board.applied.raise(1);
            board.state.store(Arc::new(1));
        };
        explore(early, CAPTURE);
    }

    #[test]
    #[should_panic(expected = "below its threshold")]
    fn a_state_loaded_before_the_lease_is_found_out() {
        let late: Capture = |board| {
            let state = board.state.load();
            (*board.lease.load()).map(|lease| (lease, state))
        };
        explore(PUBLISH, late);
    }
}
