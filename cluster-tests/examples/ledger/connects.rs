//! Connects, none of which may fail.

use crate::{caller::Caller, faults::Faults, publications::ANCHOR};
use hapi_client::ConnectRequest;
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Rest of each client between two connects: the machine has other work too.
const REST: Duration = Duration::from_millis(20);

/// How long each successful connect took; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Connects(Arc<Mutex<Vec<Duration>>>);

impl Connects {
    /// Connects until it is stopped. A client that may ask every node gets leave from one of them, within its own
    /// bounds on tries and time.
    pub(crate) async fn run(self, mut caller: Caller, stopped: watch::Receiver<bool>, faults: Faults) {
        let request = ConnectRequest::new(ANCHOR);
        while !*stopped.borrow() {
            let begun = Instant::now();
            match caller.client().connect(&request).await {
                Ok(_) => self.0.lock().expect("no panic while it is held").push(begun.elapsed()),
                Err(error) => {
                    let (nodes, took) = (caller.nodes(), begun.elapsed());
                    faults.note(&format!("a connect failed after {took:?} at {nodes}: {error}"));
                }
            }
            tokio::time::sleep(REST).await;
        }
    }
}

impl fmt::Display for Connects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.0.lock().expect("no panic while it is held").clone();
        times.sort_unstable();
        let last = times.len().saturating_sub(1);
        let at = |share: f64| times.get((last as f64 * share) as usize).copied().unwrap_or_default();
        let (median, late, longest) = (at(0.5), at(0.99), at(1.0));
        write!(f, "{} connects: p50 {median:.1?}, p99 {late:.1?}, the longest {longest:.1?}", times.len())
    }
}
