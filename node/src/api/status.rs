//! The publisher's own word on what it has published: `PATCH …/status`, and `DELETE`, which says `deleted`.

use super::{
    Api,
    body::{self, Path},
    publish::show,
    servers::{ServerResponse, parse_version, server_name},
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json, extract::State};
use hapi_registry_state::{Command, Outcome, Right, ServerName, Status, Version};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A change of status.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StatusBody {
    /// `active`, `deprecated` or `deleted`.
    #[schema(value_type = StatusName)]
    status: Status,
    /// Why, in at most 500 characters; does not go with `active`.
    #[schema(max_length = 500)]
    status_message: Option<String>,
}

/// What a publisher says of a version.
#[derive(ToSchema)]
#[schema(as = Status, rename_all = "lowercase")]
#[expect(dead_code, reason = "describes what the registry's own type looks like in JSON")]
enum StatusName {
    Active,
    Deprecated,
    Deleted,
}

/// What came of a change of all versions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AllVersionsStatus {
    /// How many versions have a new status.
    updated_count: u32,
    /// All versions, the newest first.
    servers: Vec<ServerResponse>,
}

/// Set the status of one version.
#[utoipa::path(
    patch, path = "/servers/{server_name}/versions/{version}/status", tag = "catalog",
    params(
        ("server_name" = String, Path, description = "URL-encoded: `ai.acme%2Fweather`"),
        ("version" = String, Path, description = "URL-encoded, written out"),
    ),
    request_body = StatusBody,
    responses((status = 200, body = ServerResponse), (status = "default", body = ProblemBody))
)]
pub(crate) async fn set(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path((name, version)): Path<(String, String)>,
    body::Json(body): body::Json<StatusBody>,
) -> Result<Json<ServerResponse>, Problem> {
    change(&api, &caller, &server_name(&name)?, &parse_version(&version)?, body).await
}

/// Withdraw one version; it can be set active again.
#[utoipa::path(
    delete, path = "/servers/{server_name}/versions/{version}", tag = "catalog",
    params(
        ("server_name" = String, Path, description = "URL-encoded: `ai.acme%2Fweather`"),
        ("version" = String, Path, description = "URL-encoded, written out"),
    ),
    responses((status = 200, body = ServerResponse), (status = "default", body = ProblemBody))
)]
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ServerResponse>, Problem> {
    let deleted = StatusBody { status: Status::Deleted, status_message: None };
    change(&api, &caller, &server_name(&name)?, &parse_version(&version)?, deleted).await
}

/// Set the status of all versions, in one step.
#[utoipa::path(
    patch, path = "/servers/{server_name}/status", tag = "catalog",
    params(("server_name" = String, Path, description = "URL-encoded: `ai.acme%2Fweather`")),
    request_body = StatusBody,
    responses((status = 200, body = AllVersionsStatus), (status = "default", body = ProblemBody))
)]
pub(crate) async fn set_all(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(name): Path<String>,
    body::Json(body): body::Json<StatusBody>,
) -> Result<Json<AllVersionsStatus>, Problem> {
    caller.require(Right::Publish)?;
    let name = server_name(&name)?;
    let written = api.write(&caller, command(&name, None, body)).await?;
    let updated_count = match written.outcome {
        Outcome::StatusChanged { updated } => updated,
        _ => 0,
    };
    let versions = api.replica.state().entries(&name);
    Ok(Json(AllVersionsStatus {
        updated_count,
        servers: versions.iter().filter_map(ServerResponse::new).collect(),
    }))
}

async fn change(
    api: &Api,
    caller: &Authenticated,
    name: &ServerName,
    version: &Version,
    body: StatusBody,
) -> Result<Json<ServerResponse>, Problem> {
    caller.require(Right::Publish)?;
    let written = api.write(caller, command(name, Some(version), body)).await?;
    show(api, &written, name, version)
}

fn command(name: &ServerName, version: Option<&Version>, body: StatusBody) -> Command {
    Command::SetStatus {
        name: name.clone(),
        version: version.cloned(),
        status: body.status,
        message: body.status_message.filter(|message| !message.is_empty()),
    }
}
