//! One trace over a client's request and the nodes that it is forwarded to, as an OTLP collector gets to see
//! it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use hapi_cluster_tests::{
    Answer, Cluster, Door, Metrics, Options, document, free_port, publish_all, wait_until,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as AnyValue},
    trace::v1::{Span as WireSpan, span::SpanKind},
};
use prost::Message;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

const SERVER: &str = "ai.acme/a";
const CLIENT_SPAN: &str = "00f067aa0ba902b7";

/// A span as it came, with the node that sent it.
#[derive(Clone, Debug)]
struct Span {
    node: String,
    span: WireSpan,
}

impl Span {
    fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    fn attribute(&self, key: &str) -> String {
        text_of(&self.span.attributes, key)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text_of(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(AnyValue::StringValue(text)) => text,
        Some(AnyValue::IntValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?} in {attributes:?}"),
    }
}

/// An OTLP collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    bodies: Vec<u8>,
    credentials: BTreeSet<String>,
}

impl Collector {
    /// Opens one; yields its base URL.
    async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn spans(&self, trace: &str) -> Vec<Span> {
        let kept = self.0.lock().unwrap();
        kept.spans.iter().filter(|span| hex(&span.span.trace_id) == trace).cloned().collect()
    }

    /// Waits until it has so many spans of `trace`, and checks that no more come with them.
    async fn wait_for(&self, trace: &str, count: usize) -> Vec<Span> {
        wait_until(&format!("the collector has {count} spans of {trace}"), async || {
            Some(self.spans(trace)).filter(|spans| spans.len() >= count)
        })
        .await
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let mut kept = collector.0.lock().unwrap();
    kept.bodies.extend_from_slice(&body);
    kept.credentials.extend(headers.get("x-key").map(|key| key.to_str().unwrap().to_owned()));
    for resource in request.resource_spans {
        let facts = resource.resource.unwrap().attributes;
        assert_eq!(text_of(&facts, "service.name"), "hapi-registry");
        let node = text_of(&facts, "service.instance.id");
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        kept.spans.extend(spans.map(|span| Span { node: node.clone(), span }));
    }
}

fn exporting(url: &str) -> Options {
    Options::default().set("HAPI_LOG_OTLP_ENDPOINT", url).set("HAPI_LOG_OTLP_SAMPLE_RATIO", "0")
}

fn traced(request: RequestBuilder, trace: &str) -> RequestBuilder {
    request.header("traceparent", format!("00-{trace}-{CLIENT_SPAN}-01"))
}

async fn post_traced(door: &Door, path: &str, body: &Value, trace: &str) -> Answer {
    door.try_send(traced(door.request(Method::POST, path).json(body), trace)).await.unwrap()
}

/// A trace id that no other test has.
fn new_trace() -> String {
    hex(&rand::random::<[u8; 16]>())
}

fn one<'a>(spans: &'a [Span], name: &str, kind: SpanKind) -> &'a Span {
    let found: Vec<_> =
        spans.iter().filter(|span| span.span.name == name && span.span.kind == kind as i32).collect();
    assert_eq!(found.len(), 1, "{name} {kind:?} among {spans:#?}");
    found[0]
}

/// Checks that a request to the node `from` was forwarded as `route` to the node `to`, all in one trace, and
/// yields the span there.
async fn assert_forwarded<'a>(
    cluster: &Cluster,
    spans: &'a [Span],
    path: [usize; 2],
    route: &str,
) -> &'a Span {
    let [from, to] = path;
    let (from, to) = (cluster.id(from).await, cluster.id(to).await);
    let peer = format!("peer/{route}");
    let asked = one(spans, &peer, SpanKind::Client);
    let answered = one(spans, &peer, SpanKind::Server);
    assert_eq!((&asked.node, &answered.node), (&from, &to), "{spans:#?}");
    assert!(asked.attribute("hapi.peer").contains(&to) && answered.attribute("hapi.peer").contains(&from));
    assert_eq!(answered.parent(), asked.id(), "the leader's span is below that of the question");
    answered
}

#[tokio::test]
async fn a_clients_trace_goes_through_a_forwarded_publish_its_seal_and_a_handed_over_connect() {
    let collector = Collector::default();
    let url = collector.open().await;
    let options = exporting(&url).set("OTEL_EXPORTER_OTLP_HEADERS", "x-key=let-me-in");
    let mut cluster = Cluster::start_with(3, options).await;
    cluster.transfer(0).await;
    cluster.wait_leases(&[0, 1, 2]).await;
    let trace = new_trace();
    post_traced(&cluster.publisher(1), "/v0/publish", &document(SERVER, "1.0.0"), &trace).await.ok();
    let spans = collector.wait_for(&trace, 4).await;
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let request = one(&spans, "POST /v0/publish", SpanKind::Server);
    assert_eq!(request.parent(), CLIENT_SPAN);
    assert_eq!(request.attribute("http.route"), "/v0/publish");
    assert_eq!(request.attribute("http.response.status_code"), "200");
    let answered = assert_forwarded(&cluster, &spans, [1, 0], "propose").await;
    assert_eq!(one(&spans, "peer/propose", SpanKind::Client).parent(), request.id());
    let commit = one(&spans, "commit", SpanKind::Internal);
    assert_eq!((commit.parent(), &commit.node), (answered.id(), &answered.node));
    assert!(commit.attribute("hapi.index").parse::<u64>().unwrap() > 0);

    let trace = new_trace();
    let act = json!({ "act": "suspend", "subject": { "kind": "server", "id": SERVER }, "reason": "a test" });
    post_traced(&cluster.moderator(1), "/v1/moderation", &act, &trace).await.ok();
    let spans = collector.wait_for(&trace, 7).await;
    let answered = assert_forwarded(&cluster, &spans, [1, 0], "seal").await;
    assert_eq!(one(&spans, "seal", SpanKind::Internal).parent(), answered.id());
    cluster.moderator(0).moderate("reinstate", "server", SERVER).await.ok();

    // A node that has just joined may not sign for a minute: its key is not known everywhere.
    let newcomer = cluster.grow();
    cluster.wait_ready().await;
    let trace = new_trace();
    let ask = json!({ "server_ref": SERVER });
    let connected = post_traced(&cluster.client(newcomer), "/v1/connect", &ask, &trace).await.ok();
    let spans = collector.wait_for(&trace, 3).await;
    let request = one(&spans, "POST /v1/connect", SpanKind::Server);
    assert_eq!(request.parent(), CLIENT_SPAN);
    assert_forwarded(&cluster, &spans, [newcomer, 0], "handover").await;
    assert_secretless(&collector, &cluster, &[connected["descriptor"].as_str().unwrap()]);
    assert_eq!(collector.0.lock().unwrap().credentials, BTreeSet::from(["let-me-in".to_owned()]));
}

fn assert_secretless(collector: &Collector, cluster: &Cluster, more: &[&str]) {
    let kept = collector.0.lock().unwrap();
    let text = String::from_utf8_lossy(&kept.bodies);
    let secret = std::fs::read_to_string(cluster.secret()).unwrap();
    let tokens = [cluster.client_token(), cluster.operator_token(), secret.trim()];
    for secret in tokens.iter().chain(more) {
        assert!(!text.contains(secret), "a span holds {secret}");
    }
    assert!(!text.contains("hapi_") && !text.contains(SERVER), "spans hold no text of callers");
}

#[tokio::test]
async fn who_samples_nothing_sends_nothing_and_who_samples_all_begins_traces() {
    let collector = Collector::default();
    let url = collector.open().await;
    let options = Options::default().set("HAPI_LOG_OTLP_ENDPOINT", &format!("{url}/"));
    let cluster = Cluster::start_with(1, options.set("HAPI_LOG_OTLP_SAMPLE_RATIO", "1")).await;
    let door = cluster.client(0);
    // Not sampled by its sender, and so not by a node.
    let unsampled = new_trace();
    let request = door.request(Method::GET, "/v0/servers");
    let parent = format!("00-{unsampled}-{CLIENT_SPAN}-00");
    door.try_send(request.header("traceparent", parent)).await.unwrap().ok();
    // Malformed, and so ignored: the request begins a trace of its own.
    for malformed in [format!("00-{}-{CLIENT_SPAN}-01", "0".repeat(32)), "nonsense".into()] {
        let request = door.request(Method::GET, "/v0/version").header("traceparent", malformed);
        door.try_send(request).await.unwrap().ok();
    }
    door.get("/metrics").await;
    door.get("/openapi.json").await.ok();
    let all = wait_until("the last request's span is there", async || {
        let spans = collector.0.lock().unwrap().spans.clone();
        spans.iter().any(|span| span.span.name == "GET /openapi.json").then_some(spans)
    })
    .await;
    let named = |name: &str| all.iter().filter(|span| span.span.name == name).collect::<Vec<_>>();
    assert!(collector.spans(&unsampled).is_empty() && named("GET /v0/servers").is_empty(), "{all:#?}");
    let begun = named("GET /v0/version");
    assert_eq!(begun.len(), 2, "{all:#?}");
    assert!(begun.iter().all(|span| span.parent().is_empty()), "{begun:#?}");
    assert_ne!(begun[0].span.trace_id, begun[1].span.trace_id);
    assert!(named("GET /metrics").is_empty() && named("GET /readyz").is_empty(), "probes begin no trace");
}

#[tokio::test]
async fn without_an_exporter_a_trace_is_passed_on_all_the_same() {
    let collector = Collector::default();
    let url = collector.open().await;
    let mut cluster = Cluster::start(3).await;
    cluster.transfer(0).await;
    // Only the leader exports: what it knows of the trace came through a node that does not.
    cluster.set("HAPI_LOG_OTLP_ENDPOINT", &url);
    cluster.stop(0);
    cluster.restart(0);
    cluster.transfer(0).await;
    let trace = new_trace();
    post_traced(&cluster.publisher(1), "/v0/publish", &document(SERVER, "1.0.0"), &trace).await.ok();
    let spans = collector.wait_for(&trace, 2).await;
    let answered = one(&spans, "peer/propose", SpanKind::Server);
    assert_eq!(answered.parent(), CLIENT_SPAN, "{spans:#?}");
    assert_eq!(answered.node, cluster.id(0).await);
    assert_eq!(spans.len(), 2, "{spans:#?}");
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_one_warning_and_nothing_else() {
    let dead = format!("http://127.0.0.1:{}", free_port());
    let cluster = Cluster::start_with(3, exporting(&dead)).await;
    cluster.wait_leases(&[0, 1, 2]).await;
    publish_all(&cluster.publisher(1), &[document(SERVER, "1.0.0")]).await;
    let trace = new_trace();
    for _ in 0..3 {
        let failed = spans(&cluster, "failed").await;
        for _ in 0..20 {
            let ask = json!({ "server_ref": SERVER });
            post_traced(&cluster.client(0), "/v1/connect", &ask, &trace).await.ok();
        }
        wait_until("another batch is lost", async || {
            (spans(&cluster, "failed").await > failed).then_some(())
        })
        .await;
    }
    assert_eq!(spans(&cluster, "sent").await, 0.0);
    let lines = cluster.log_lines(0);
    let warnings: Vec<_> =
        lines.iter().filter(|line| line.contains("the collector takes no spans")).collect();
    assert_eq!(warnings.len(), 1, "{lines:#?}");
    assert!(warnings[0].contains(&format!("{dead}/v1/traces")) && warnings[0].contains("Connection refused"));
    cluster.assert_same_state().await;
}

async fn spans(cluster: &Cluster, result: &str) -> f64 {
    Metrics::of(&cluster.node(0).door()).await.sum("hapi_trace_spans_total", &[("result", result)])
}
