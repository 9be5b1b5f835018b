//! What `/metrics` shows of this process; no label has unbounded values.

use crate::{clock_source::ClockSource, publisher_auth::Method as ProofMethod};
use axum::http::{Method, StatusCode};
use hapi_registry_state::Timestamp;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, process_collector::ProcessCollector,
};
use std::time::Duration;

/// From 10 µs to 10 s: a connect takes well below a millisecond, a write under load may take seconds.
const SECONDS: [f64; 19] = [
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A connect that takes longer has waited for something.
const LATE: Duration = Duration::from_secs(1);

/// What a connect may be answered with. All of them are there from the start, so that a rate over the first
/// of a kind is not lost.
const DECISIONS: [&str; 18] = [
    "ok",
    "unauthenticated",
    "forbidden",
    "policy_blocked",
    "server_not_found",
    "version_not_found",
    "server_revoked",
    "server_unverified",
    "server_unavailable",
    "transport_not_supported",
    "variable_required",
    "invalid_request",
    "payload_too_large",
    "timeout",
    "rate_limited",
    "no_serving_lease",
    "issuance_log_unavailable",
    "identity_provider_unavailable",
];

/// What a publisher's proof may come to.
const PROOFS: [&str; 6] = ["granted", "refused", "malformed", "unavailable", "rate_limited", "disabled"];

/// The counters of the public API; those of replication join the same registry.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    decisions: IntCounterVec,
    handovers: IntCounterVec,
    waits: IntCounterVec,
    late: IntCounter,
    backups: IntCounterVec,
    last_backup: IntGauge,
    spans: IntCounterVec,
    clock_trusted: IntGaugeVec,
    reloads: IntCounterVec,
    publisher_auth: IntCounterVec,
    identity_tokens: IntCounterVec,
    certificates: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counted = |name, help, label, values: &[&str]| counter(&registry, name, help, label, values);
        let decisions = counted(
            "hapi_connect_decisions_total",
            "Connect decisions by code; `ok` is a descriptor.",
            "code",
            &DECISIONS,
        )?;
        let handovers = counted(
            "hapi_handovers_total",
            "Connects handed to the leader for want of a lease.",
            "result",
            &["answered", "no_leader", "refused", "failed"],
        )?;
        let waits = counted(
            "hapi_connect_waits_total",
            "Connects that waited for a lease or a leader.",
            "result",
            &["lease", "leader", "timeout"],
        )?;
        let backups =
            counted("hapi_backups_total", "Backups taken from this node.", "result", &["done", "failed"])?;
        let spans = counted(
            "hapi_trace_spans_total",
            "Spans of traces, by what became of them.",
            "result",
            &["sent", "failed", "dropped"],
        )?;
        let reloads = counted(
            "hapi_secret_reloads_total",
            "How often the cluster secret was read again, by what came of it.",
            "result",
            &["exchanged", "unchanged", "refused"],
        )?;
        let publisher_auth = publisher_auth(&registry)?;
        let identity_tokens = counted(
            "hapi_identity_tokens_total",
            "Tokens of identity providers, by what came of them.",
            "outcome",
            &["granted", "refused", "unavailable"],
        )?;
        let certificates = counted(
            "hapi_client_certificates_total",
            "Requests that show a certificate and no token, by whether it is a client's.",
            "outcome",
            &["granted", "unknown"],
        )?;
        let (requests, seconds) = requests(&registry)?;
        let (late, last_backup, clock_trusted) = single(&registry)?;
        registry.register(Box::new(build_info()?))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            registry,
            requests,
            seconds,
            decisions,
            handovers,
            waits,
            late,
            backups,
            last_backup,
            spans,
            clock_trusted,
            reloads,
            publisher_auth,
            identity_tokens,
            certificates,
        })
    }

    /// Where other parts of the process register theirs.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn backup_done(&self, at: Timestamp) {
        self.backups.with_label_values(&["done"]).inc();
        self.last_backup.set(i64::try_from(at.seconds()).unwrap_or(i64::MAX));
    }

    pub(crate) fn backup_failed(&self) {
        self.backups.with_label_values(&["failed"]).inc();
    }

    pub(crate) fn request(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        self.requests.with_label_values(&[known(method), route, status.as_str()]).inc();
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    pub(crate) fn decision(&self, code: &str) {
        debug_assert!(DECISIONS.contains(&code), "{code} is not there from the start");
        self.decisions.with_label_values(&[code]).inc();
    }

    /// How many connects were answered with a descriptor, and how many otherwise.
    pub(crate) fn decided(&self) -> (u64, u64) {
        let counted = |code: &str| self.decisions.with_label_values(&[code]).get();
        let all: u64 = DECISIONS.iter().map(|code| counted(code)).sum();
        let issued = counted("ok");
        (issued, all.saturating_sub(issued))
    }

    pub(crate) fn handover(&self, result: &str) {
        self.handovers.with_label_values(&[result]).inc();
    }

    /// What came of reading the cluster secret again.
    pub(crate) fn reloaded(&self, result: &str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// What came of a publisher's proof.
    pub(crate) fn publisher_auth(&self, method: ProofMethod, outcome: &str) {
        debug_assert!(PROOFS.contains(&outcome), "{outcome} is not there from the start");
        self.publisher_auth.with_label_values(&[method.as_str(), outcome]).inc();
    }

    /// What came of a token of an identity provider.
    pub(crate) fn identity_token(&self, outcome: &str) {
        self.identity_tokens.with_label_values(&[outcome]).inc();
    }

    /// Whether a certificate that was shown instead of a token is a client's.
    pub(crate) fn certificate(&self, outcome: &str) {
        self.certificates.with_label_values(&[outcome]).inc();
    }

    /// What a connect waited for, if it waited.
    pub(crate) fn waited(&self, result: Option<&str>) {
        if let Some(result) = result {
            self.waits.with_label_values(&[result]).inc();
        }
    }

    /// How long a connect took.
    pub(crate) fn connected(&self, took: Duration) {
        if took > LATE {
            self.late.inc();
        }
    }

    /// What the machine's clock is made from, and whether leases rest on it.
    pub(crate) fn clock(&self, source: &ClockSource) {
        // The kernel may have changed it: the one before must not stay.
        self.clock_trusted.reset();
        self.clock_trusted.with_label_values(&[&source.name]).set(i64::from(source.trusted));
    }

    /// Counts spans by what became of them: `sent`, `failed` or `dropped`.
    pub(crate) fn spans(&self) -> &IntCounterVec {
        &self.spans
    }

    pub(crate) fn render(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A counter with one label, whose values are all there from the start: a rate over the first of a kind is not lost.
fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
    values: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
    for value in values {
        counter.with_label_values(&[value]);
    }
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

/// Proofs of publishers by their method and what came of them, all of them there from the start.
fn publisher_auth(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let help = "Proofs of publishers, by what came of them; `granted` is a token.";
    let counter = IntCounterVec::new(Opts::new("hapi_publisher_auth_total", help), &["method", "outcome"])?;
    for method in ProofMethod::ALL {
        PROOFS.iter().for_each(|outcome| drop(counter.with_label_values(&[method.as_str(), outcome])));
    }
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

/// How many requests there were, and how long they took.
fn requests(registry: &Registry) -> prometheus::Result<(IntCounterVec, HistogramVec)> {
    let labels = ["method", "route", "status"];
    let requests =
        IntCounterVec::new(Opts::new("hapi_http_requests_total", "Requests to the public API."), &labels)?;
    let seconds = HistogramOpts::new("hapi_http_request_seconds", "Time to answer a request.");
    let seconds = HistogramVec::new(seconds.buckets(SECONDS.into()), &["route"])?;
    registry.register(Box::new(requests.clone()))?;
    registry.register(Box::new(seconds.clone()))?;
    Ok((requests, seconds))
}

/// Late connects, the last backup, and whether the clock is trusted.
fn single(registry: &Registry) -> prometheus::Result<(IntCounter, IntGauge, IntGaugeVec)> {
    let late = IntCounter::new("hapi_connect_late_total", "Connects answered later than after 1 s.")?;
    let last_backup = IntGauge::new(
        "hapi_backup_last_timestamp_seconds",
        "When the last backup was taken from this node since it started.",
    )?;
    let trusted = "1 if leases rest on this machine's clock, 0 for strict mode instead.";
    let clock_trusted = IntGaugeVec::new(Opts::new("hapi_clock_trusted", trusted), &["source"])?;
    registry.register(Box::new(late.clone()))?;
    registry.register(Box::new(last_backup.clone()))?;
    registry.register(Box::new(clock_trusted.clone()))?;
    Ok((late, last_backup, clock_trusted))
}

/// Always 1: what it says stands in its labels.
fn build_info() -> prometheus::Result<IntGaugeVec> {
    let opts = Opts::new("hapi_build_info", "Which build this is.");
    let info = IntGaugeVec::new(opts, &["version", "commit"])?;
    let commit = option_env!("HAPI_GIT_COMMIT").unwrap_or("unknown");
    info.with_label_values(&[env!("CARGO_PKG_VERSION"), commit]).set(1);
    Ok(info)
}

/// A client may invent methods; the label must not.
pub(crate) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}
