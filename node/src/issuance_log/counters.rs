//! What is counted about the log, and warned about.

use prometheus::{Histogram, HistogramOpts, IntCounter, core::Collector};
use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often a failure is warned about. A broken log fails with every connect.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Lines that share one write.
const LINES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 2048.0];

pub(super) struct Counters {
    lines: IntCounter,
    writes: IntCounter,
    bytes: IntCounter,
    failures: IntCounter,
    lines_per_write: Histogram,
    pub(super) rotations: IntCounter,
    warned: Mutex<Option<Instant>>,
}

impl Counters {
    pub(super) fn new() -> prometheus::Result<Self> {
        let per_write =
            HistogramOpts::new("hapi_issuance_log_lines_per_write", "Lines that shared one write.");
        Ok(Self {
            lines: IntCounter::new("hapi_issuance_log_lines_total", "Decisions written to the log.")?,
            writes: IntCounter::new("hapi_issuance_log_writes_total", "Writes of the log.")?,
            bytes: IntCounter::new("hapi_issuance_log_bytes_total", "Bytes written to the log.")?,
            failures: IntCounter::new(
                "hapi_issuance_log_failures_total",
                "Decisions that could not be written to the log.",
            )?,
            lines_per_write: Histogram::with_opts(per_write.buckets(LINES.into()))?,
            rotations: IntCounter::new("hapi_issuance_log_rotations_total", "Files of the log put aside.")?,
            warned: Mutex::new(None),
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.lines.clone()),
            Box::new(self.writes.clone()),
            Box::new(self.bytes.clone()),
            Box::new(self.failures.clone()),
            Box::new(self.lines_per_write.clone()),
            Box::new(self.rotations.clone()),
        ]
    }

    /// So many lines have gone out in one write.
    #[allow(clippy::cast_precision_loss, reason = "a batch has far fewer lines than a float counts exactly")]
    pub(super) fn wrote(&self, lines: u64, bytes: usize) {
        self.lines.inc_by(lines);
        self.writes.inc();
        self.bytes.inc_by(bytes as u64);
        self.lines_per_write.observe(lines as f64);
    }

    /// So many lines could not be written.
    pub(super) fn failed(&self, lines: u64, reason: &dyn Display) {
        self.failures.inc_by(lines);
        if self.may_warn() {
            let lost = self.failures.get();
            tracing::error!(%reason, lost, "the issuance log cannot be written");
        }
    }

    fn may_warn(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let due = warned.is_none_or(|at| at.elapsed() >= WARN_EVERY);
        if due {
            *warned = Some(Instant::now());
        }
        due
    }
}
