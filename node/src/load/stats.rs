//! What came of the requests.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies above a minute count as a minute: by then a client has long gone.
const MAX_MICROS: u64 = 60_000_000;

/// Answers, failures and latencies of one connection or of all.
#[derive(Clone, Debug)]
pub(super) struct Stats {
    /// Latencies of all answers, in microseconds, to three digits.
    pub(super) latency_us: Histogram<u64>,
    /// How many answers had each status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// How many exchanges broke off, or never began.
    pub(super) broken: u64,
    /// Why the first of these did.
    pub(super) first_error: Option<String>,
    /// The body of the first answer that was no success.
    pub(super) first_refusal: Option<String>,
}

impl Default for Stats {
    #[expect(clippy::expect_used, reason = "the bounds are constants that the histogram takes")]
    fn default() -> Self {
        Self {
            latency_us: Histogram::new_with_bounds(1, MAX_MICROS, 3).expect("valid bounds"),
            statuses: BTreeMap::new(),
            broken: 0,
            first_error: None,
            first_refusal: None,
        }
    }
}

impl Stats {
    /// Notes an answer.
    pub(super) fn answered(&mut self, status: u16, body: &[u8], latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(MAX_MICROS);
        self.latency_us.saturating_record(micros.clamp(1, MAX_MICROS));
        *self.statuses.entry(status).or_default() += 1;
        if !(200..300).contains(&status) && self.first_refusal.is_none() {
            self.first_refusal = Some(String::from_utf8_lossy(body).into_owned());
        }
    }

    /// Notes an exchange without an answer.
    pub(super) fn broke(&mut self, error: &std::io::Error) {
        self.broken += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    /// Adds what another connection saw.
    pub(super) fn merge(&mut self, other: &Self) {
        // Cannot fail: all histograms here have the same bounds.
        let _ = self.latency_us.add(&other.latency_us);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.broken += other.broken;
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
        self.first_refusal = self.first_refusal.take().or_else(|| other.first_refusal.clone());
    }

    /// How many requests were answered at all.
    pub(super) fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// How many requests succeeded.
    pub(super) fn successes(&self) -> u64 {
        self.statuses.range(200..300).map(|(_, count)| count).sum()
    }
}
