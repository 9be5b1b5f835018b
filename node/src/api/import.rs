//! `POST /v1/import`: take over entries of another registry, dirty ones reported by name and reason.

use super::{Api, body};
use crate::{
    auth::Authenticated,
    entries::{Batch, RejectedEntry, ServerList, parse},
    problem::{Problem, ProblemBody},
};
use axum::{
    Json,
    extract::{Request, State},
};
use hapi_registry_state::{Command, Outcome, Right};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The largest import in one request, in bytes.
pub(super) const MAX_IMPORT: usize = 16 * 1024 * 1024;

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
    let list: ServerList = body::read_json(request, MAX_IMPORT).await?;
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

async fn send(
    api: &Api,
    caller: &Authenticated,
    batch: Batch,
    report: &mut ImportReport,
) -> Result<(), Problem> {
    if batch.entries.is_empty() {
        return Ok(());
    }
    let names = batch.names();
    let committed = api.write_unnamed(caller, Command::Import(batch.entries)).await?;
    report.index = committed.index;
    if let Outcome::Imported(results) = committed.outcome {
        for (result, (name, version)) in results.into_iter().zip(names) {
            match result {
                Ok(()) => report.imported += 1,
                Err(rejection) => report.rejected.push(RejectedEntry::new(name, version, &rejection)),
            }
        }
    }
    Ok(())
}
