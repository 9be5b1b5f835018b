//! The world outside: the only clock and the only source of chance in the whole system.

use crate::faults;
use hapi_raft::{Environment, Reading};
use hapi_registry_state::Timestamp;
use rand::{TryRng, rngs::SysRng};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock and the operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now(&self) -> Timestamp {
        now()
    }

    fn clocks(&self) -> Reading {
        clocks()
    }

    fn boottime_ns(&self) -> u64 {
        u64::try_from(boottime().as_nanos()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        fill_random(bytes);
    }
}

/// The clocks that leases are measured by, and the wall clock beside them. The kernel answers all three
/// without a system call, in some tens of nanoseconds.
pub(crate) fn clocks() -> Reading {
    faults::clocks(true_clocks())
}

/// The present instant by the wall clock. A clock before 1970 counts as 1970: nothing is valid then.
pub(crate) fn now() -> Timestamp {
    faults::wall(true_wall())
}

/// `CLOCK_BOOTTIME` as it is, whatever faults are injected: by it, instants of all processes of one machine
/// are compared.
pub(crate) fn boottime() -> Duration {
    elapsed(ClockId::Boottime)
}

/// The clocks as they are.
pub(crate) fn true_clocks() -> Reading {
    Reading { boot: elapsed(ClockId::Boottime), raw: elapsed(ClockId::MonotonicRaw), wall: true_wall() }
}

/// The time since a clock's own beginning, which is never negative for those that are read here.
fn elapsed(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn true_wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}

/// Fills `bytes` from the operating system.
#[expect(clippy::expect_used, reason = "a system without randomness must not sign or mint anything")]
pub(crate) fn fill_random(bytes: &mut [u8]) {
    SysRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
}

/// 128 random bits for a name that must be unique and not guessable: from this thread's own generator, which
/// the operating system seeds. A system call for each would be a good part of what a decision costs.
pub(crate) fn random_name() -> [u8; 16] {
    rand::random()
}

/// An endless stream of random bytes, as minting a token asks for.
pub(crate) fn random_bytes() -> impl FnMut() -> u8 {
    || {
        let mut byte = [0];
        fill_random(&mut byte);
        byte[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clocks_go_on() {
        let earlier = clocks();
        while clocks().wall == earlier.wall {}
        let later = clocks();
        assert!(later.boot > earlier.boot && later.raw > earlier.raw && later.wall > earlier.wall);
    }
}
