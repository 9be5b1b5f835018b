//! `/v1/moderation`: acts that bind every node, and the records that they leave.

use super::{
    Api,
    body::{Json, Query, object},
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{Act, Command, Moderation, Right, Subject};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// An act of moderation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActBody {
    /// `suspend`, `quarantine`, `revoke`, `reinstate`, `verify` or `unverify`.
    act: String,
    /// What it is done to.
    #[serde(deserialize_with = "object")]
    subject: SubjectBody,
    /// Why; shown to whoever is refused because of it.
    reason: String,
    /// The moderator's own reference.
    case: Option<String>,
}

/// What an act is done to.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectBody {
    /// `server`, `version`, `namespace`, `client` or `tenant`.
    kind: String,
    /// Its id; of a version `namespace/name@version`.
    id: String,
}

/// Suspend, quarantine, revoke, reinstate, verify, unverify.
#[utoipa::path(
    post, path = "/v1/moderation", tag = "governance", request_body = ActBody,
    responses(
        (status = 200, description = "No node issues against this act any more", body = Receipt),
        (status = 202, description = "Committed; some node may still issue: follow `seal`", body = ProblemBody),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn act(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Json(body): Json<ActBody>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Moderate)?;
    let act: Act = body.act.parse().map_err(Problem::invalid)?;
    let subject = Subject::parse(&body.subject.kind, &body.subject.id).map_err(Problem::invalid)?;
    let command = Command::Moderate { act, subject, reason: body.reason, case: body.case };
    Ok(Answer(api.write(&caller, command).await?.into()))
}

/// Which records to show.
#[derive(Deserialize, IntoParams)]
pub(crate) struct RecordsQuery {
    /// Only the record of this subject, as `server/ai.acme/payments`.
    subject: Option<String>,
}

/// The records of moderation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Records {
    records: Vec<Record>,
    index: u64,
}

/// How one subject stands.
#[derive(Serialize, ToSchema)]
struct Record {
    subject: SubjectBody,
    standing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    at: String,
    index: u64,
}

/// Show records of moderation.
#[utoipa::path(
    get, path = "/v1/moderation", tag = "governance", params(RecordsQuery),
    responses((status = 200, body = Records), (status = "default", body = ProblemBody))
)]
pub(crate) async fn records(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Query(query): Query<RecordsQuery>,
) -> Result<Answer<Records>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    let records = match query.subject {
        None => state.moderations().map(|(subject, record)| shape(subject, record)).collect(),
        Some(text) => {
            let subject = parse_subject(&text)?;
            state.moderation(&subject).map(|record| shape(&subject, record)).into_iter().collect()
        }
    };
    Ok(Answer(Records { records, index: state.applied() }))
}

fn parse_subject(text: &str) -> Result<Subject, Problem> {
    let (kind, id) = text.split_once('/').ok_or_else(|| {
        Problem::invalid(format!("`{text}` is no subject: write KIND/ID, as server/ai.acme/payments"))
    })?;
    Subject::parse(kind, id).map_err(Problem::invalid)
}

fn shape(subject: &Subject, record: &Moderation) -> Record {
    Record {
        subject: SubjectBody { kind: subject.kind().into(), id: subject.id() },
        standing: record.standing.as_str(),
        verified: record.verified,
        reason: record.reason.clone(),
        case: record.case.clone(),
        at: record.at.to_string(),
        index: record.index,
    }
}
