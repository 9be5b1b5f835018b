//! Readings of a node's clocks, and the lengths of time that leases are made of.

use hapi_registry_state::Timestamp;
use std::time::Duration;

/// What a wall clock may move against the boot clock before the jump counts: what slewing and a busy machine
/// can do, and a tenth of the elapsed time with some room.
const JUMP_FLOOR: Duration = Duration::from_millis(250);
const JUMP_PERCENT: u32 = 12;

/// The clocks of one node, read together.
///
/// Two clocks that go on in different ways: what stops one (a suspended machine, a slewing time daemon) does
/// not stop the other. A holder believes the one that has gone further, a granter the one that has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reading {
    /// `CLOCK_BOOTTIME`: goes on while the machine is suspended, and is slewed.
    pub boot: Duration,
    /// `CLOCK_MONOTONIC_RAW`: the bare oscillator.
    pub raw: Duration,
    /// The wall clock. Its value is compared with its own earlier values only, to notice a jump.
    pub wall: Timestamp,
}

impl Reading {
    /// The time since `earlier`, as a holder counts it. `None` if a clock went back.
    pub(crate) fn longest_since(&self, earlier: &Self) -> Option<Duration> {
        let (boot, raw) = self.elapsed(earlier)?;
        Some(boot.max(raw))
    }

    /// The time since `earlier`, as a granter counts it: nothing, if a clock went back.
    pub(crate) fn shortest_since(&self, earlier: &Self) -> Duration {
        self.elapsed(earlier).map_or(Duration::ZERO, |(boot, raw)| boot.min(raw))
    }

    fn elapsed(&self, earlier: &Self) -> Option<(Duration, Duration)> {
        Some((self.boot.checked_sub(earlier.boot)?, self.raw.checked_sub(earlier.raw)?))
    }

    /// Whether the wall clock has moved against the boot clock since `earlier`: the machine was frozen, or
    /// somebody set the time.
    pub(crate) fn has_jumped_since(&self, earlier: &Self) -> bool {
        let boot = self.boot.saturating_sub(earlier.boot);
        let wall = i128::from(self.wall.0) - i128::from(earlier.wall.0);
        let apart = (wall - boot.as_micros().cast_signed()).unsigned_abs();
        apart > (JUMP_FLOOR + boot * JUMP_PERCENT / 100).as_micros()
    }

    /// The wall clock at `self`, as it would be without any jump since `earlier`.
    pub(crate) fn steady_wall(&self, earlier: &Self) -> Timestamp {
        let elapsed = self.boot.saturating_sub(earlier.boot).as_micros();
        Timestamp(earlier.wall.0.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX)))
    }
}

/// How long leases last, for those who hold and those who grant them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    /// How long a holder may use a lease, by its own clocks: D.
    pub(crate) duration: Duration,
    /// How long a granter believes that a lease is in use, by its own clocks: W. With rates that differ by
    /// less than 10 % the holder's D has ended when the granter's W has.
    pub(crate) wait: Duration,
}

impl Terms {
    pub(crate) fn new(duration: Duration) -> Self {
        // (1 + 10 %) / (1 - 10 %), rounded up.
        Self { duration, wait: duration * 11 / 9 + Duration::from_nanos(1) }
    }

    /// How long a holder keeps a lease before it asks for the next.
    pub(crate) fn renewal(&self) -> Duration {
        self.duration / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: u64, raw: u64, wall: u64) -> Reading {
        let ms = Duration::from_millis;
        Reading { boot: ms(boot), raw: ms(raw), wall: Timestamp(wall * 1_000) }
    }

    #[test]
    fn a_holder_counts_the_longer_time_and_a_granter_the_shorter() {
        let (earlier, later) = (at(100, 1_000, 0), at(400, 1_200, 0));
        assert_eq!(later.longest_since(&earlier), Some(Duration::from_millis(300)));
        assert_eq!(later.shortest_since(&earlier), Duration::from_millis(200));
    }

    #[test]
    fn a_clock_that_goes_back_ends_leases_and_no_wait() {
        let (earlier, later) = (at(100, 1_000, 0), at(400, 999, 0));
        assert_eq!(later.longest_since(&earlier), None);
        assert_eq!(later.shortest_since(&earlier), Duration::ZERO);
    }

    #[test]
    fn a_wall_clock_that_moves_alone_has_jumped() {
        let earlier = at(1_000, 0, 50_000);
        assert!(!at(2_000, 0, 51_000).has_jumped_since(&earlier));
        assert!(!at(2_000, 0, 51_369).has_jumped_since(&earlier));
        assert!(at(2_000, 0, 51_371).has_jumped_since(&earlier));
        assert!(!at(2_000, 0, 50_631).has_jumped_since(&earlier));
        assert!(at(2_000, 0, 50_629).has_jumped_since(&earlier));
        assert!(at(2_000, 0, 20_000).has_jumped_since(&earlier));
    }

    #[test]
    fn a_granter_waits_long_enough_for_the_slowest_holder() {
        let terms = Terms::new(Duration::from_secs(3));
        // A holder whose clock runs 10 % slow uses up D in D / 0.9; a granter 10 % fast counts 1.1 of that.
        let counted = terms.duration.as_secs_f64() / 0.9 * 1.1;
        assert!(terms.wait.as_secs_f64() >= counted);
        assert!(terms.wait < Duration::from_millis(3_700));
    }
}
