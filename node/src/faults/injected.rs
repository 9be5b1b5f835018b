//! A build with faults: those of this process.

use super::{FaultError, list::Faults};
use crate::clock;
use hapi_raft::{Reading, Rules};
use hapi_registry_state::Timestamp;
use std::{sync::OnceLock, time::Duration};

/// What `--version` says, and what the build of an image looks for.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (fault injection)");

/// The clocks are read everywhere, so the faults are the process's own.
static FAULTS: OnceLock<(Faults, Reading)> = OnceLock::new();

/// Takes the faults of this process, once, at its start: clocks go wrong from here on.
pub(crate) fn install(text: &str) -> Result<(), FaultError> {
    let faults = Faults::parse(text)?;
    let start = clock::true_clocks();
    // Whoever compares instants of several nodes can turn ours back with these two.
    let (boot, raw) = (start.boot.as_nanos(), start.raw.as_nanos());
    tracing::warn!(?faults, start_boottime_ns = %boot, start_raw_ns = %raw, "faults are injected");
    // Only the first word holds; a process starts once.
    let _ = FAULTS.set((faults, start));
    Ok(())
}

/// All rules but the one that is to be left out.
pub(crate) fn rules() -> Rules {
    let mutant = FAULTS.get().and_then(|(faults, _)| faults.mutant);
    mutant.map_or_else(Rules::default, Rules::without)
}

/// How long a connect rests between its signature and the last look at the state.
pub(crate) fn issue_delay() -> Option<Duration> {
    FAULTS.get().and_then(|(faults, _)| faults.issue_delay)
}

/// The clocks as the faults want them.
pub(crate) fn clocks(reading: Reading) -> Reading {
    FAULTS.get().map_or(reading, |(faults, start)| faults.clocks(reading, start))
}

/// The wall clock as the faults want it.
pub(crate) fn wall(now: Timestamp) -> Timestamp {
    FAULTS.get().map_or(now, |(faults, start)| faults.wall(now, clock::boottime().saturating_sub(start.boot)))
}
