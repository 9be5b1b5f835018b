//! The cluster's key set, as last seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hapi_descriptor::{KEY_REFETCH_SECONDS, KeySet};

/// How old a key set may grow before it is fetched again. Keys are replaced daily; a key that was revoked is
/// gone from the set, and this is how long a client goes on believing it.
const MAX_AGE: Duration = Duration::from_secs(300);

/// The shortest time between two fetches because of an unknown `kid`.
const REFETCH_EVERY: Duration = Duration::from_secs(KEY_REFETCH_SECONDS);

/// A cached key set that knows when to be fetched again. Instants come in; fetching is the caller's.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    set: Arc<KeySet>,
    fetched_at: Option<Instant>,
    refetched_at: Option<Instant>,
}

impl Keys {
    pub(crate) fn set(&self) -> Arc<KeySet> {
        Arc::clone(&self.set)
    }

    /// Whether no set was fetched yet, so that nothing can be verified.
    pub(crate) fn is_absent(&self) -> bool {
        self.fetched_at.is_none()
    }

    pub(crate) fn is_old(&self, now: Instant) -> bool {
        self.fetched_at.is_none_or(|at| now.duration_since(at) >= MAX_AGE)
    }

    /// Whether an unknown `kid` may cause a fetch now; if so, the next may not for a while. Recorded before
    /// the fetch: one that fails counts as well.
    pub(crate) fn may_refetch(&mut self, now: Instant) -> bool {
        let may = self.refetched_at.is_none_or(|at| now.duration_since(at) >= REFETCH_EVERY);
        if may {
            self.refetched_at = Some(now);
        }
        may
    }

    pub(crate) fn replace(&mut self, set: KeySet, now: Instant) {
        (self.set, self.fetched_at) = (Arc::new(set), Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_kids_cause_one_fetch_in_thirty_seconds() {
        let (mut keys, start) = (Keys::default(), Instant::now());
        keys.replace(KeySet::default(), start);
        let fetches = (0..90).filter(|second| keys.may_refetch(start + Duration::from_secs(*second))).count();
        assert_eq!(fetches, 3);
    }

    #[test]
    fn a_set_is_old_after_five_minutes() {
        let (mut keys, start) = (Keys::default(), Instant::now());
        assert!(keys.is_absent() && keys.is_old(start));
        keys.replace(KeySet::default(), start);
        assert!(!keys.is_absent() && !keys.is_old(start + Duration::from_secs(299)));
        assert!(keys.is_old(start + Duration::from_secs(300)));
    }
}
