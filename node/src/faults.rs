//! Faults from inside, for tests: clocks that run wrong, rules left out, slow issuing.
//!
//! They are read from `HAPI_FAULTS` by a build with the feature `fault-injection`, and there only: another
//! build refuses to start with that variable, so that nobody believes to have tested what was not there.

#[cfg(not(feature = "fault-injection"))]
mod absent;
#[cfg(feature = "fault-injection")]
mod injected;
#[cfg(any(test, feature = "fault-injection"))]
mod list;

#[cfg(not(feature = "fault-injection"))]
pub(crate) use absent::{VERSION, clocks, install, issue_delay, rules, wall};
#[cfg(feature = "fault-injection")]
pub(crate) use injected::{VERSION, clocks, install, issue_delay, rules, wall};

/// The variable that names the faults.
pub(crate) const VARIABLE: &str = "HAPI_FAULTS";

/// Why the faults that were asked for are not there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{VARIABLE}: {0}")]
pub(crate) struct FaultError(String);
