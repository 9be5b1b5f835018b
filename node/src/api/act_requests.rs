//! `/v1/moderation/requests`: acts of moderators that wait for another one.

use super::{
    Api,
    body::{Json, Path},
    moderation::ActAnswer,
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{ActRequest, Command, Right};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// An act that somebody else has to confirm.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownRequest {
    /// By which it is confirmed: the index of the entry that asked for it.
    pub(crate) id: u64,
    pub(crate) act: &'static str,
    /// As `server/ai.acme/payments`, or with the glob that was named.
    pub(crate) subject: String,
    /// To how many subjects it would be done: those that fitted the glob then.
    pub(crate) subjects: usize,
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) case: Option<String>,
    /// When the suspension would lift itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ends_at: Option<String>,
    /// Who asked for it.
    pub(crate) by: String,
    pub(crate) at: String,
    /// From when on it cannot be confirmed any more.
    pub(crate) expires_at: String,
}

impl ShownRequest {
    pub(crate) fn new(id: u64, request: &ActRequest) -> Self {
        let order = &request.order;
        Self {
            id,
            act: order.act.as_str(),
            subject: order.target.to_string(),
            subjects: request.subjects.len(),
            reason: order.reason.clone(),
            case: order.case.clone(),
            ends_at: order.expires_at.map(|end| end.to_string()),
            by: request.by.to_string(),
            at: request.at.to_string(),
            expires_at: request.expires_at.to_string(),
        }
    }
}

/// What waits, the oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Requests {
    requests: Vec<ShownRequest>,
    index: u64,
}

/// Show the acts that wait for another moderator.
#[utoipa::path(
    get, path = "/v1/moderation/requests", tag = "governance",
    responses((status = 200, body = Requests), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<Requests>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    let requests = state.act_requests().map(|(id, request)| ShownRequest::new(id, request)).collect();
    Ok(Answer(Requests { requests, index: state.applied() }))
}

/// Do what another moderator has asked for.
#[utoipa::path(
    post, path = "/v1/moderation/requests/{id}/confirm", tag = "governance", params(("id" = u64, Path)),
    responses(
        (status = 200, description = "No node issues against this act any more", body = ActAnswer),
        (status = 202, description = "Committed; some node may still issue: follow `seal`", body = ProblemBody),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn confirm(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<u64>,
) -> Result<Answer<ActAnswer>, Problem> {
    caller.require(Right::Moderate)?;
    let written = api.write(&caller, Command::ConfirmAct(id)).await?;
    Ok(Answer(ActAnswer::of(written, &api.replica.state())))
}

/// Why a request is taken off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RejectBody {
    reason: String,
}

/// Take a request off: somebody else's, or one's own.
#[utoipa::path(
    post, path = "/v1/moderation/requests/{id}/reject", tag = "governance", params(("id" = u64, Path)),
    request_body = RejectBody,
    responses((status = 200, body = Receipt), (status = "default", body = ProblemBody))
)]
pub(crate) async fn reject(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<u64>,
    Json(body): Json<RejectBody>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Moderate)?;
    Ok(Answer(api.write(&caller, Command::RejectAct { id, reason: body.reason }).await?.into()))
}
