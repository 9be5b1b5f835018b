//! Entries of another registry, as its ServerList has them.

use crate::api::errors;
use hapi_registry_state::{Imported, Rejection, Rules, ServerJson, Severity, Status, Strictness, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Documents of one entry of the log, in bytes and in number: small enough that no entry holds up others.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_ENTRIES: usize = 64;

/// The longest message beside a status, in characters.
const MESSAGE_CHARS: usize = 500;

/// A ServerList as the registry API gives it out.
#[derive(Deserialize)]
pub(crate) struct ServerList {
    /// Each is parsed on its own, so that one that is broken spoils no other.
    pub(crate) servers: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Item {
    server: Box<RawValue>,
    #[serde(rename = "_meta", default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol.registry/official", default)]
    official: Official,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Official {
    status: Option<Status>,
    status_message: Option<String>,
    published_at: Option<String>,
    updated_at: Option<String>,
}

/// An entry that was not taken over.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RejectedEntry {
    /// Its name, as far as it could be read.
    name: String,
    /// Its version, as far as it could be read.
    version: String,
    /// The reason for programs.
    code: &'static str,
    /// The reason for people.
    reason: String,
}

impl RejectedEntry {
    pub(crate) fn new(name: String, version: String, rejection: &Rejection) -> Self {
        Self { name, version, code: rejection.code(), reason: rejection.to_string() }
    }
}

/// Entries that make one entry of the log.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Imported>,
    bytes: usize,
}

impl Batch {
    pub(crate) fn add(&mut self, entry: Imported) {
        self.bytes += entry.document.raw().len();
        self.entries.push(entry);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.entries.len() >= BATCH_ENTRIES
    }

    /// Name and version of each.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        let documents = self.entries.iter().map(|entry| &entry.document);
        documents.map(|document| (document.name().to_string(), document.version().to_string())).collect()
    }
}

/// Reads an entry by the rules for what others have accepted before; and whether it has flaws.
pub(crate) fn parse(text: &RawValue) -> Result<(Imported, bool), RejectedEntry> {
    let refuse = |reason: String| {
        let (name, version) = identify(text.get());
        RejectedEntry { name, version, code: "invalid_request", reason }
    };
    let item: Item = serde_json::from_str(text.get()).map_err(|error| refuse(error.to_string()))?;
    let raw = item.server.get();
    let rules = Rules { strictness: Strictness::Import, allow_insecure_endpoints: false };
    let parsed = ServerJson::parse(raw.as_bytes(), rules).map_err(|issues| refuse(errors(&issues)))?;
    let instant = |field: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => Timestamp::parse(&text)
            .map(Some)
            .ok_or_else(|| refuse(format!("{field}: `{text}` is no RFC 3339 date"))),
    };
    let official = item.meta.official;
    let entry = Imported {
        document: parsed.server,
        status: official.status.unwrap_or(Status::Active),
        status_message: official.status_message.filter(|message| !message.is_empty()),
        published_at: instant("publishedAt", official.published_at)?,
        updated_at: instant("updatedAt", official.updated_at)?,
    };
    let flawed = parsed.warnings.iter().any(|issue| issue.severity == Severity::Warning);
    Ok((entry, flawed))
}

/// The same for an entry that a mirror takes over again and again: a message that we would not have accepted is no
/// reason to miss a deletion.
pub(crate) fn parse_mirrored(text: &RawValue) -> Result<Imported, RejectedEntry> {
    let (entry, _) = parse(text)?;
    let message = entry.status_message.filter(|_| entry.status != Status::Active);
    let status_message = message.map(|message| message.chars().take(MESSAGE_CHARS).collect());
    Ok(Imported { status_message, ..entry })
}

/// Name and version of an entry that is not valid otherwise, for the report.
fn identify(raw: &str) -> (String, String) {
    let value: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
    let text =
        |field: &str| value["server"].get(field).and_then(|text| text.as_str()).unwrap_or("?").to_owned();
    (text("name"), text("version"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use serde_json::{json, value::to_raw_value};

    fn mirrored(official: serde_json::Value) -> Option<String> {
        let server = json!({ "name": "ai.acme/a", "version": "1", "description": "d" });
        let meta = json!({ "io.modelcontextprotocol.registry/official": official });
        let item = to_raw_value(&json!({ "server": server, "_meta": meta })).unwrap();
        parse_mirrored(&item).unwrap().status_message
    }

    #[test]
    fn a_message_that_goes_with_no_status_or_is_too_long_spoils_no_entry() {
        assert_eq!(mirrored(json!({ "status": "active", "statusMessage": "hello" })), None);
        let long = mirrored(json!({ "status": "deleted", "statusMessage": "ä".repeat(600) })).unwrap();
        assert_eq!(long.chars().count(), 500);
        assert_eq!(mirrored(json!({ "status": "deprecated", "statusMessage": "" })), None);
    }
}
