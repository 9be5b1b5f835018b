//! What `/metrics` shows of the bounds.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, core::Collector};

/// What somebody went beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Connections,
    ConnectionsPerAddress,
    Handshake,
    HandshakeTimeout,
    HeaderTimeout,
    HeaderSize,
    BodyTimeout,
    BodySize,
    JsonDepth,
    RequestTimeout,
    Idle,
    Stalled,
    Http2,
    Streams,
    StreamsPerAddress,
    FailedAuthentications,
}

impl Limit {
    /// In the order in which they are declared.
    const ALL: [(Self, &'static str); 16] = [
        (Self::Connections, "connections"),
        (Self::ConnectionsPerAddress, "connections_per_address"),
        (Self::Handshake, "handshake"),
        (Self::HandshakeTimeout, "handshake_timeout"),
        (Self::HeaderTimeout, "header_timeout"),
        (Self::HeaderSize, "header_size"),
        (Self::BodyTimeout, "body_timeout"),
        (Self::BodySize, "body_size"),
        (Self::JsonDepth, "json_depth"),
        (Self::RequestTimeout, "request_timeout"),
        (Self::Idle, "idle"),
        (Self::Stalled, "stalled"),
        (Self::Http2, "http2"),
        (Self::Streams, "streams"),
        (Self::StreamsPerAddress, "streams_per_address"),
        (Self::FailedAuthentications, "failed_authentications"),
    ];
}

/// What is taken up, and what was refused.
pub(crate) struct Counters {
    all: IntCounterVec,
    /// One for each of [`Limit::ALL`]: a flood is counted without looking for labels.
    limited: Vec<IntCounter>,
    pub(crate) connections: IntGauge,
    pub(crate) streams: IntGauge,
    pub(crate) certificate_ends: IntGauge,
    reloads: IntCounterVec,
}

impl Counters {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let help = "What callers of the public API were refused or cut off for, by the bound.";
        let all = IntCounterVec::new(Opts::new("hapi_http_limited_total", help), &["limit"])?;
        let limited = Limit::ALL.iter().map(|(_, name)| all.with_label_values(&[name])).collect();
        let help = "How often certificate and key of the public port were read again, by what came of it.";
        let reloads = IntCounterVec::new(Opts::new("hapi_tls_reloads_total", help), &["result"])?;
        ["exchanged", "unchanged", "refused"].iter().for_each(|it| drop(reloads.with_label_values(&[it])));
        Ok(Self {
            all,
            limited,
            connections: IntGauge::new("hapi_http_connections", "Connections to the public port.")?,
            streams: IntGauge::new("hapi_http_streams", "Streams of server-sent events that are open.")?,
            certificate_ends: IntGauge::new(
                "hapi_tls_certificate_end_timestamp_seconds",
                "When the certificate of the public port ends; 0 without TLS.",
            )?,
            reloads,
        })
    }

    pub(crate) fn count(&self, limit: Limit) {
        if let Some(counter) = self.limited.get(limit as usize) {
            counter.inc();
        }
    }

    pub(crate) fn reloaded(&self, result: &str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// To be registered where `/metrics` is made.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.all.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.streams.clone()),
            Box::new(self.certificate_ends.clone()),
            Box::new(self.reloads.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn every_bound_has_a_counter_of_its_own_name() {
        let counters = Counters::new().unwrap();
        for (place, (limit, name)) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, place, "{name}");
            counters.count(limit);
            assert_eq!(counters.all.with_label_values(&[name]).get(), 1, "{name}");
        }
    }
}
