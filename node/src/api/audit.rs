//! `/v1/audit`: the chained record of every act.

use super::{Api, body::Query};
use crate::{
    audit_head::AuditHead,
    auth::Authenticated,
    clock,
    problem::{Problem, ProblemBody},
};
use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use hapi_registry_state::{AuditRecord, AuditedSubject, Chained};
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
    /// The hash of the chain before the first of these records.
    before: String,
    /// The hash of the whole chain: h(n) = SHA-256(h(n-1) || RFC 8785 JSON of record n), from 32 zero bytes.
    head: String,
    /// The index of the state that was read.
    index: u64,
}

/// One record; these members, all but the hash, canonicalised, are what the chain hashes.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownRecord {
    index: u64,
    at: String,
    actor: String,
    act: String,
    subject: String,
    reason: String,
    outcome: String,
    /// The hash of the chain up to this record: the first that does not follow from the one before it is not as it was.
    hash: String,
    /// What came of each subject, where one act was for several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subjects: Vec<ShownSubject>,
}

/// One of several subjects of an act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ShownSubject {
    /// `done`, `unchanged`, or the code of the refusal; of a server's health, `down` or `up`.
    outcome: String,
    /// As `server/ai.acme/payments`.
    subject: String,
}

impl From<&AuditedSubject> for ShownSubject {
    fn from(AuditedSubject { subject, outcome }: &AuditedSubject) -> Self {
        Self { subject: subject.clone(), outcome: outcome.clone() }
    }
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
    let records = state.audit_chain_after(query.after).take(limit).map(shape).collect();
    let before = hex(&state.audit_hash_at(query.after));
    Ok(Answer(AuditPage { records, before, head: hex(&state.audit_head()), index: state.applied() }))
}

/// The head of the chain, signed: a JWS of type `hapi-audit-head+jwt`. Keep one, and history before it cannot be
/// rewritten unnoticed.
#[utoipa::path(
    get, path = "/v1/audit/head", tag = "governance",
    responses(
        (status = 200, description = "A signed head", body = String, content_type = "application/jwt"),
        (status = 503, description = "This node has no key that signs: ask another one", body = ProblemBody),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn head(State(api): State<Arc<Api>>, caller: Authenticated) -> Result<Response, Problem> {
    caller.govern(&api).await?;
    let (state, node) = (api.replica.state(), api.replica.node_id());
    let (_, signer) = api.desk.signing.signer(&state, node).ok_or_else(Problem::no_signing_key)?;
    let head = AuditHead::of(&state, node, &api.desk.issuer, clock::now().seconds());
    let text = head.sign(&signer).ok_or_else(Problem::no_signing_key)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/jwt")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}

pub(crate) fn shape(chained: &Chained) -> ShownRecord {
    let record = AuditRecord::clone(&chained.record);
    ShownRecord {
        index: record.index,
        at: record.at.to_string(),
        actor: record.actor,
        act: record.act,
        subject: record.subject,
        reason: record.reason,
        outcome: record.outcome,
        hash: hex(&chained.hash),
        subjects: record.subjects.iter().map(ShownSubject::from).collect(),
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
