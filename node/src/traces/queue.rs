//! Spans that wait for the collector: a bounded number of them, and nobody waits with them.

use super::collector::Collector;
use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter as _, SpanProcessor},
};
use prometheus::IntCounterVec;
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// Spans that wait at most; further ones are dropped, and counted.
const QUEUE: usize = 4_096;

/// Spans that are sent together at most.
const BATCH: usize = 512;

/// Rest after a batch that was not full, so that the next spans go together.
const REST: Duration = Duration::from_secs(1);

/// Puts spans that have ended into the queue.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: mpsc::Sender<SpanData>,
    spans: IntCounterVec,
}

impl Queue {
    pub(super) fn new(spans: &IntCounterVec) -> (Self, mpsc::Receiver<SpanData>) {
        let (waiting, waited_for) = mpsc::channel(QUEUE);
        (Self { waiting, spans: spans.clone() }, waited_for)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.waiting.try_send(span).is_err() {
            self.spans.with_label_values(&["dropped"]).inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// Whoever started the delivery also ends it.
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Takes spans out of the queue, and to the collector.
pub(super) struct Delivery {
    exporter: SpanExporter,
    collector: Collector,
    endpoint: String,
    spans: IntCounterVec,
    fails: bool,
}

impl Delivery {
    pub(super) fn new(
        mut exporter: SpanExporter,
        resource: &Resource,
        collector: Collector,
        endpoint: String,
        spans: &IntCounterVec,
    ) -> Self {
        exporter.set_resource(resource);
        Self { exporter, collector, endpoint, spans: spans.clone(), fails: false }
    }

    /// Sends until it is told to stop, and then what is left.
    pub(super) async fn run(
        mut self,
        mut spans: mpsc::Receiver<SpanData>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut batch = Vec::new();
        loop {
            let count = tokio::select! {
                count = spans.recv_many(&mut batch, BATCH) => count,
                _ = stopped.wait_for(|stopped| *stopped), if !spans.is_closed() => {
                    spans.close();
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            self.send(std::mem::take(&mut batch)).await;
            if count < BATCH {
                let _ = timeout(REST, stopped.wait_for(|stopped| *stopped)).await;
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        let result = if sent.is_ok() { "sent" } else { "failed" };
        self.spans.with_label_values(&[result]).inc_by(count);
        // Once when it begins, once when it is over: a collector that is gone must not fill the log as well.
        match sent {
            Err(error) if !self.fails => {
                let reason = self.collector.fault().unwrap_or_else(|| error.to_string());
                tracing::warn!(
                    endpoint = self.endpoint,
                    reason,
                    "the collector takes no spans: they are lost"
                );
            }
            Ok(()) if self.fails => {
                tracing::info!(endpoint = self.endpoint, "the collector takes spans again")
            }
            _ => {}
        }
        self.fails = result == "failed";
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::metrics::Metrics;
    use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    fn provider(sampler: Sampler) -> (SdkTracerProvider, mpsc::Receiver<SpanData>, IntCounterVec) {
        let counter = Metrics::new().unwrap().spans().clone();
        let (queue, waiting) = Queue::new(&counter);
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(queue).build();
        (provider, waiting, counter)
    }

    #[test]
    fn a_full_queue_drops_spans_and_counts_them() {
        let (provider, waiting, counter) = provider(Sampler::AlwaysOn);
        let tracer = provider.tracer("test");
        for _ in 0..QUEUE + 10 {
            tracer.start("a span").end();
        }
        assert_eq!((waiting.len(), counter.with_label_values(&["dropped"]).get()), (QUEUE, 10));
    }

    #[test]
    fn what_is_not_sampled_does_not_wait() {
        let (provider, waiting, _) = provider(Sampler::AlwaysOff);
        provider.tracer("test").start("a span").end();
        assert_eq!(waiting.len(), 0);
    }
}
