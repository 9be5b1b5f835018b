//! Is the process alive, may it serve, what is it, and its metrics.

use super::Api;
use crate::problem::Problem;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;

/// How long a readiness probe waits for a majority's word.
const PROBE: Duration = Duration::from_secs(2);

/// `{"status":"ok"}`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
    /// By which application publishers log in at GitHub, where they may: `mcp-publisher` asks for it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    github_client_id: Option<String>,
}

/// The registry API's word for being alive.
#[utoipa::path(get, path = "/health", tag = "catalog", responses((status = 200, body = Health)))]
pub(crate) async fn health(State(api): State<Arc<Api>>) -> Json<Health> {
    let github_client_id = api.publisher_auth.github_client_id().map(str::to_owned);
    Json(Health { status: "ok", github_client_id })
}

/// `{"pong":true}`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pong {
    pong: bool,
}

/// Answers at once.
#[utoipa::path(get, path = "/ping", tag = "catalog", responses((status = 200, body = Pong)))]
pub(crate) async fn ping() -> Json<Pong> {
    Json(Pong { pong: true })
}

/// Which software this is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Version {
    version: &'static str,
    git_commit: &'static str,
    build_time: &'static str,
}

/// Which software this is.
#[utoipa::path(get, path = "/version", tag = "catalog", responses((status = 200, body = Version)))]
pub(crate) async fn version() -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION"),
        git_commit: option_env!("HAPI_GIT_COMMIT").unwrap_or("unknown"),
        build_time: option_env!("HAPI_BUILD_TIME").unwrap_or("unknown"),
    })
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/livez", tag = "cluster", responses((status = 200, body = Health)))]
pub(crate) async fn livez() -> Json<Health> {
    Json(Health { status: "ok", github_client_id: None })
}

/// Whether this node may answer connects.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    ready: bool,
    /// `valid`: this node decides itself; `none`: it hands connects to the leader.
    lease: &'static str,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Whether this node may answer connects: it has a serving lease and a key that signs, or reaches a leader
/// that has.
#[utoipa::path(
    get, path = "/readyz", tag = "cluster",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
pub(crate) async fn readyz(State(api): State<Arc<Api>>) -> (StatusCode, Json<Readiness>) {
    let lease = api.replica.permit();
    let node = api.replica.node_id();
    if lease.as_ref().is_some_and(|permit| api.desk.can_sign(permit.state(), node)) {
        return (StatusCode::OK, Json(Readiness { ready: true, lease: "valid", reason: None }));
    }
    let reason = unreachable_leader(&api).await;
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let lease = if lease.is_some() { "valid" } else { "none" };
    (status, Json(Readiness { ready: reason.is_none(), lease, reason }))
}

/// Why connects cannot be handed to another node, if they cannot.
async fn unreachable_leader(api: &Api) -> Option<String> {
    match tokio::time::timeout(PROBE, api.replica.read_index()).await {
        Err(_) => {
            return Some("no serving lease, and a majority of the cluster did not answer in time".into());
        }
        Ok(Err(error)) => {
            return Some(format!("no serving lease, and no word from a majority of the cluster: {error}"));
        }
        Ok(Ok(_)) => {}
    }
    let status = api.replica.status();
    (status.leader == Some(status.id))
        .then(|| "this node leads, and its lease or its key is not active yet".into())
}

/// Metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "cluster", responses((status = 200, body = String)))]
pub(crate) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    api.limits.show();
    let text = api.metrics.render().map_err(|error| {
        tracing::error!(%error, "the metrics cannot be rendered");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics cannot be rendered")
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
