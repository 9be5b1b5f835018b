//! `/v1/webhooks`: who is told of what is done.

use super::{
    Api,
    body::{Json, Path},
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
    webhooks::Seen,
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{Command, Glob, GlobError, Registry, Right, Webhook, WebhookId, WebhookSettings};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use url::Url;
use utoipa::ToSchema;

/// A new webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhookBody {
    /// Its name.
    id: String,
    /// Where it is told: an https URL without user and password.
    url: String,
    /// Acts that it is told of, as in `/v1/events`, with `*` for anything; without any, all.
    #[serde(default)]
    acts: Vec<String>,
    /// Kinds of subjects, likewise.
    #[serde(default)]
    kinds: Vec<String>,
    /// Whether it is told already.
    #[serde(default = "yes")]
    active: bool,
    /// Begin behind this index; without it, with what is done from now on.
    since: Option<u64>,
}

/// What is to be changed of a webhook: all of it, but for its place.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookBody {
    /// Where it is told: an https URL without user and password.
    url: String,
    /// Acts that it is told of, as in `/v1/events`, with `*` for anything; without any, all.
    #[serde(default)]
    acts: Vec<String>,
    /// Kinds of subjects, likewise.
    #[serde(default)]
    kinds: Vec<String>,
    /// Whether it is told; a webhook that rests keeps its place.
    #[serde(default = "yes")]
    active: bool,
    /// Go on behind this index, further on or further back.
    skip_to: Option<u64>,
}

fn yes() -> bool {
    true
}

/// All webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookList {
    webhooks: Vec<ShownWebhook>,
    index: u64,
}

/// A webhook and how far it has come.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownWebhook {
    id: String,
    url: String,
    acts: Vec<String>,
    kinds: Vec<String>,
    active: bool,
    /// All up to this index was taken, as the log knows; after a change of the leader what came behind is told again.
    delivered: u64,
    /// Since when the next event has not been taken, if that is long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<String>,
    /// The index of the act that made these settings.
    index: u64,
    /// The base URL of the node that tells it: it alone shows `progress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    told_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ShownProgress>,
}

/// What the node that tells a webhook has seen since it began to.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookProgress)]
struct ShownProgress {
    /// When an event was last taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<String>,
    /// What went wrong since.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How many tries have failed, one after the other.
    failures: u32,
}

/// Show all webhooks.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "governance",
    responses((status = 200, body = WebhookList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<WebhookList>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    let webhooks = state.webhooks().map(|(id, webhook)| shape(&api, &state, id, webhook)).collect();
    Ok(Answer(WebhookList { webhooks, index: state.applied() }))
}

/// Tell somebody of what is done: each event as a POST of its own, in order, until it is answered with 2xx. Signed as
/// Standard Webhooks are (`v1a`, Ed25519), with the key of the cluster's JWK set that `webhook-key-id` names.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "governance", request_body = NewWebhookBody,
    responses((status = 200, body = ShownWebhook), (status = "default", body = ProblemBody))
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Json(body): Json<NewWebhookBody>,
) -> Result<Answer<ShownWebhook>, Problem> {
    caller.require(Right::Operate)?;
    let NewWebhookBody { id, url, acts, kinds, active, since } = body;
    let (id, webhook) = (parse_id(&id)?, settings(&api, url, &acts, &kinds, active)?);
    api.write(&caller, Command::CreateWebhook { id: id.clone(), webhook, since }).await?;
    one(&api, &id)
}

/// Change a webhook, let it rest, or let it go on elsewhere.
#[utoipa::path(
    put, path = "/v1/webhooks/{id}", tag = "governance", params(("id" = String, Path)), request_body = WebhookBody,
    responses((status = 200, body = ShownWebhook), (status = "default", body = ProblemBody))
)]
pub(crate) async fn change(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(body): Json<WebhookBody>,
) -> Result<Answer<ShownWebhook>, Problem> {
    caller.require(Right::Operate)?;
    let WebhookBody { url, acts, kinds, active, skip_to } = body;
    let (id, webhook) = (parse_id(&id)?, settings(&api, url, &acts, &kinds, active)?);
    api.write(&caller, Command::ChangeWebhook { id: id.clone(), webhook, skip_to }).await?;
    one(&api, &id)
}

/// Tell a webhook no more.
#[utoipa::path(
    delete, path = "/v1/webhooks/{id}", tag = "governance", params(("id" = String, Path)),
    responses((status = 200, body = Receipt), (status = "default", body = ProblemBody))
)]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    Ok(Answer(api.write(&caller, Command::RemoveWebhook(parse_id(&id)?)).await?.into()))
}

/// A password in the URL would stand in every log and every backup.
fn settings(
    api: &Api,
    url: String,
    acts: &[String],
    kinds: &[String],
    active: bool,
) -> Result<WebhookSettings, Problem> {
    let parsed: Url = url.parse().map_err(|error| Problem::invalid(format!("`url`: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https")
        || !parsed.username().is_empty()
        || parsed.password().is_some()
    {
        return Err(Problem::invalid("`url`: an https URL without user and password is needed"));
    }
    api.webhooks.outbound().check(&parsed).map_err(|error| Problem::invalid(format!("`url`: {error}")))?;
    let (acts, kinds) = (globs("acts", acts)?, globs("kinds", kinds)?);
    Ok(WebhookSettings { url, acts, kinds, active })
}

fn globs(field: &str, texts: &[String]) -> Result<Vec<Glob>, Problem> {
    let parsed: Result<_, GlobError> = texts.iter().map(|text| text.parse()).collect();
    parsed.map_err(|error| Problem::invalid(format!("`{field}`: {error}")))
}

fn parse_id(id: &str) -> Result<WebhookId, Problem> {
    id.parse().map_err(|error| Problem::invalid(format!("webhook id: {error}")))
}

fn one(api: &Api, id: &WebhookId) -> Result<Answer<ShownWebhook>, Problem> {
    let state = api.replica.state();
    let webhook = state.webhook(id).ok_or_else(|| {
        Problem::not_found("webhook_not_found", format!("there is no webhook {id}: see `webhooks list`"))
    })?;
    Ok(Answer(shape(api, &state, id, webhook)))
}

fn shape(api: &Api, state: &Registry, id: &WebhookId, webhook: &Webhook) -> ShownWebhook {
    let Webhook { settings, delivered, failing_since, index } = webhook;
    let text = |globs: &[Glob]| globs.iter().map(ToString::to_string).collect();
    let leader = api.replica.status().leader.and_then(|leader| state.member(leader));
    ShownWebhook {
        id: id.to_string(),
        url: settings.url.clone(),
        acts: text(&settings.acts),
        kinds: text(&settings.kinds),
        active: settings.active,
        delivered: *delivered,
        failing_since: failing_since.map(|at| at.to_string()),
        index: *index,
        told_by: leader.map(|leader| leader.http.clone()),
        progress: api.webhooks.seen(id).map(progress_of),
    }
}

fn progress_of(Seen { last_success, error, failures }: Seen) -> ShownProgress {
    ShownProgress { last_success: last_success.map(|at| at.to_string()), error, failures }
}
