//! The runtime on which everything between nodes runs.

use std::{io, thread, time::Duration};
use tokio::{
    runtime::{Builder, Handle},
    sync::{oneshot, watch},
};

/// Threads for Raft and the peer plane. Two, so that one long poll does not hold up a heartbeat.
const WORKERS: usize = 2;

/// How long blocking work (a snapshot being written) may hold up the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A Tokio runtime with a thread that owns it: a runtime must not be dropped by another runtime's task,
/// and the last owner of a replica is usually one.
pub(crate) struct Runtime {
    handle: Handle,
    stop: std::sync::Mutex<Option<oneshot::Sender<()>>>,
    stopped: watch::Receiver<bool>,
}

impl Runtime {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(WORKERS).thread_name("raft").enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, wish) = oneshot::channel::<()>();
        let (done, stopped) = watch::channel(false);
        thread::Builder::new().name("raft-owner".into()).spawn(move || {
            // A dropped sender is a wish as well.
            let _ = runtime.block_on(wish);
            runtime.shutdown_timeout(STOP_TIMEOUT);
            done.send_replace(true);
        })?;
        Ok(Self { handle, stop: std::sync::Mutex::new(Some(stop)), stopped })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends all tasks and waits until the last of them is gone.
    pub(crate) async fn stop(&self) {
        drop(self.stop.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }
}
