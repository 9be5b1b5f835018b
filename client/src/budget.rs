//! How often a client may try in vain.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many tries without success there may be within [`BUDGET_WINDOW`], for one server and over all calls.
///
/// Three reach every node of a common cluster once. A client that goes on turns a short outage into a long
/// one, since the nodes that come back meet everybody's retries at once.
pub const MAX_TRIES: usize = 3;

/// The time that [`MAX_TRIES`] is counted over.
pub const BUDGET_WINDOW: Duration = Duration::from_secs(60);

/// The recent tries for one server that have not led to success.
#[derive(Debug, Default)]
pub(crate) struct Budget(VecDeque<Instant>);

impl Budget {
    /// Takes one try, or says how long to wait for the next. It is taken before the request leaves, so that a
    /// call that is dropped half-way has been counted.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        while self.0.front().is_some_and(|try_at| now.duration_since(*try_at) >= BUDGET_WINDOW) {
            self.0.pop_front();
        }
        if let Some(oldest) = self.0.front().filter(|_| self.0.len() >= MAX_TRIES) {
            return Err(BUDGET_WINDOW - now.duration_since(*oldest));
        }
        self.0.push_back(now);
        Ok(())
    }

    /// Forgets the tries: the cluster has answered. The budget bounds tries in vain, not the use of a working
    /// cluster that happens to have one dead node.
    pub(crate) fn succeed(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_fourth_try_waits_for_the_first_to_be_a_minute_old() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for second in [0, 10, 20] {
            assert_eq!(budget.take(start + SECOND * second), Ok(()));
        }
        assert_eq!(budget.take(start + SECOND * 25), Err(SECOND * 35));
        assert_eq!(budget.take(start + SECOND * 59), Err(SECOND));
        assert_eq!(budget.take(start + SECOND * 60), Ok(()));
        assert_eq!(budget.take(start + SECOND * 61), Err(SECOND * 9), "now the second try is the oldest");
    }

    #[test]
    fn no_minute_holds_more_than_three_tries() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let taken: Vec<u32> =
            (0..600).filter(|second| budget.take(start + SECOND * *second).is_ok()).collect();
        assert!(taken.windows(MAX_TRIES + 1).all(|window| window[MAX_TRIES] - window[0] >= 60), "{taken:?}");
        assert_eq!(taken.len(), 30);
    }

    #[test]
    fn success_frees_the_budget() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for second in 0..100 {
            assert_eq!(budget.take(start + SECOND * second), Ok(()));
            budget.succeed();
        }
    }
}
