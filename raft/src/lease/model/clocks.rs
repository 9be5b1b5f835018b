//! The clocks of one node, against true time.

use crate::lease::clock::Reading;
use hapi_registry_state::Timestamp;
use std::time::Duration;

/// What a clock that keeps true time advances by in one millisecond, in microseconds.
const TRUE_RATE: u64 = 1_000;

/// Where wall clocks stand at true time zero.
const EPOCH_US: u64 = 1_000_000_000;

/// Clocks whose rates are in microseconds per true millisecond: readings are exact, and a lease ends neither
/// early nor late by a rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Clocks {
    /// Rate and origin of the boot clock.
    pub(super) boot: (u64, u64),
    /// Rate and origin of the raw clock.
    pub(super) raw: (u64, u64),
    /// How far the wall clock is ahead of true time.
    pub(super) ahead_us: i64,
}

impl Clocks {
    /// Both clocks advance by `boot` and `raw` microseconds in a true millisecond.
    pub(super) fn new(boot: u64, raw: u64) -> Self {
        Self { boot: (boot, 0), raw: (raw, 0), ahead_us: 0 }
    }

    /// What the node reads at true time `ms`.
    pub(super) fn read(&self, ms: u64) -> Reading {
        let at = |(rate, origin): (u64, u64)| Duration::from_micros(origin + ms * rate);
        let wall = (EPOCH_US + ms * TRUE_RATE).saturating_add_signed(self.ahead_us);
        Reading { boot: at(self.boot), raw: at(self.raw), wall: Timestamp(wall) }
    }

    /// The least true time, in milliseconds, in which both clocks advance by `wait`.
    pub(super) fn true_ms(&self, wait: Duration) -> u64 {
        let us = wait.as_nanos().div_ceil(1_000);
        u64::try_from(us).unwrap_or(u64::MAX).div_ceil(self.boot.0.min(self.raw.0))
    }
}

impl Default for Clocks {
    fn default() -> Self {
        Self::new(TRUE_RATE, TRUE_RATE)
    }
}
