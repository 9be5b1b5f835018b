//! Settings of a store; none of them changes what is promised.

use std::{fmt, process, sync::Arc, time::Duration};

/// What to do when the writer has not moved for [`Options::watchdog`]; gets the reason.
pub type Stalled = Arc<dyn Fn(&str) + Send + Sync>;

/// Settings of a store.
#[derive(Clone)]
pub struct Options {
    /// How many operations may wait for the writer; further callers wait (default 4,096).
    pub queue_length: usize,
    /// How many bytes of recent entries are kept in memory, so that replication and applying rarely
    /// read from disk (default 4 MiB). Entries that are not yet written are kept beyond this.
    pub cache_bytes: usize,
    /// How long queued operations may see no progress before [`Options::stalled`] is called
    /// (default 10 s). Far above any healthy fsync, far below what an operator would wait.
    pub watchdog: Duration,
    /// Called by the watchdog (default: log and abort the process, so that a replica that cannot
    /// write leaves the cluster instead of holding it up).
    pub stalled: Stalled,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_length: 4096,
            cache_bytes: 4 << 20,
            watchdog: Duration::from_secs(10),
            stalled: Arc::new(abort),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("queue_length", &self.queue_length)
            .field("cache_bytes", &self.cache_bytes)
            .field("watchdog", &self.watchdog)
            .finish_non_exhaustive()
    }
}

/// Unwinding would wait for the very threads that hang, so the process ends at once.
fn abort(reason: &str) {
    tracing::error!(reason, "storage makes no progress, aborting");
    eprintln!("storage makes no progress, aborting: {reason}");
    process::abort();
}
