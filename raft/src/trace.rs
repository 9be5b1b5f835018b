//! Traces that pass through a node: W3C Trace Context in and out, and the spans of the peer plane.
//!
//! A trace is ambient (OpenTelemetry's [`Context`]): else every signature between a request and the node that
//! it is forwarded to would have to carry it. Between nodes it travels as the same header as between a client
//! and a node, beside the message and never in it, so that a node of another version does without. Where no
//! spans are exported, none is made, and a client's `traceparent` is passed on as it came.
//!
//! Spans hold names of routes, ids of nodes, places in the log and statuses: nothing that a caller wrote.

use crate::{
    certificate::{Peer, Subject},
    peer::route::Route,
};
use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, HeaderValue, header::GetAll, request::Parts};
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt,
    global,
    trace::{
        SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    },
};
use std::{borrow::Cow, convert::Infallible, future::Future};

/// Which span a request is a part of.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What tracing systems that a request has passed want to find again.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// So much of it is passed on, which is as much as W3C asks for. What is longer is dropped as a whole:
/// headers of strangers must not make a forwarded request too large.
const STATE_BYTES: usize = 512;

/// The name of this instrumentation in all spans.
const SCOPE: &str = "hapi-registry";

/// The span that the sender of a request calls its own. `None` if it names none, or more than one, or not in
/// the form of W3C: that is ignored, and no reason to refuse anything.
pub fn parent(headers: &HeaderMap) -> Option<Context> {
    let mut named = headers.get_all(&TRACEPARENT).iter();
    let (Some(one), None) = (named.next(), named.next()) else { return None };
    let (trace, span, flags) = parse(one.to_str().ok()?)?;
    let state = state(headers.get_all(&TRACESTATE));
    let parent = SpanContext::new(trace, span, flags, true, state);
    parent.is_valid().then(|| Context::new().with_remote_span_context(parent))
}

/// `version-trace-span-flags`, in lower-case hexadecimal digits.
fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut fields = text.split('-');
    let version = number(fields.next()?, 2)?;
    let trace = number(fields.next()?, 32)?;
    let span = number(fields.next()?, 16)?;
    let flags = number(fields.next()?, 2)?;
    // Later versions may say more after the flags; the first one does not.
    if version == 0xff || (version == 0 && fields.next().is_some()) {
        return None;
    }
    let sampled = flags & u128::from(TraceFlags::SAMPLED.to_u8()) != 0;
    let flags = TraceFlags::NOT_SAMPLED.with_sampled(sampled);
    Some((TraceId::from_bytes(trace.to_be_bytes()), SpanId::from_bytes(low_half(span)), flags))
}

/// A number of exactly so many digits, without sign or upper case.
fn number(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let well_formed = text.len() == digits && text.bytes().all(is_digit);
    well_formed.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

fn low_half(number: u128) -> [u8; 8] {
    let [.., a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

fn state(values: GetAll<'_, HeaderValue>) -> TraceState {
    let texts: Option<Vec<_>> = values.iter().map(|value| value.to_str().ok()).collect();
    let text = texts.unwrap_or_default().join(",");
    if text.len() > STATE_BYTES {
        return TraceState::NONE;
    }
    // A state that is not well-formed does not spoil the parent.
    text.parse().unwrap_or(TraceState::NONE)
}

/// Writes the current span into the headers of a request, if there is one.
pub(crate) fn write(headers: &mut HeaderMap) {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return;
        }
        let parent = format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8());
        headers.extend(HeaderValue::try_from(parent).ok().map(|value| (TRACEPARENT, value)));
        let state = span.trace_state().header();
        if !state.is_empty() {
            headers.extend(HeaderValue::try_from(state).ok().map(|value| (TRACESTATE, value)));
        }
    });
}

/// A span below `parent`, or the first of a new trace if that is empty, to be made the current one.
pub fn start(
    parent: &Context,
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
) -> Context {
    let tracer = global::tracer(SCOPE);
    let span = tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
    parent.with_span(span.start_with_context(&tracer, parent))
}

/// Takes the current trace along to where `future` will run.
pub(crate) fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.with_current_context()
}

/// Runs a step of what this node does for a request as a span of its own, if the request is part of a trace.
pub(crate) async fn step<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    match below_current(|parent| start(parent, name, SpanKind::Internal, Vec::new())) {
        Some(span) => work.with_context(span).await,
        None => work.await,
    }
}

/// Notes something about the current step.
pub(crate) fn note(key: &'static str, value: u64) {
    Context::map_current(|context| {
        let span = context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX)));
        }
    });
}

/// Asks the node `other`, within a span of the asking side.
pub(crate) async fn asking<T, E>(
    route: Route,
    other: u64,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match below_current(|parent| peer_span(parent, route, SpanKind::Client, &Subject::Node(other))) {
        Some(span) => within(span, question).await,
        None => question.await,
    }
}

/// Answers a question of `caller` that came with `parent`, within a span of the answering side.
pub(crate) async fn answering<T, E>(
    route: Route,
    caller: &Peer,
    Incoming(parent): Incoming,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match parent {
        Some(parent) => within(peer_span(&parent, route, SpanKind::Server, &caller.subject), answer).await,
        None => answer.await,
    }
}

/// What went wrong is not written down here: errors may quote what they could not read. The log has them.
async fn within<T, E>(span: Context, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let done = work.with_context(span.clone()).await;
    if done.is_err() {
        span.span().set_status(Status::error(""));
    }
    done
}

fn peer_span(parent: &Context, route: Route, kind: SpanKind, other: &Subject) -> Context {
    let attributes =
        vec![KeyValue::new("rpc.method", route.name()), KeyValue::new("hapi.peer", other.to_string())];
    start(parent, format!("peer{}", route.path()), kind, attributes)
}

fn below_current(span: impl FnOnce(&Context) -> Context) -> Option<Context> {
    let is_traced = |context: &Context| context.span().span_context().is_valid();
    let parent = Context::map_current(|context| is_traced(context).then(|| context.clone()))?;
    Some(span(&parent))
}

/// The trace that a message is part of, if it is.
pub(crate) struct Incoming(Option<Context>);

impl<S: Sync> FromRequestParts<S> for Incoming {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parent(&parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    /// What is sent on by a node that received `pairs`.
    fn passed_on(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut sent = HeaderMap::new();
        let _guard = parent(&headers(pairs)).unwrap_or_default().attach();
        write(&mut sent);
        sent
    }

    #[test]
    fn a_parent_in_good_form_is_passed_on() {
        for flags in ["00", "01"] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            let sent = passed_on(&[(TRACEPARENT, &text), (TRACESTATE, "a=1"), (TRACESTATE, " b=2 ,c=3")]);
            assert_eq!(sent, headers(&[(TRACEPARENT, &text), (TRACESTATE, "a=1,b=2,c=3")]));
        }
    }

    #[test]
    fn what_later_versions_say_more_is_left_out() {
        let ours = headers(&[(TRACEPARENT, &format!("00-{TRACE}-{SPAN}-01"))]);
        for later in ["cc-{}-01", "cc-{}-01-what-is-more", "00-{}-ff"] {
            let text = later.replace("{}", &format!("{TRACE}-{SPAN}"));
            assert_eq!(passed_on(&[(TRACEPARENT, &text)]), ours, "{text}");
        }
    }

    #[test]
    fn a_malformed_parent_is_ignored() {
        let zeros = "0".repeat(32);
        let good = format!("00-{TRACE}-{SPAN}-01");
        let malformed = [
            String::new(),
            "00".into(),
            TRACE.into(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{}g-01", &SPAN[1..]),
            format!("{good},{good}"),
            "00-é".into(),
        ];
        for text in &malformed {
            assert!(parent(&headers(&[(TRACEPARENT, text)])).is_none(), "{text}");
        }
        assert!(parent(&headers(&[(TRACEPARENT, &good), (TRACEPARENT, &good)])).is_none(), "two of them");
        assert!(parent(&headers(&[(TRACESTATE, "a=1")])).is_none(), "a state alone");
    }

    #[test]
    fn a_state_that_is_malformed_or_too_long_does_not_spoil_the_parent() {
        let text = format!("00-{TRACE}-{SPAN}-01");
        let long = format!("a={}", "x".repeat(STATE_BYTES));
        for state in ["nonsense", "A=1", "é=1", &long] {
            let sent = passed_on(&[(TRACEPARENT, &text), (TRACESTATE, state)]);
            assert_eq!(sent, headers(&[(TRACEPARENT, &text)]), "{state}");
        }
    }

    #[tokio::test]
    async fn a_trace_is_carried_into_another_task() {
        let work = || async {
            let mut sent = HeaderMap::new();
            write(&mut sent);
            sent
        };
        assert!(tokio::spawn(carry(step("a step", work()))).await.unwrap().is_empty(), "there is none yet");
        let came = headers(&[(TRACEPARENT, &format!("00-{TRACE}-{SPAN}-01"))]);
        let task = {
            let _guard = parent(&came).unwrap().attach();
            tokio::spawn(carry(step("a step", work())))
        };
        // Nothing is exported here: the step has no span of its own, and the client's goes on.
        assert_eq!(task.await.unwrap(), came);
    }
}
