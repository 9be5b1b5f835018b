//! The counters of the store, in the form of the metrics library.

use hapi_storage::{HistogramData, StorageMetrics};
use prometheus::proto::{Bucket, Counter, Histogram, Metric, MetricFamily, MetricType};

/// All of them, as they are now.
pub(super) fn families(storage: &StorageMetrics) -> [MetricFamily; 6] {
    [
        histogram(
            "hapi_storage_sync_seconds",
            "Time to make one group of writes durable.",
            storage.sync_seconds(),
        ),
        histogram("hapi_storage_group_size", "Writes that shared one sync.", storage.group_size()),
        counter(
            "hapi_storage_entries_appended_total",
            "Entries written to the log.",
            storage.entries_appended(),
        ),
        counter(
            "hapi_storage_bytes_appended_total",
            "Bytes of entries written to the log, before framing.",
            storage.bytes_appended(),
        ),
        counter(
            "hapi_storage_keys_deleted_total",
            "Entries taken out of the log, after a snapshot or by a new leader.",
            storage.keys_deleted(),
        ),
        counter(
            "hapi_storage_disk_reads_total",
            "Reads of the log that memory could not answer alone.",
            storage.disk_reads(),
        ),
    ]
}

fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

#[allow(clippy::cast_precision_loss, reason = "floats are all that the format has")]
fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    family(name, help, MetricType::COUNTER, metric)
}

fn histogram(name: &str, help: &str, data: HistogramData) -> MetricFamily {
    let mut histogram = Histogram::default();
    histogram.set_sample_count(data.count);
    histogram.set_sample_sum(data.sum);
    let buckets = data.buckets.into_iter().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(name, help, MetricType::HISTOGRAM, metric)
}
