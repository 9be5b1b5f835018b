//! Watches that the writer moves while operations wait for it.
//!
//! Looks are counted, and no time: of a process that stood still, a paused or frozen machine's, a clock would say that
//! the writer had not moved for as long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
};

use crate::{Options, StorageMetrics};

/// Counts the writer's steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(crate) fn step(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn steps(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many looks in a row without a step make a writer stuck.
const LOOKS: u32 = 10;

/// Starts the thread; it ends when the sender of `stop` is gone.
pub(crate) fn start(
    options: &Options,
    metrics: StorageMetrics,
    progress: Progress,
    stop: Receiver<()>,
) -> std::io::Result<()> {
    let (limit, stalled) = (options.watchdog, options.stalled.clone());
    let watch = move || {
        let mut seen = Seen { steps: progress.steps(), looks: 0 };
        while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(limit / LOOKS) {
            if seen.look(&metrics, &progress) >= LOOKS {
                stalled(&format!("{} operations wait, none moved for {limit:?}", metrics.queue_depth()));
            }
        }
    };
    thread::Builder::new().name("storage-watchdog".to_owned()).spawn(watch).map(drop)
}

struct Seen {
    steps: u64,
    looks: u32,
}

impl Seen {
    /// How many looks ago operations began to wait without a step.
    fn look(&mut self, metrics: &StorageMetrics, progress: &Progress) -> u32 {
        let steps = progress.steps();
        let moves = metrics.queue_depth() == 0 || steps != self.steps;
        *self = Self { steps, looks: if moves { 0 } else { self.looks.saturating_add(1) } };
        self.looks
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    fn options(stalls: mpsc::Sender<String>) -> Options {
        let stalled = move |reason: &str| drop(stalls.send(reason.to_owned()));
        Options { watchdog: Duration::from_millis(50), stalled: Arc::new(stalled), ..Options::default() }
    }

    #[test]
    fn a_writer_that_does_not_move_is_reported() {
        let (stalls, reports) = mpsc::channel();
        let (_stop, stopped) = mpsc::channel();
        let metrics = StorageMetrics::default();
        metrics.queued();
        start(&options(stalls), metrics, Progress::default(), stopped).unwrap();
        let report = reports.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(report.starts_with("1 operations wait"), "{report}");
    }

    #[test]
    fn an_idle_or_moving_writer_is_not_reported() {
        let (metrics, progress) = (StorageMetrics::default(), Progress::default());
        let mut seen = Seen { steps: 0, looks: 0 };
        assert_eq!(seen.look(&metrics, &progress), 0, "idle");
        metrics.queued();
        progress.step();
        assert_eq!(seen.look(&metrics, &progress), 0, "moved");
        assert_eq!(seen.look(&metrics, &progress), 1, "stands");
        assert_eq!(seen.look(&metrics, &progress), 2, "stands");
        progress.step();
        assert_eq!(seen.look(&metrics, &progress), 0, "moves again");
    }
}
