//! A build without faults: everything is as it is, at no cost.

use super::FaultError;
use hapi_raft::{Reading, Rules};
use hapi_registry_state::Timestamp;
use std::time::Duration;

/// What `--version` says.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Refuses every fault.
pub(crate) fn install(faults: &str) -> Result<(), FaultError> {
    if faults.trim().is_empty() {
        return Ok(());
    }
    Err(FaultError(
        "this build injects no faults: unset it, or build with the feature fault-injection".into(),
    ))
}

/// All rules.
pub(crate) fn rules() -> Rules {
    Rules::default()
}

/// No delay.
pub(crate) const fn issue_delay() -> Option<Duration> {
    None
}

/// The clocks as they are.
pub(crate) const fn clocks(reading: Reading) -> Reading {
    reading
}

/// The wall clock as it is.
pub(crate) const fn wall(now: Timestamp) -> Timestamp {
    now
}
