//! What leaders say of their seals: the `sealed` lines of their logs.

use serde_json::Value;

/// A seal: from then on no node issues against any entry at or below the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The newest entry that it covers.
    pub index: u64,
    /// Before anybody was told, `CLOCK_BOOTTIME` in nanoseconds.
    pub acked_at: u64,
    /// How each node was covered, as the leader says it.
    pub covers: String,
}

impl Seal {
    /// The seals among log lines.
    pub fn all(lines: &[String]) -> Vec<Self> {
        lines
            .iter()
            .filter(|line| line.contains("acked_at_boottime_ns"))
            .filter_map(|line| Self::parse(line))
            .collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = line.get("fields").unwrap_or(&line);
        if fields["message"] != "sealed" {
            return None;
        }
        Some(Self {
            index: fields["index"].as_u64()?,
            acked_at: fields["acked_at_boottime_ns"].as_u64()?,
            covers: fields["covers"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_are_told_from_other_lines() {
        let sealed = r#"{"level":"INFO","fields":{"message":"sealed","index":17,"acked_at_boottime_ns":99,
            "covers":"a1:confirmed:2"}}"#;
        let lines = [sealed, r#"{"fields":{"message":"listening"}}"#, "torn acked_at_boottime_ns"];
        let seals = Seal::all(&lines.map(str::to_owned));
        assert_eq!(seals, [Seal { index: 17, acked_at: 99, covers: "a1:confirmed:2".into() }]);
    }
}
