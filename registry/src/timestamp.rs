//! Instants as data: whole microseconds since the Unix epoch.

use serde::{Deserialize, Serialize};
use std::fmt;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Microseconds since the Unix epoch (UTC, leap seconds not counted).
///
/// Microseconds, because that is the precision at which the official registry publishes its dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The instant `seconds` after the Unix epoch.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This instant, `seconds` later.
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Parses an RFC 3339 date and time from the epoch on; finer digits than microseconds are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(instant.unix_timestamp_nanos() / 1_000).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, as `2026-01-31T12:00:00.25Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .ok()
            .and_then(|instant| instant.format(&Rfc3339).ok());
        // Beyond the year 9999 RFC 3339 has no form; the number is still unambiguous.
        f.write_str(&text.unwrap_or_else(|| self.0.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn a_date_is_parsed_and_printed_alike() {
        let text = "2025-10-09T17:05:17.793149Z";
        assert_eq!(Timestamp::parse(text).map(|at| at.to_string()).as_deref(), Some(text));
    }

    #[test]
    fn an_offset_is_turned_into_utc_and_nonsense_is_none() {
        assert_eq!(Timestamp::parse("1970-01-01T02:00:01+02:00"), Some(Timestamp::from_seconds(1)));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse("1969-12-31T00:00:00Z"), None);
    }
}
