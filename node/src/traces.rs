//! The spans of this node's own requests, and where all spans of this process go: to an OTLP collector, if
//! the settings name one. Without one no span is made, and a request costs one look for a header.

mod collector;
mod queue;

use crate::{
    config::Log,
    metrics::{Metrics, known},
};
use axum::{
    http::{HeaderMap, Method},
    response::Response,
};
use collector::Collector;
use hapi_raft::trace;
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt,
    global,
    trace::{SpanKind, Status, TraceContextExt},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use queue::{Delivery, Queue};
use std::{future::Future, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// How long one batch may take, with all its tries.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a node that stops goes on sending what it has.
const LAST_BATCHES: Duration = Duration::from_secs(2);

/// What is asked every few seconds begins no trace: it would be most of what is sampled.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Why spans cannot be exported. None of it is about the collector, which may come and go.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TracesError {
    #[error("an HTTP client for log.otlp_endpoint cannot be made: {0}")]
    Client(#[from] collector::ClientError),
    #[error("spans cannot be exported to log.otlp_endpoint: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// The export of spans, while it goes on.
pub(crate) struct Traces {
    stop: watch::Sender<bool>,
    sending: JoinHandle<()>,
}

impl Traces {
    /// From now on the spans of this process go to the collector that `log` names, if it names one.
    pub(crate) fn start(log: &Log, node: &str, metrics: &Metrics) -> Result<Option<Self>, TracesError> {
        let Some(base) = &log.otlp_endpoint else { return Ok(None) };
        let endpoint = format!("{}/v1/traces", base.trim_end_matches('/'));
        let collector = Collector::new(EXPORT_TIMEOUT)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector.clone())
            .with_endpoint(&endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let resource = resource(node);
        let delivery = Delivery::new(exporter, &resource, collector, endpoint, metrics.spans());
        let (queue, spans) = Queue::new(metrics.spans());
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(log.otlp_sample_ratio))))
            .with_resource(resource)
            .with_span_processor(queue)
            .build();
        global::set_tracer_provider(provider);
        let (stop, stopped) = watch::channel(false);
        Ok(Some(Self { stop, sending: tokio::spawn(delivery.run(spans, stopped)) }))
    }

    /// Sends what is left, as far as the collector takes it soon.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        if timeout(LAST_BATCHES, self.sending).await.is_err() {
            tracing::warn!("the last spans were not sent in time");
        }
    }
}

/// Who sends the spans; the same for all of them.
fn resource(node: &str) -> Resource {
    let facts = [
        KeyValue::new("service.name", "hapi-registry"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", node.to_owned()),
    ];
    Resource::builder_empty().with_attributes(facts).build()
}

/// The span of a request, below that of its sender; without a sender's, and if spans are `exported`, the
/// first of a trace that may be sampled. `None` if neither is so.
pub(crate) fn of_request(
    exported: bool,
    method: &Method,
    route: &str,
    headers: &HeaderMap,
) -> Option<Context> {
    let parent = trace::parent(headers);
    if parent.is_none() && (!exported || PROBES.contains(&route)) {
        return None;
    }
    let method = known(method);
    let attributes =
        vec![KeyValue::new("http.request.method", method), KeyValue::new("http.route", route.to_owned())];
    Some(trace::start(&parent.unwrap_or_default(), format!("{method} {route}"), SpanKind::Server, attributes))
}

/// Answers within `span`, and notes the status.
pub(crate) async fn follow(span: Context, answer: impl Future<Output = Response>) -> Response {
    let response = answer.with_context(span.clone()).await;
    let status = response.status();
    let span = span.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
    response
}
