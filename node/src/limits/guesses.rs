//! Credentials that nobody knows, by the address that they come from.

use super::places::prefix;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

/// So many counts are kept, whoever comes: an address has the one that its hash names. Two of them may share one; since
/// known credentials are not counted, that costs the other nothing but a guess.
const COUNTS: usize = 8_192;

/// How often each address has guessed lately (GCRA).
pub(crate) struct Guesses<C: Clock = MonotonicClock> {
    /// None at all if any number is allowed.
    counts: Vec<RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>>,
    /// With a secret of this process, so that nobody can aim at another's count.
    hasher: RandomState,
    clock: C,
}

impl Guesses {
    /// 0 is any number.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self::with_clock(per_minute, MonotonicClock)
    }
}

impl<C: Clock + Clone> Guesses<C> {
    fn with_clock(per_minute: u32, clock: C) -> Self {
        let quota = NonZeroU32::new(per_minute).map(Quota::per_minute);
        let counts = quota.map(|quota| {
            std::iter::repeat_with(|| RateLimiter::direct_with_clock(quota, clock.clone()))
                .take(COUNTS)
                .collect()
        });
        Self { counts: counts.unwrap_or_default(), hasher: RandomState::new(), clock }
    }

    /// Counts one, or says when the next will be listened to.
    pub(crate) fn count(&self, address: IpAddr) -> Result<(), Duration> {
        // The remainder is below the number of counts, which fits.
        let place = self.hasher.hash_one(prefix(address)) % COUNTS as u64;
        let Some(count) = usize::try_from(place).ok().and_then(|place| self.counts.get(place)) else {
            return Ok(());
        };
        count.check().map_err(|early| early.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use governor::clock::FakeRelativeClock;

    #[test]
    fn an_address_that_guesses_waits_and_others_do_not() {
        let clock = FakeRelativeClock::default();
        let guesses = Guesses::with_clock(60, clock.clone());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let burst = std::iter::from_fn(|| guesses.count(one).ok()).count();
        assert_eq!(burst, 60);
        let wait = guesses.count(one).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        // One in 8,192 times both have one count.
        let shares = guesses.hasher.hash_one(prefix(one)) % COUNTS as u64
            == guesses.hasher.hash_one(prefix(other)) % COUNTS as u64;
        assert!(shares || guesses.count(other).is_ok());
        clock.advance(Duration::from_secs(1));
        assert_eq!(guesses.count(one), Ok(()));
    }

    #[test]
    fn without_a_bound_nothing_is_kept() {
        let guesses = Guesses::new(0);
        assert!(guesses.counts.is_empty());
        assert!((0..1_000).all(|_| guesses.count("192.0.2.1".parse().unwrap()).is_ok()));
    }
}
