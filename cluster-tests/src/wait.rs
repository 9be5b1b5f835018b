//! Waiting for a fact, never for a time.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How long a test waits for what must come. Far above what it takes, so that only a fault runs into it.
pub const PATIENCE: Duration = Duration::from_secs(60);

const LOOK: Duration = Duration::from_millis(20);

/// Looks until `look` yields something, and returns it.
///
/// # Panics
/// With `reason`, when nothing came within [`PATIENCE`].
pub async fn wait_until<T, F: Future<Output = Option<T>>>(reason: &str, mut look: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {reason}");
        tokio::time::sleep(LOOK).await;
    }
}
