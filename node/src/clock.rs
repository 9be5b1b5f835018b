//! The world outside: the only clock and the only source of chance in the whole system.

use hapi_raft::Environment;
use hapi_registry_state::Timestamp;
use rand::{TryRng, rngs::SysRng};
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock and the operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now(&self) -> Timestamp {
        now()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        fill_random(bytes);
    }
}

/// The present instant by the wall clock. A clock before 1970 counts as 1970: nothing is valid then.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}

/// Fills `bytes` from the operating system.
#[expect(clippy::expect_used, reason = "a system without randomness must not sign or mint anything")]
pub(crate) fn fill_random(bytes: &mut [u8]) {
    SysRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
}

/// An endless stream of random bytes, as minting a token asks for.
pub(crate) fn random_bytes() -> impl FnMut() -> u8 {
    || {
        let mut byte = [0];
        fill_random(&mut byte);
        byte[0]
    }
}
