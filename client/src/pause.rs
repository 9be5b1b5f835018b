//! When a client that asked too often may ask again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait that is obeyed. Nodes name a minute at most; a proxy in between may name anything.
const LONGEST: Duration = Duration::from_secs(60);

/// Until when the cluster asked for patience. It concerns the client and whatever server it asks for, since that is
/// how budgets are counted.
#[derive(Debug, Default)]
pub(crate) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// Asks for patience. What was asked for before and ends later stays.
    pub(crate) fn extend(&self, now: Instant, wait: Duration) {
        let end = now + wait.min(LONGEST);
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Some(end));
    }

    /// How much longer to wait, if at all.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pause_ends_and_a_shorter_one_does_not_shorten_it() {
        let (pause, now) = (Pause::default(), Instant::now());
        assert_eq!(pause.left(now), None);
        pause.extend(now, SECOND * 9);
        pause.extend(now, SECOND);
        assert_eq!(pause.left(now + SECOND * 2), Some(SECOND * 7));
        assert_eq!(pause.left(now + SECOND * 9), None);
    }

    #[test]
    fn no_pause_is_longer_than_a_minute() {
        let (pause, now) = (Pause::default(), Instant::now());
        pause.extend(now, Duration::MAX);
        assert_eq!(pause.left(now), Some(LONGEST));
    }
}
