//! How long the background rests.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// `first` for no failure or one, doubled for each further one, up to `longest`.
pub(crate) fn backoff(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

/// Up to a tenth shorter, so that a fleet of guards does not ask in step. The hasher's keys are random per process
/// and differ from call to call, which is chance enough here.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish() % 1000;
    pause - pause.mul_f64(0.1 * chance as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pause =
            |failures| backoff(Duration::from_millis(250), failures, Duration::from_secs(2)).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 5, 1_000_000].map(pause), [250, 250, 500, 1000, 2000, 2000, 2000]);
    }

    #[test]
    fn jitter_takes_a_tenth_at_most() {
        let pause = Duration::from_secs(10);
        for _ in 0..1000 {
            let jittered = jittered(pause);
            assert!(jittered <= pause && jittered >= Duration::from_secs(9), "{jittered:?}");
        }
    }
}
