//! Counters of the store, free of any metrics library: the process exports them as it likes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Upper bounds of the fsync latency buckets, in seconds.
const SYNC_SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
/// Upper bounds of the group size buckets, in operations.
const GROUP_SIZE: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0];

/// Counters of one store; clones share them.
#[derive(Clone, Debug, Default)]
pub struct StorageMetrics(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    sync_seconds: Histogram,
    group_size: Histogram,
    queue_depth: AtomicU64,
    entries_appended: AtomicU64,
    bytes_appended: AtomicU64,
    keys_deleted: AtomicU64,
    disk_reads: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            sync_seconds: Histogram::new(SYNC_SECONDS),
            group_size: Histogram::new(GROUP_SIZE),
            queue_depth: AtomicU64::default(),
            entries_appended: AtomicU64::default(),
            bytes_appended: AtomicU64::default(),
            keys_deleted: AtomicU64::default(),
            disk_reads: AtomicU64::default(),
        }
    }
}

impl StorageMetrics {
    /// Time that handing a group to the kernel and its fsync took together, in seconds; the count is
    /// the number of fsyncs.
    pub fn sync_seconds(&self) -> HistogramData {
        self.0.sync_seconds.data()
    }

    /// Number of operations that waited for one fsync together.
    pub fn group_size(&self) -> HistogramData {
        self.0.group_size.data()
    }

    /// Operations sent to the writer and not yet completed.
    pub fn queue_depth(&self) -> u64 {
        self.0.queue_depth.load(Relaxed)
    }

    /// Log entries written since the start.
    pub fn entries_appended(&self) -> u64 {
        self.0.entries_appended.load(Relaxed)
    }

    /// Bytes of log entries written since the start, before framing.
    pub fn bytes_appended(&self) -> u64 {
        self.0.bytes_appended.load(Relaxed)
    }

    /// Keys deleted by purging and truncating since the start.
    pub fn keys_deleted(&self) -> u64 {
        self.0.keys_deleted.load(Relaxed)
    }

    /// Log reads that memory could not answer alone.
    pub fn disk_reads(&self) -> u64 {
        self.0.disk_reads.load(Relaxed)
    }

    pub(crate) fn synced(&self, took: Duration, operations: usize) {
        self.0.sync_seconds.observe(took.as_secs_f64());
        self.0.group_size.observe(operations as f64);
    }

    pub(crate) fn queued(&self) {
        self.0.queue_depth.fetch_add(1, Relaxed);
    }

    pub(crate) fn completed(&self, operations: usize) {
        self.0.queue_depth.fetch_sub(operations as u64, Relaxed);
    }

    pub(crate) fn appended(&self, bytes: usize) {
        self.0.entries_appended.fetch_add(1, Relaxed);
        self.0.bytes_appended.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn deleted(&self, keys: usize) {
        self.0.keys_deleted.fetch_add(keys as u64, Relaxed);
    }

    pub(crate) fn read_from_disk(&self) {
        self.0.disk_reads.fetch_add(1, Relaxed);
    }
}

/// A histogram read at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramData {
    /// Upper bound and number of observations at or below it, ascending. Observations above the last
    /// bound are only in `count`.
    pub buckets: Vec<(f64, u64)>,
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations.
    pub sum: f64,
}

#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    buckets: Vec<AtomicU64>,
    /// The sum in millionths, because there is no atomic float.
    sum_millionths: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { bounds, buckets, sum_millionths: AtomicU64::default() }
    }

    fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_millionths.fetch_add((value * 1e6).round() as u64, Relaxed);
    }

    fn data(&self) -> HistogramData {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (place, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Relaxed);
            buckets.extend(self.bounds.get(place).map(|bound| (*bound, count)));
        }
        HistogramData { buckets, count, sum: self.sum_millionths.load(Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_every_bucket_at_or_above_it() {
        let histogram = Histogram::new(&[1.0, 2.0, 4.0]);
        for value in [0.5, 2.0, 3.0, 9.0] {
            histogram.observe(value);
        }
        let data = histogram.data();
        assert_eq!(data.buckets, [(1.0, 1), (2.0, 2), (4.0, 3)]);
        assert_eq!(data.count, 4);
        assert!((data.sum - 14.5).abs() < 1e-9);
    }
}
