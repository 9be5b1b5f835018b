//! `/v1/settings`: what changes decisions, the same on every node.

use super::{Api, body::Json};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{HealthGate, ModerationRules, Registry, Right, Settings, SettingsChange};
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
    #[serde(flatten)]
    gate: HealthGate,
}

impl Shown {
    fn of(state: &Registry) -> Self {
        let (rules, gate) = (state.moderation_rules(), state.health_gate().clone());
        Self { settings: state.settings().clone(), rules, gate }
    }
}

/// Change some settings; those that are not named stay.
#[utoipa::path(
    patch, path = "/v1/settings", tag = "governance",
    request_body(content = Object, description = "Any of `governed`, `anonymous_reads`, \
        `allow_insecure_endpoints`, `ttl_default`, `ttl_min`, `ttl_max`, `key_prepublish`, `strict`, \
        `strict_servers`, `client_connects_per_minute`, `tenant_connects_per_minute` (of each over the whole cluster, \
        0 is any number), `new_entries` (`open`, `approval`), `two_person`, `health_gate` (`off`, `on`), \
        `health_gate_servers`, `health_gate_exempt` (globs), `health_interval` (seconds), `health_timeout_ms`, \
        `health_failures`, `health_successes`"),
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
