//! `/v1/audit`: the chained record of every act.

use super::{Api, body::Query};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::AuditRecord;
use serde::{Deserialize, Serialize};
use std::{fmt::Write, sync::Arc};
use utoipa::{IntoParams, ToSchema};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// Which records to show.
#[derive(Deserialize, IntoParams)]
pub(crate) struct AuditQuery {
    /// Only records behind this index.
    #[serde(default)]
    after: u64,
    /// At most so many: 1 to 1000, default 100.
    limit: Option<usize>,
}

/// A stretch of the chain, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditPage {
    records: Vec<ShownRecord>,
    /// The hash of the whole chain: h(n) = SHA-256(h(n-1) || RFC 8785 JSON of record n), from 32 zero bytes.
    head: String,
    /// The index of the state that was read.
    index: u64,
}

/// One record; these members, canonicalised, are what the chain hashes.
#[derive(Serialize, ToSchema)]
struct ShownRecord {
    index: u64,
    at: String,
    actor: String,
    act: String,
    subject: String,
    reason: String,
    outcome: String,
}

/// Read the audit chain.
#[utoipa::path(
    get, path = "/v1/audit", tag = "governance", params(AuditQuery),
    responses((status = 200, body = AuditPage), (status = "default", body = ProblemBody))
)]
pub(crate) async fn records(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<AuditPage>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid(format!("`limit` must be from 1 to {MAX_LIMIT}, got {limit}")));
    }
    caller.govern(&api).await?;
    let state = api.replica.state();
    let records = state.audit_records_after(query.after).take(limit).map(shape).collect();
    Ok(Answer(AuditPage { records, head: hex(&state.audit_head()), index: state.applied() }))
}

fn shape(record: &AuditRecord) -> ShownRecord {
    let record = record.clone();
    ShownRecord {
        index: record.index,
        at: record.at.to_string(),
        actor: record.actor,
        act: record.act,
        subject: record.subject,
        reason: record.reason,
        outcome: record.outcome,
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
