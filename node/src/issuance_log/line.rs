//! One line: one decision.

use hapi_descriptor::Jti;
use hapi_registry_state::{ClientId, Kid, NodeId, ServerName, TenantId, Timestamp, Version};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

/// What is written of one decision; never the descriptor itself.
///
/// It borrows, so that it costs nothing but its bytes. What is not known is left out: of a caller who has not
/// shown who it is, that is almost everything.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line<'a> {
    /// When it was decided, by the wall clock.
    #[serde(serialize_with = "microseconds")]
    pub(crate) at: Timestamp,
    /// `CLOCK_BOOTTIME`, read after the state was read for the last time: never before the issue instant.
    pub(crate) issued_at_boottime_ns: u64,
    /// The node that decided.
    #[serde(serialize_with = "text")]
    pub(crate) node: NodeId,
    /// Yes or no.
    pub(crate) decision: Verdict,
    /// `ok`, or the code of the refusal.
    pub(crate) code: &'a str,
    /// The id of the descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<&'a Jti>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<&'a ClientId>,
    /// Whose client that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<&'a TenantId>,
    /// Which server was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<&'a ServerName>,
    /// Which of its versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<&'a Version>,
    /// The key that signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kid: Option<&'a Kid>,
    /// The index of the state that decided.
    pub(crate) index: u64,
    /// Whether a quorum confirmed it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) strict: bool,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// A descriptor was signed.
    Issued,
    /// There is none.
    Refused,
}

impl Line<'_> {
    /// Appends the line and its end to `bytes`.
    pub(super) fn write_to(&self, bytes: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(&mut *bytes, self)?;
        bytes.push(b'\n');
        Ok(())
    }
}

fn text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// RFC 3339 with all six digits, so that the texts sort like the instants; digit by digit, since this is the
/// dearest field of a line otherwise.
fn microseconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000);
    let Some(text) = instant.ok().map(stamp) else { return serializer.collect_str(at) };
    match std::str::from_utf8(&text) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => serializer.collect_str(at),
    }
}

fn stamp(instant: OffsetDateTime) -> [u8; 27] {
    let (hour, minute, second, micro) = instant.to_hms_micro();
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    digits(&mut text[..4], instant.year().unsigned_abs());
    digits(&mut text[5..7], u8::from(instant.month()).into());
    digits(&mut text[8..10], instant.day().into());
    digits(&mut text[11..13], hour.into());
    digits(&mut text[14..16], minute.into());
    digits(&mut text[17..19], second.into());
    digits(&mut text[20..26], micro);
    text
}

fn digits(places: &mut [u8], mut number: u32) {
    for place in places.iter_mut().rev() {
        *place += u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}
