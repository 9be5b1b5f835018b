//! What `/metrics` shows of mirrors. The label is an operator's own word for a source, of which there are few.

use hapi_registry_state::{MirrorId, Timestamp};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, core::Collector};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// What may come of an entry; all of them are there from the start of a mirror.
const OUTCOMES: [&str; 8] =
    ["added", "updated", "deleted", "unchanged", "kept", "absent", "excluded", "rejected"];

pub(crate) struct Counters {
    entries: IntCounterVec,
    errors: IntCounterVec,
    last_success: IntGaugeVec,
    /// Which labels there are.
    shown: Mutex<BTreeSet<MirrorId>>,
}

impl Counters {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let opts = Opts::new;
        Ok(Self {
            entries: IntCounterVec::new(
                opts("hapi_mirror_entries_total", "Entries of other registries, by what came of them."),
                &["source", "outcome"],
            )?,
            errors: IntCounterVec::new(
                opts(
                    "hapi_mirror_errors_total",
                    "Passes through other registries that did not come to their end.",
                ),
                &["source"],
            )?,
            last_success: IntGaugeVec::new(
                opts(
                    "hapi_mirror_last_success_timestamp_seconds",
                    "When this node last followed another registry to the end, or began to follow it.",
                ),
                &["source"],
            )?,
            shown: Mutex::default(),
        })
    }

    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.entries.clone()),
            Box::new(self.errors.clone()),
            Box::new(self.last_success.clone()),
        ]
    }

    /// This node follows `source` from now on. A leader that never succeeds must not look as if nobody tried.
    pub(crate) fn begin(&self, source: &MirrorId, now: Timestamp) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(source.clone());
        for outcome in OUTCOMES {
            self.entries.with_label_values(&[source.as_str(), outcome]);
        }
        self.errors.with_label_values(&[source.as_str()]);
        self.succeeded(source, now);
    }

    pub(crate) fn succeeded(&self, source: &MirrorId, now: Timestamp) {
        let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
        self.last_success.with_label_values(&[source.as_str()]).set(seconds);
    }

    pub(crate) fn failed(&self, source: &MirrorId) {
        self.errors.with_label_values(&[source.as_str()]).inc();
    }

    pub(crate) fn count(&self, source: &MirrorId, outcome: &'static str) {
        debug_assert!(OUTCOMES.contains(&outcome), "{outcome} is not there from the start");
        self.entries.with_label_values(&[source.as_str(), outcome]).inc();
    }

    /// Takes out what nobody follows any more: its last success would look older and older.
    pub(crate) fn keep_only(&self, sources: &BTreeSet<MirrorId>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.extract_if(.., |source| !sources.contains(source)) {
            // What is not there need not be taken out.
            for outcome in OUTCOMES {
                let _ = self.entries.remove_label_values(&[gone.as_str(), outcome]);
            }
            let _ = self.errors.remove_label_values(&[gone.as_str()]);
            let _ = self.last_success.remove_label_values(&[gone.as_str()]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn samples(counters: &Counters) -> usize {
        counters.collectors().iter().flat_map(|it| it.collect()).map(|family| family.get_metric().len()).sum()
    }

    #[test]
    fn a_source_is_shown_from_its_beginning_to_its_removal() {
        let (counters, one, two) = (Counters::new().unwrap(), "one".parse().unwrap(), "two".parse().unwrap());
        counters.begin(&one, Timestamp::from_seconds(7));
        counters.begin(&two, Timestamp::from_seconds(8));
        counters.count(&one, "added");
        assert_eq!(samples(&counters), 2 * (OUTCOMES.len() + 2));
        counters.keep_only(&[two].into());
        assert_eq!(samples(&counters), OUTCOMES.len() + 2);
    }
}
