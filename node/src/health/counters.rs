//! What `/metrics` shows of the health gate. No label names a server: there may be very many.

use super::probe::Seen;
use hapi_registry_state::HealthFault;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, core::Collector};
use std::time::Duration;

/// What may come of a question; all are there from the start.
const OUTCOMES: [&str; 5] = ["alive", "unreachable", "timeout", "status", "not_allowed"];

/// From 5 ms to the longest that a server may be given.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

pub(super) struct Counters {
    probes: IntCounterVec,
    seconds: Histogram,
    under_way: IntGauge,
    round: Gauge,
    down: IntGauge,
    blind: IntGauge,
}

impl Counters {
    pub(super) fn new() -> prometheus::Result<Self> {
        let probes = "Servers that were asked whether they answer, by what came of it.";
        let probes = IntCounterVec::new(Opts::new("hapi_health_probes_total", probes), &["outcome"])?;
        OUTCOMES.iter().for_each(|outcome| drop(probes.with_label_values(&[outcome])));
        let seconds = HistogramOpts::new("hapi_health_probe_seconds", "Time to ask one server.");
        Ok(Self {
            probes,
            seconds: Histogram::with_opts(seconds.buckets(SECONDS.into()))?,
            under_way: IntGauge::new("hapi_health_probes_under_way", "Servers that are being asked now.")?,
            round: Gauge::new(
                "hapi_health_round_seconds",
                "How long the last round took, in which each server was asked once; 0 where none is asked.",
            )?,
            down: IntGauge::new(
                "hapi_servers_down",
                "Servers behind the health gate that do not answer, by this node's state.",
            )?,
            blind: IntGauge::new(
                "hapi_health_blind",
                "1 if this node reaches none of the servers that it asks, and therefore calls none of them down.",
            )?,
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.probes.clone()),
            Box::new(self.seconds.clone()),
            Box::new(self.under_way.clone()),
            Box::new(self.round.clone()),
            Box::new(self.down.clone()),
            Box::new(self.blind.clone()),
        ]
    }

    pub(super) fn seen(&self, seen: &Seen, took: Duration) {
        let outcome = match seen {
            Seen::Alive => "alive",
            Seen::Dead(HealthFault::Unreachable) => "unreachable",
            Seen::Dead(HealthFault::Timeout) => "timeout",
            Seen::Dead(HealthFault::Status(_)) => "status",
            Seen::NotAllowed => "not_allowed",
        };
        self.probes.with_label_values(&[outcome]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(super) fn under_way(&self, number: usize) {
        self.under_way.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(super) fn round(&self, took: Duration) {
        self.round.set(took.as_secs_f64());
    }

    pub(super) fn down(&self, number: usize) {
        self.down.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(super) fn blind(&self, is_blind: bool) {
        self.blind.set(i64::from(is_blind));
    }

    /// This node asks nobody any more.
    pub(super) fn rest(&self) {
        self.under_way(0);
        self.round(Duration::ZERO);
        self.blind(false);
    }
}
