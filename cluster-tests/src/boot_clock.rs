//! The clock that all histories are written in: nanoseconds since this machine started.

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME` now, the clock that nodes stamp their own logs with.
pub fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.expect("after the start") * 1_000_000_000 + nanos.expect("a fraction")
}

/// Milliseconds from `earlier` to `later`; negative if it is the other way round.
pub fn ms_between(earlier: u64, later: u64) -> f64 {
    (later as f64 - earlier as f64) / 1e6
}
