//! When an unknown `kid` may cause a fetch of the key set.

use std::time::Duration;

use hapi_descriptor::KEY_REFETCH_SECONDS;

const EVERY: Duration = Duration::from_secs(KEY_REFETCH_SECONDS);

/// How many requests may wait for one fetch. Whoever writes unknown `kid`s in numbers is refused at once.
const MAX_WAITING: usize = 64;

/// Anyone can write any `kid`, so that one may cause a fetch at most once in [`KEY_REFETCH_SECONDS`]. Requests that
/// come while it runs wait for it too. Pure: instants come in, and fetching is the caller's.
#[derive(Debug, Default)]
pub(crate) struct Refetch {
    last: Option<Duration>,
    waiting: usize,
    running: bool,
}

/// What a request with an unknown `kid` is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Have the key set fetched, and wait for it.
    Fetch,
    /// Wait for the fetch that runs.
    Wait,
    /// Be refused.
    GiveUp,
}

impl Refetch {
    /// Recorded before the fetch: one that fails counts as well.
    pub(crate) fn ask(&mut self, now: Duration) -> Advice {
        if self.running && self.waiting < MAX_WAITING {
            self.waiting += 1;
            return Advice::Wait;
        }
        if self.running || self.last.is_some_and(|last| now.saturating_sub(last) < EVERY) {
            return Advice::GiveUp;
        }
        (self.last, self.running) = (Some(now), true);
        Advice::Fetch
    }

    /// A fetch has ended, well or not.
    pub(crate) fn done(&mut self) {
        (self.running, self.waiting) = (false, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_kids_cause_one_fetch_in_thirty_seconds() {
        let mut refetch = Refetch::default();
        let fetches = (0..90_000).filter(|millis| {
            let advice = refetch.ask(Duration::from_millis(*millis));
            refetch.done();
            advice == Advice::Fetch
        });
        assert_eq!(fetches.count(), 3);
    }

    #[test]
    fn who_comes_while_it_runs_waits_for_it() {
        let mut refetch = Refetch::default();
        assert_eq!(refetch.ask(Duration::ZERO), Advice::Fetch);
        for _ in 0..MAX_WAITING {
            assert_eq!(refetch.ask(Duration::ZERO), Advice::Wait);
        }
        assert_eq!(refetch.ask(Duration::ZERO), Advice::GiveUp);
        refetch.done();
        assert_eq!(refetch.ask(EVERY - Duration::from_millis(1)), Advice::GiveUp);
        assert_eq!(refetch.ask(EVERY), Advice::Fetch);
    }

    #[test]
    fn a_fetch_that_never_ends_causes_no_other() {
        let mut refetch = Refetch::default();
        refetch.ask(Duration::ZERO);
        assert_eq!(refetch.ask(EVERY), Advice::Wait);
    }
}
