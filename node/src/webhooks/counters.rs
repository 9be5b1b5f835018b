//! What `/metrics` shows of webhooks. The label is an operator's own word, of which there are few.

use hapi_registry_state::{Timestamp, WebhookId};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, core::Collector};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// What may come of a try; both are there from the start of a webhook.
const OUTCOMES: [&str; 2] = ["delivered", "failed"];

pub(super) struct Counters {
    deliveries: IntCounterVec,
    waiting: IntGaugeVec,
    /// Which labels there are.
    shown: Mutex<BTreeSet<WebhookId>>,
}

impl Counters {
    pub(super) fn new() -> prometheus::Result<Self> {
        let deliveries = "Tries to tell a webhook of an event, by what came of them.";
        let waiting = "When what a webhook is to be told next was done; 0 if it was told everything.";
        Ok(Self {
            deliveries: IntCounterVec::new(
                Opts::new("hapi_webhook_deliveries_total", deliveries),
                &["webhook", "outcome"],
            )?,
            waiting: IntGaugeVec::new(
                Opts::new("hapi_webhook_waiting_since_timestamp_seconds", waiting),
                &["webhook"],
            )?,
            shown: Mutex::default(),
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.deliveries.clone()), Box::new(self.waiting.clone())]
    }

    /// This node tells `webhook` from now on.
    pub(super) fn begin(&self, webhook: &WebhookId) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(webhook.clone());
        for outcome in OUTCOMES {
            self.deliveries.with_label_values(&[webhook.as_str(), outcome]);
        }
        self.waiting(webhook, None);
    }

    pub(super) fn delivered(&self, webhook: &WebhookId) {
        self.deliveries.with_label_values(&[webhook.as_str(), "delivered"]).inc();
    }

    pub(super) fn failed(&self, webhook: &WebhookId) {
        self.deliveries.with_label_values(&[webhook.as_str(), "failed"]).inc();
    }

    /// When the event was made that is to be told next, if there is one.
    pub(super) fn waiting(&self, webhook: &WebhookId, since: Option<Timestamp>) {
        let seconds = since.map_or(0, |at| i64::try_from(at.seconds()).unwrap_or(i64::MAX));
        self.waiting.with_label_values(&[webhook.as_str()]).set(seconds);
    }

    /// Takes out what this node tells no more: it would seem to wait longer and longer.
    pub(super) fn keep_only(&self, webhooks: &BTreeSet<WebhookId>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.extract_if(.., |webhook| !webhooks.contains(webhook)) {
            // What is not there need not be taken out.
            for outcome in OUTCOMES {
                let _ = self.deliveries.remove_label_values(&[gone.as_str(), outcome]);
            }
            let _ = self.waiting.remove_label_values(&[gone.as_str()]);
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
    fn a_webhook_is_shown_from_its_beginning_to_its_end() {
        let (counters, one, two) = (Counters::new().unwrap(), "one".parse().unwrap(), "two".parse().unwrap());
        counters.begin(&one);
        counters.begin(&two);
        counters.delivered(&one);
        counters.waiting(&one, Some(Timestamp::from_seconds(7)));
        assert_eq!(samples(&counters), 6);
        counters.keep_only(&[two].into());
        assert_eq!(samples(&counters), 3);
    }
}
