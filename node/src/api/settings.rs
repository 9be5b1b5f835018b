//! `/v1/settings`: what changes decisions, the same on every node.

use super::{Api, body::Json};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{ModerationRules, Registry, Right, Settings, SettingsChange};
use serde::Serialize;
use std::sync::Arc;

/// Show the settings in force.
#[utoipa::path(
    get, path = "/v1/settings", tag = "governance",
    responses((status = 200, body = Object), (status = "default", body = ProblemBody))
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<Shown>, Problem> {
    caller.govern(&api).await?;
    Ok(Answer(Shown::of(&api.replica.state())))
}

/// All that is in force.
#[derive(Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    settings: Settings,
    #[serde(flatten)]
    rules: ModerationRules,
}

impl Shown {
    fn of(state: &Registry) -> Self {
        Self { settings: state.settings().clone(), rules: state.moderation_rules() }
    }
}

/// Change some settings; those that are not named stay.
#[utoipa::path(
    patch, path = "/v1/settings", tag = "governance",
    request_body(content = Object, description = "Any of `governed`, `anonymous_reads`, \
        `allow_insecure_endpoints`, `ttl_default`, `ttl_min`, `ttl_max`, `key_prepublish`, `strict`, \
        `strict_servers`, `client_connects_per_minute`, `tenant_connects_per_minute` (of each over the whole cluster, \
        0 is any number), `new_entries` (`open`, `approval`), `two_person`"),
    responses((status = 200, body = Object), (status = "default", body = ProblemBody))
)]
pub(crate) async fn change(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Json(change): Json<SettingsChange>,
) -> Result<Answer<Shown>, Problem> {
    caller.require(Right::Operate)?;
    api.write(&caller, change.command()).await?;
    Ok(Answer(Shown::of(&api.replica.state())))
}
