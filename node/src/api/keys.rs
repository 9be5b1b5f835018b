//! `/v1/keys`: the public halves of the nodes' signing keys.

use super::{
    Api,
    body::{Json, Path},
    cluster::parse_node,
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_descriptor::Jwk;
use hapi_registry_state::{Command, Kid, Right, SigningKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// All keys, revoked ones too.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList {
    keys: Vec<ShownKey>,
    index: u64,
}

/// A key and where it is in its life.
#[derive(Serialize, ToSchema)]
struct ShownKey {
    kid: String,
    node: String,
    /// `prepared`, `active`, `retired` or `revoked`.
    state: &'static str,
    published_at: String,
    changed_at: String,
    #[schema(value_type = Object)]
    jwk: Jwk,
}

/// Why a key is revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeBody {
    reason: String,
}

/// Show all keys.
#[utoipa::path(
    get, path = "/v1/keys", tag = "governance",
    responses((status = 200, body = KeyList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<KeyList>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    Ok(Answer(KeyList { keys: state.keys().map(shape).collect(), index: state.applied() }))
}

/// Whose key is to be changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    node: String,
}

/// Let a node sign with its spare key from now on; what its former key signed stays valid to its end.
#[utoipa::path(
    post, path = "/v1/keys/rotate", tag = "governance", request_body = RotateBody,
    responses((status = 200, body = Receipt), (status = "default", body = ProblemBody))
)]
pub(crate) async fn rotate(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Json(body): Json<RotateBody>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    let node = parse_node(&body.node)?;
    Ok(Answer(api.write(&caller, Command::RotateKey(node)).await?.into()))
}

/// Let a key verify nothing from now on; its node takes its spare.
#[utoipa::path(
    post, path = "/v1/keys/{kid}/revoke", tag = "governance", params(("kid" = String, Path)),
    request_body = RevokeBody,
    responses((status = 200, body = Receipt), (status = "default", body = ProblemBody))
)]
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(kid): Path<String>,
    Json(body): Json<RevokeBody>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    let command = Command::RevokeKey { kid: Kid::from(kid.as_str()), reason: body.reason };
    Ok(Answer(api.write(&caller, command).await?.into()))
}

/// Let a key sign no more; what it signed stays valid to its end.
#[utoipa::path(
    post, path = "/v1/keys/{kid}/retire", tag = "governance", params(("kid" = String, Path)),
    responses((status = 200, body = Receipt), (status = "default", body = ProblemBody))
)]
pub(crate) async fn retire(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(kid): Path<String>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    Ok(Answer(api.write(&caller, Command::RetireKey(Kid::from(kid.as_str()))).await?.into()))
}

fn shape((kid, key): (&Kid, &SigningKey)) -> ShownKey {
    ShownKey {
        kid: kid.to_string(),
        node: key.node.to_string(),
        state: key.state.as_str(),
        published_at: key.published_at.to_string(),
        changed_at: key.changed_at.to_string(),
        jwk: key.public.jwk().clone(),
    }
}
