//! The figures, for people and for programs.

use super::stats::Stats;
use crate::cli::table;
use serde_json::{Value, json};
use std::time::Duration;

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The longest piece of a refusal that is shown, in characters.
const MAX_REFUSAL: usize = 300;

/// Everything, latencies in microseconds.
pub(super) fn json(stats: &Stats, elapsed: Duration) -> Value {
    let latency = &stats.latency_us;
    let mut figures: serde_json::Map<_, _> = QUANTILES
        .iter()
        .map(|(name, quantile)| ((*name).to_owned(), json!(latency.value_at_quantile(*quantile))))
        .collect();
    figures.insert("max".into(), json!(latency.max()));
    json!({
        "elapsed_s": elapsed.as_secs_f64(),
        "answers": stats.answers(),
        "successes": stats.successes(),
        "successes_per_s": per_second(stats.successes(), elapsed),
        "broken": stats.broken,
        "statuses": stats.statuses,
        "latency_us": figures,
        "first_error": stats.first_error,
        "first_refusal": stats.first_refusal,
    })
}

/// The same in words, latencies in milliseconds.
pub(super) fn table(stats: &Stats, elapsed: Duration) -> String {
    let mut lines = vec![
        line("answers", format!("{} in {:.1} s", stats.answers(), elapsed.as_secs_f64())),
        line("successes per second", format!("{:.0}", per_second(stats.successes(), elapsed))),
    ];
    lines.extend(
        stats.statuses.iter().map(|(status, count)| line(&format!("HTTP {status}"), count.to_string())),
    );
    if let Some(error) = &stats.first_error {
        lines.push(line("broken", format!("{}, the first one: {error}", stats.broken)));
    }
    if stats.answers() > 0 {
        let latency = &stats.latency_us;
        lines.extend(QUANTILES.iter().map(|(name, at)| line(name, millis(latency.value_at_quantile(*at)))));
        lines.push(line("max", millis(latency.max())));
    }
    if let Some(refusal) = &stats.first_refusal {
        let start: String = refusal.chars().take(MAX_REFUSAL).collect();
        lines.push(line("first refusal", table::printable(&start)));
    }
    table::align(&lines)
}

fn line(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

fn millis(micros: u64) -> String {
    format!("{:.2} ms", Duration::from_micros(micros).as_secs_f64() * 1_000.0)
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Stats {
        let mut stats = Stats::default();
        for micros in 1..=1_000 {
            stats.answered(200, b"", Duration::from_micros(micros));
        }
        stats.answered(403, br#"{"code":"server_revoked"}"#, Duration::from_millis(4));
        stats
    }

    #[test]
    fn the_table_reads_in_milliseconds() {
        insta::assert_snapshot!(table(&stats(), Duration::from_secs(2)), @r#"
        answers               1001 in 2.0 s
        successes per second  500
        HTTP 200              1000
        HTTP 403              1
        p50                   0.50 ms
        p90                   0.90 ms
        p99                   0.99 ms
        p99.9                 1.00 ms
        max                   4.00 ms
        first refusal         {"code":"server_revoked"}
        "#);
    }

    #[test]
    fn programs_get_microseconds() {
        let report = json(&stats(), Duration::from_secs(2));
        assert_eq!(report["latency_us"]["p50"], 501);
        assert_eq!(report["statuses"]["403"], 1);
        assert_eq!(report["successes_per_s"], 500.0);
    }
}
