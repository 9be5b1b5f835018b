//! `POST /v1/import`: take over entries of another registry, dirty ones reported by name and reason.

use super::{Api, body, publish::errors};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{
    Json,
    extract::{Request, State},
};
use hapi_registry_state::{
    Command, Imported, Outcome, Rejection, Right, Rules, ServerJson, Severity, Status, Strictness, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::ToSchema;

/// The largest import in one request, in bytes.
const MAX_IMPORT: usize = 16 * 1024 * 1024;

/// Documents of one entry of the log, in bytes and in number: small enough that no entry holds up others.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_ENTRIES: usize = 64;

/// The body: a ServerList as the registry API gives it out.
#[derive(Deserialize)]
struct ServerList {
    /// Each is parsed on its own, so that one that is broken spoils no other.
    servers: Vec<Box<RawValue>>,
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

/// What came of an import.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct ImportReport {
    /// The index of the last entry that the import made.
    index: u64,
    /// How many versions were taken over.
    imported: usize,
    /// How many of those have flaws that publishing would not have accepted.
    flawed: usize,
    /// Which were not, and why.
    rejected: Vec<RejectedEntry>,
}

/// An entry that was not taken over.
#[derive(Serialize, ToSchema)]
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

/// Import a ServerList.
#[utoipa::path(
    post, path = "/v1/import", tag = "governance",
    request_body(content = Object, description = "A ServerList of the registry API, at most 16 MiB"),
    responses((status = 200, body = ImportReport), (status = "default", body = ProblemBody))
)]
pub(crate) async fn import(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    request: Request,
) -> Result<Json<ImportReport>, Problem> {
    caller.require(Right::Operate)?;
    let list: ServerList = body::parse(&body::read(request, MAX_IMPORT).await?)?;
    let mut report = ImportReport::default();
    let mut batch = Batch::default();
    for item in list.servers {
        match parse(&item) {
            Ok((entry, flawed)) => {
                report.flawed += usize::from(flawed);
                batch.add(entry);
            }
            Err(rejected) => report.rejected.push(rejected),
        }
        if batch.is_full() {
            send(&api, &caller, std::mem::take(&mut batch), &mut report).await?;
        }
    }
    send(&api, &caller, batch, &mut report).await?;
    Ok(Json(report))
}

#[derive(Default)]
struct Batch {
    entries: Vec<Imported>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, entry: Imported) {
        self.bytes += entry.document.raw().len();
        self.entries.push(entry);
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.entries.len() >= BATCH_ENTRIES
    }
}

async fn send(
    api: &Api,
    caller: &Authenticated,
    batch: Batch,
    report: &mut ImportReport,
) -> Result<(), Problem> {
    if batch.entries.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| (entry.document.name().to_string(), entry.document.version().to_string()))
        .collect();
    let committed = api.write_unnamed(caller, Command::Import(batch.entries)).await?;
    report.index = committed.index;
    if let Outcome::Imported(results) = committed.outcome {
        for (result, (name, version)) in results.into_iter().zip(names) {
            match result {
                Ok(()) => report.imported += 1,
                Err(rejection) => report.rejected.push(rejected(name, version, &rejection)),
            }
        }
    }
    Ok(())
}

fn rejected(name: String, version: String, rejection: &Rejection) -> RejectedEntry {
    RejectedEntry { name, version, code: rejection.code(), reason: rejection.to_string() }
}

fn parse(text: &RawValue) -> Result<(Imported, bool), RejectedEntry> {
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

/// Name and version of an entry that is not valid otherwise, for the report.
fn identify(raw: &str) -> (String, String) {
    let value: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
    let text =
        |field: &str| value["server"].get(field).and_then(|text| text.as_str()).unwrap_or("?").to_owned();
    (text("name"), text("version"))
}
