//! What the guard has done so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::denial::Denial;
use crate::session::EndReason;

/// Counts. They are plain atomics, so that a server need not take our library of metrics.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) admitted: Counter,
    pub(crate) without_descriptor: Counter,
    pub(crate) sessions_opened: Counter,
    pub(crate) sessions_renewed: Counter,
    pub(crate) sessions_closed: Counter,
    pub(crate) notices: Counter,
    pub(crate) streams_ended: Counter,
    pub(crate) key_fetches: Counter,
    pub(crate) key_failures: Counter,
    pub(crate) feed_messages: Counter,
    pub(crate) feed_failures: Counter,
    pub(crate) stream_messages: Counter,
    pub(crate) stream_failures: Counter,
    denied: [Counter; Denial::CODES.len()],
    ended: [Counter; EndReason::ALL.len()],
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    pub(crate) fn denied(&self, denial: Denial) {
        if let Some(position) = Denial::CODES.iter().position(|code| *code == denial.code()) {
            self.denied[position].add();
        }
    }

    pub(crate) fn ended(&self, reason: EndReason) {
        if let Some(position) = EndReason::ALL.iter().position(|other| *other == reason) {
            self.ended[position].add();
        }
    }

    pub(crate) fn snapshot(&self, gauges: Gauges) -> Snapshot {
        Snapshot {
            admitted: self.admitted.get(),
            without_descriptor: self.without_descriptor.get(),
            denied: Denial::CODES.into_iter().zip(self.denied.iter().map(Counter::get)).collect(),
            sessions: gauges.sessions,
            sessions_opened: self.sessions_opened.get(),
            sessions_renewed: self.sessions_renewed.get(),
            sessions_closed: self.sessions_closed.get(),
            sessions_ended: EndReason::ALL
                .into_iter()
                .map(EndReason::as_str)
                .zip(self.ended.iter().map(Counter::get))
                .collect(),
            notices: self.notices.get(),
            lone_streams: gauges.lone_streams,
            streams_ended: self.streams_ended.get(),
            cached: gauges.cached,
            keys: gauges.keys,
            key_fetches: self.key_fetches.get(),
            key_failures: self.key_failures.get(),
            feed_messages: self.feed_messages.get(),
            feed_failures: self.feed_failures.get(),
            stream_messages: self.stream_messages.get(),
            stream_failures: self.stream_failures.get(),
            is_streaming: gauges.is_streaming,
            feed_age: gauges.feed_age,
        }
    }
}

/// What is measured when asked.
pub(crate) struct Gauges {
    pub(crate) sessions: usize,
    pub(crate) lone_streams: usize,
    pub(crate) cached: usize,
    pub(crate) keys: usize,
    pub(crate) is_streaming: bool,
    pub(crate) feed_age: Option<Duration>,
}

/// The counts and measures of a guard at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests let in with a descriptor, of their own or of their session.
    pub admitted: u64,
    /// Requests let in without one, where none is required.
    pub without_descriptor: u64,
    /// Requests refused, by code.
    pub denied: BTreeMap<&'static str, u64>,
    /// Sessions now.
    pub sessions: usize,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Renewals.
    pub sessions_renewed: u64,
    /// Sessions closed by their client or server.
    pub sessions_closed: u64,
    /// Sessions ended by the guard, by reason.
    pub sessions_ended: BTreeMap<&'static str, u64>,
    /// `refresh_required` sent on streams.
    pub notices: u64,
    /// Open streams that belong to no session.
    pub lone_streams: usize,
    /// Streams without a session that the guard has ended.
    pub streams_ended: u64,
    /// Verified descriptors remembered now.
    pub cached: usize,
    /// Keys known now.
    pub keys: usize,
    /// Fetches of the key set that were answered.
    pub key_fetches: u64,
    /// Times at which no registry had a key set to give.
    pub key_failures: u64,
    /// Answers of the feed that were signs of life.
    pub feed_messages: u64,
    /// Times at which no registry had one to give.
    pub feed_failures: u64,
    /// Messages of the feed that a stream brought.
    pub stream_messages: u64,
    /// Times at which a registry gave no stream, or its stream was of no more use.
    pub stream_failures: u64,
    /// Whether a stream brings the news of the feed now; else it is asked for them.
    pub is_streaming: bool,
    /// How long ago the feed was asked when it last answered; `None` when it never did.
    pub feed_age: Option<Duration>,
}

impl Snapshot {
    /// The same in the text format that Prometheus reads.
    pub fn to_prometheus(&self) -> String {
        let counters = [
            ("admitted_total", self.admitted),
            ("without_descriptor_total", self.without_descriptor),
            ("sessions_opened_total", self.sessions_opened),
            ("sessions_renewed_total", self.sessions_renewed),
            ("sessions_closed_total", self.sessions_closed),
            ("notices_total", self.notices),
            ("streams_ended_total", self.streams_ended),
            ("key_fetches_total", self.key_fetches),
            ("key_failures_total", self.key_failures),
            ("feed_messages_total", self.feed_messages),
            ("feed_failures_total", self.feed_failures),
            ("feed_stream_messages_total", self.stream_messages),
            ("feed_stream_failures_total", self.stream_failures),
        ];
        let mut text = String::new();
        for (name, value) in counters {
            text += &format!("# TYPE hapi_guard_{name} counter\nhapi_guard_{name} {value}\n");
        }
        text += &labelled("denied_total", "code", &self.denied);
        text += &labelled("sessions_ended_total", "reason", &self.sessions_ended);
        let gauges = [
            ("sessions", self.sessions),
            ("lone_streams", self.lone_streams),
            ("cached", self.cached),
            ("keys", self.keys),
            ("feed_streaming", usize::from(self.is_streaming)),
        ];
        for (name, value) in gauges {
            text += &format!("# TYPE hapi_guard_{name} gauge\nhapi_guard_{name} {value}\n");
        }
        let age = self.feed_age.map_or(f64::INFINITY, |age| age.as_secs_f64());
        let age = if age.is_finite() { age.to_string() } else { "+Inf".to_owned() };
        text + &format!("# TYPE hapi_guard_feed_age_seconds gauge\nhapi_guard_feed_age_seconds {age}\n")
    }
}

fn labelled(name: &str, label: &str, values: &BTreeMap<&'static str, u64>) -> String {
    let lines = values.iter().map(|(key, value)| format!("hapi_guard_{name}{{{label}=\"{key}\"}} {value}\n"));
    format!("# TYPE hapi_guard_{name} counter\n") + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_reads_every_count() {
        let metrics = Metrics::default();
        metrics.denied(Denial::Missing);
        metrics.ended(EndReason::AuthFailed);
        metrics.stream_failures.add();
        let gauges =
            Gauges { sessions: 3, lone_streams: 0, cached: 0, keys: 1, is_streaming: true, feed_age: None };
        let text = metrics.snapshot(gauges).to_prometheus();
        for line in [
            "hapi_guard_denied_total{code=\"descriptor_missing\"} 1\n",
            "hapi_guard_sessions_ended_total{reason=\"auth_failed\"} 1\n",
            "hapi_guard_sessions 3\n",
            "hapi_guard_feed_stream_failures_total 1\n",
            "hapi_guard_feed_streaming 1\n",
            "hapi_guard_feed_age_seconds +Inf\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
