//! The only clock of the guard, so that tests can bring their own.

use std::time::{Duration, Instant, SystemTime};

/// One reading of both clocks.
///
/// Descriptors speak of the wall clock, which may be set. How long the feed has been silent is measured by the other,
/// which only runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since the Unix epoch.
    pub unix_seconds: u64,
    /// Since some fixed beginning; never goes back.
    pub elapsed: Duration,
}

/// Where the guard reads the time.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Moment;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    /// A wall clock before 1970 counts as 1970, and then every descriptor is not valid yet.
    fn now(&self) -> Moment {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { unix_seconds: since_epoch.as_secs(), elapsed: self.0.elapsed() }
    }
}
