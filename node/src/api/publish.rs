//! Documents: `POST /publish`, `PUT …/versions/{version}` and `POST /validate`.

use super::{
    Api, Written,
    body::{self, Path},
    servers::{ServerResponse, parse_version, server_name},
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{
    Json,
    extract::{Request, State},
};
use hapi_registry_state::{
    Command, Issue, Rejection, Right, Rules, ServerJson, ServerName, Severity, Strictness, Version,
    validate as inspect,
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The largest `server.json`, in bytes; the parser refuses what is larger with the same limit.
const MAX_DOCUMENT: usize = 256 * 1024;

/// Publish an immutable version.
#[utoipa::path(
    post, path = "/publish", tag = "catalog",
    request_body(content = Object, description = "A `server.json` document"),
    responses((status = 200, body = ServerResponse), (status = "default", body = ProblemBody))
)]
pub(crate) async fn publish(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    request: Request,
) -> Result<Json<ServerResponse>, Problem> {
    caller.require(Right::Publish)?;
    let bytes = body::read(request, MAX_DOCUMENT).await?;
    let document = ServerJson::parse(&bytes, rules(&api)).map_err(|issues| refused(&issues))?.server;
    let (name, version) = (document.name().clone(), document.version().clone());
    // Versions never go: what is known here to exist needs no entry of the log to be refused. But whoever may not publish
    // there is told that alone, or strangers would learn what a private namespace holds.
    let spares = !caller.may_repeat() && caller.publishes(&name);
    if spares && api.replica.state().entry(&name, &version).is_some() {
        let (name, version) = (name.to_string(), version.to_string());
        return Err(Rejection::VersionExists { name, version }.into());
    }
    let written = api.write(&caller, Command::Publish(document)).await?;
    show(&api, &written, &name, &version)
}

/// Change what a published version says of itself; what clients connect by never changes.
#[utoipa::path(
    put, path = "/servers/{server_name}/versions/{version}", tag = "catalog",
    params(
        ("server_name" = String, Path, description = "URL-encoded: `ai.acme%2Fweather`"),
        ("version" = String, Path, description = "URL-encoded, written out"),
    ),
    request_body(content = Object, description = "The whole `server.json` document, as it is to be"),
    responses((status = 200, body = ServerResponse), (status = "default", body = ProblemBody))
)]
pub(crate) async fn edit(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Json<ServerResponse>, Problem> {
    caller.require(Right::Publish)?;
    let (name, version) = (server_name(&name)?, parse_version(&version)?);
    let bytes = body::read(request, MAX_DOCUMENT).await?;
    let document = ServerJson::parse(&bytes, rules(&api)).map_err(|issues| refused(&issues))?.server;
    if (document.name(), document.version()) != (&name, &version) {
        return Err(Problem::invalid(format!(
            "the document is of {}@{}, the path of {name}@{version}: neither name nor version can change",
            document.name(),
            document.version()
        )));
    }
    let written = api.write(&caller, Command::Edit(document)).await?;
    show(&api, &written, &name, &version)
}

/// A version as it is after a write.
pub(crate) fn show(
    api: &Api,
    written: &Written,
    name: &ServerName,
    version: &Version,
) -> Result<Json<ServerResponse>, Problem> {
    let listed = api.replica.state().entry(name, version);
    listed.as_ref().and_then(ServerResponse::new).map(Json).ok_or_else(|| {
        // The entry is committed; only this node has not seen it yet.
        Problem::unavailable("outcome_unknown", format!("written at index {}", written.index))
    })
}

/// What is wrong with a document, if anything.
#[derive(Serialize, ToSchema)]
pub(crate) struct Validation {
    /// Whether `publish` would take it, as far as the document itself is concerned.
    valid: bool,
    /// What was found.
    #[schema(value_type = Vec<Object>)]
    issues: Vec<Issue>,
}

/// Judge a document without publishing it. Needs no token.
#[utoipa::path(
    post, path = "/validate", tag = "catalog",
    request_body(content = Object, description = "A `server.json` document"),
    responses((status = 200, body = Validation), (status = 413, body = ProblemBody))
)]
pub(crate) async fn validate(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<Validation>, Problem> {
    let busy = |_| Problem::unavailable("busy", "too many documents are being judged: try again");
    let _place = api.validations.try_acquire().map_err(busy)?;
    let bytes = body::read(request, MAX_DOCUMENT).await?;
    let issues = inspect(&bytes, rules(&api));
    let valid = !issues.iter().any(|issue| issue.severity == Severity::Error);
    Ok(Json(Validation { valid, issues }))
}

fn rules(api: &Api) -> Rules {
    let allow_insecure_endpoints = api.replica.state().settings().allow_insecure_endpoints;
    Rules { strictness: Strictness::Publish, allow_insecure_endpoints }
}

/// Broken JSON is a bad request; a document that breaks the rules cannot be processed.
fn refused(issues: &[Issue]) -> Problem {
    let text = errors(issues);
    let broken = issues.iter().any(|issue| issue.kind == hapi_registry_state::IssueKind::Json);
    if broken { Problem::invalid(text) } else { Problem::unprocessable(text) }
}

/// The errors among `issues`, in one sentence.
pub(crate) fn errors(issues: &[Issue]) -> String {
    let errors = issues.iter().filter(|issue| issue.severity == Severity::Error);
    let texts = errors.map(|issue| match issue.path.as_str() {
        "" => issue.message.clone(),
        path => format!("{path}: {}", issue.message),
    });
    texts.collect::<Vec<_>>().join("; ")
}
