//! The public HTTP API: one file a resource, one table of routes.

mod act_requests;
mod audit;
mod backup;
mod body;
mod caught_up;
mod clients;
mod cluster;
mod connect;
mod description;
mod docs;
mod events;
mod health;
mod identity_providers;
mod import;
mod keys;
mod mirrors;
mod moderation;
mod namespaces;
mod oauth;
mod publish;
mod publisher_auth;
mod receipt;
mod restore;
mod revocations;
mod rights;
mod seals;
mod search;
mod servers;
mod settings;
mod status;
mod tenants;
mod tokens;
mod webhooks;
mod well_known;

pub(crate) use act_requests::ShownRequest;
pub(crate) use audit::{ShownSubject, hex};
pub(crate) use body::{SMALL, read as read_body};
pub(crate) use cluster::{member_state, role};
pub(crate) use connect::ConnectAnswer;
pub(crate) use moderation::{ActBody, ActReply, perform};
pub(crate) use oauth::Replays;
pub(crate) use publish::errors;
pub(crate) use receipt::Receipt;
pub(crate) use rights::{Callers, console_callers};

use crate::{
    auth::Authenticated,
    console::{self, Rates},
    cursor::CursorKeys,
    events::EventStreams,
    feed::Feed,
    identity::Identities,
    issue::Desk,
    limits::{Limit, Limits},
    metrics::Metrics,
    mirror::Mirrors,
    problem::Problem,
    publisher_auth::PublisherAuth,
    rankings::Rankings,
    token_use::TokenUses,
    traces,
    webhooks::Webhooks,
};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hapi_raft::{Committed, Covered, Replica, trace};
use hapi_registry_state::{Command, Outcome, RequestKey};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What every handler may use.
pub(crate) struct Api {
    pub(crate) replica: Replica,
    pub(crate) desk: Arc<Desk>,
    pub(crate) feed: Arc<Feed>,
    /// Who follows what is done.
    pub(crate) events: Arc<EventStreams>,
    /// What this node sees of other registries, if it leads.
    pub(crate) mirrors: Arc<Mirrors>,
    /// Who is told of what is done, by this node if it leads.
    pub(crate) webhooks: Arc<Webhooks>,
    /// When tokens were last used here.
    pub(crate) token_uses: Arc<TokenUses>,
    /// The assertions that clients have used here.
    pub(crate) replays: Replays,
    /// Whom identity providers vouch for.
    pub(crate) identities: Identities,
    /// What publishers prove themselves by, beside API tokens.
    pub(crate) publisher_auth: PublisherAuth,
    pub(crate) metrics: Arc<Metrics>,
    /// How much of this node callers may take up.
    pub(crate) limits: Arc<Limits>,
    /// What was searched for lately.
    pub(crate) rankings: Rankings,
    /// Places for documents that strangers have judged.
    pub(crate) validations: Semaphore,
    /// Places for backups that are being taken here.
    pub(crate) backups: Arc<Semaphore>,
    /// What the console shows of this node's last minutes; nothing where there is no console.
    pub(crate) console: Option<Arc<Rates>>,
    /// Base URL that clients reach this node by.
    pub(crate) http: String,
    /// Whether requests that are part of no trace may begin one.
    pub(crate) exports_traces: bool,
    /// See [`caught_up::CaughtUp`].
    pub(crate) caught_up: AtomicBool,
}

/// A write that is done, and binds every node if it denies something.
pub(crate) struct Written {
    pub(crate) index: u64,
    pub(crate) outcome: Outcome,
    /// How each node was covered, if the write had to be sealed and that is still known.
    pub(crate) nodes: Vec<Covered>,
}

impl Api {
    /// The keys of the catalog's cursors, as the cluster secrets in force give them.
    pub(crate) fn cursors(&self) -> CursorKeys {
        CursorKeys::new(self.replica.derive("catalog cursor v1"))
    }

    /// Proposes `command` in the caller's name, once under the caller's name for the request if it has one,
    /// and waits until every node obeys what it denies. Turns a rejection into a problem, and a seal that is
    /// not complete in time into 202.
    pub(crate) async fn write(&self, caller: &Authenticated, command: Command) -> Result<Written, Problem> {
        let key = caller.request_key(&command);
        self.write_as(caller, command, key).await
    }

    /// The same without the caller's name for the request: for one of several writes of one request.
    pub(crate) async fn write_unnamed(
        &self,
        caller: &Authenticated,
        command: Command,
    ) -> Result<Written, Problem> {
        self.write_as(caller, command, None).await
    }

    async fn write_as(
        &self,
        caller: &Authenticated,
        command: Command,
        key: Option<RequestKey>,
    ) -> Result<Written, Problem> {
        caller.check_namespace(&command)?;
        let committed = self.replica.propose_named(caller.principal(), command, key).await?;
        let Committed { index, outcome, seal } = committed;
        if let Outcome::Rejected(rejection) = outcome {
            return Err(Problem::from(rejection).at(index));
        }
        let nodes = match seal {
            None => Vec::new(),
            Some(seal) => {
                let sealed = self.replica.sealed(seal, caller.wait()).await;
                sealed.map_err(|_| Problem::not_sealed(seal))?.nodes
            }
        };
        Ok(Written { index, outcome, nodes })
    }
}

/// The description of this API, generated from the code.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "HAPI Registry",
        description = "A distributed MCP registry that is a Connect Authority: it says what exists, and whether \
                       a client may connect to it now. All errors are problem details (RFC 9457) with a `code`."
    ),
    tags(
        (name = "connect", description = "May I connect?"),
        (name = "catalog", description = "The MCP registry API, under /v0 and /v0.1"),
        (name = "publisher", description = "Who publishes: proofs for tokens of five minutes, under /v0 and /v0.1"),
        (name = "governance", description = "Moderation, credentials, tenants, settings, audit"),
        (name = "cluster", description = "The nodes and their health"),
    )
)]
struct Description;

/// All routes, with the layers that every request passes.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let (governance, governance_description) = governance().split_for_parts();
    let (catalog, catalog_description) = catalog().split_for_parts();
    let description = complete(catalog_description, governance_description);
    let page: Arc<str> = docs::page(&description).into();
    let description: Arc<str> = description.to_string().into();
    let describe = move || async move { json_text(description.to_string()) };
    let show_page = move || async move { docs::respond(page.to_string()) };
    let observed = || middleware::from_fn_with_state(api.clone(), observe);
    let interface = Router::new()
        .merge(governance)
        .nest("/v0", catalog.clone())
        .nest("/v0.1", catalog)
        .route("/openapi.json", get(describe))
        .route("/docs", get(show_page))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(observed())
        .layer(cors());
    // Pages for browsers, which no other site may read: they have no part in what is said of origins above.
    let pages = match api.console {
        Some(_) => console::router(&api).layer(CatchPanicLayer::custom(panicked)).layer(observed()),
        None => Router::new(),
    };
    interface.merge(pages).with_state(api)
}

/// What `/openapi.json` says.
fn complete(catalog: utoipa::openapi::OpenApi, governance: utoipa::openapi::OpenApi) -> serde_json::Value {
    let mut description = Description::openapi().nest("/v0.1", catalog);
    description.merge(governance);
    description.info.version = env!("CARGO_PKG_VERSION").into();
    serde_json::to_value(description).map(description::complete).unwrap_or_default()
}

#[cfg(test)]
fn described() -> serde_json::Value {
    complete(catalog().into_openapi(), governance().into_openapi())
}

fn catalog() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(servers::list))
        .routes(routes!(servers::versions))
        .routes(routes!(servers::version, publish::edit, status::delete))
        .routes(routes!(status::set))
        .routes(routes!(status::set_all))
        .routes(routes!(publish::publish))
        .routes(routes!(publish::validate))
        .routes(routes!(publisher_auth::dns))
        .routes(routes!(publisher_auth::http))
        .routes(routes!(publisher_auth::oidc))
        .routes(routes!(publisher_auth::github_oidc))
        .routes(routes!(publisher_auth::github_at))
        .routes(routes!(publisher_auth::none))
        .routes(routes!(health::health))
        .routes(routes!(health::ping))
        .routes(routes!(health::version))
        .routes(routes!(connect::connect_extension))
}

fn governance() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(connect::connect))
        .routes(routes!(search::search))
        .routes(routes!(oauth::authorize))
        .routes(routes!(oauth::token))
        .routes(routes!(oauth::introspect))
        .routes(routes!(revocations::show))
        .routes(routes!(revocations::stream))
        .routes(routes!(moderation::act, moderation::records))
        .routes(routes!(act_requests::list))
        .routes(routes!(act_requests::confirm))
        .routes(routes!(act_requests::reject))
        .routes(routes!(tokens::create, tokens::list))
        .routes(routes!(tokens::show, tokens::revoke))
        .routes(routes!(identity_providers::list))
        .routes(routes!(identity_providers::show, identity_providers::put, identity_providers::remove))
        .routes(routes!(clients::list))
        .routes(routes!(clients::put))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::put))
        .routes(routes!(namespaces::put))
        .routes(routes!(keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::retire))
        .routes(routes!(keys::rotate))
        .routes(routes!(settings::show, settings::change))
        .routes(routes!(import::import))
        .routes(routes!(mirrors::list))
        .routes(routes!(mirrors::show, mirrors::put, mirrors::remove))
        .routes(routes!(mirrors::take))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::change, webhooks::remove))
        .routes(routes!(audit::records))
        .routes(routes!(audit::head))
        .routes(routes!(events::events))
        .routes(routes!(cluster::show))
        .routes(routes!(cluster::checkpoint))
        .routes(routes!(cluster::remove))
        .routes(routes!(cluster::transfer_leader))
        .routes(routes!(backup::take))
        .routes(routes!(restore::confirm))
        .routes(routes!(seals::show))
        .routes(routes!(well_known::jwks))
        .routes(routes!(well_known::connect_authority))
        .routes(routes!(well_known::authorization_server))
        .routes(routes!(well_known::openid_configuration))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

/// Browsers may call from anywhere: what protects the API is the token, which no browser adds by itself. A client's
/// certificate it would add, but only to requests with credentials, whose answers no page may read: nothing here says that
/// it may.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::any())
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("prefer"),
            HeaderName::from_static("idempotency-key"),
            trace::TRACEPARENT,
            trace::TRACESTATE,
        ])
        .max_age(Duration::from_secs(3_600))
}

/// Counts, times and traces each request by its route, never by its path: paths are unbounded.
async fn observe(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let method = request.method().clone();
    let started = Instant::now();
    let response = match traces::of_request(api.exports_traces, &method, route, request.headers()) {
        // Boxed, so that the future of all other requests stays small.
        Some(span) => Box::pin(traces::follow(span, answer_in_time(&api.limits, request, next))).await,
        None => answer_in_time(&api.limits, request, next).await,
    };
    api.metrics.request(&method, route, response.status(), started.elapsed());
    response
}

/// A handler that waits for what never comes must not hold its caller, and its place, for ever. What it has begun may be
/// done all the same, as with any caller that hangs up.
async fn answer_in_time(limits: &Limits, request: Request, next: Next) -> Response {
    let patience = Duration::from_millis(limits.settings.request_timeout_ms);
    tokio::time::timeout(patience, answer(request, next)).await.unwrap_or_else(|_| {
        limits.counters.count(Limit::RequestTimeout);
        Problem::unavailable("request_timeout", "this node did not come to an answer in time").into_response()
    })
}

async fn answer(request: Request, next: Next) -> Response {
    match without_trailing_slash(&request) {
        Some(redirect) => redirect,
        None if has_nul(request.uri().path()) => {
            Problem::invalid("the path contains a NUL byte").into_response()
        }
        None => next.run(request).await,
    }
}

fn without_trailing_slash(request: &Request) -> Option<Response> {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    // A path that begins with two slashes would be read as another host in a `Location`.
    if trimmed.len() == path.len() || trimmed.is_empty() || path.starts_with("//") {
        return None;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = HeaderValue::from_str(&format!("{trimmed}{query}")).ok()?;
    Some((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, target)]).into_response())
}

fn has_nul(path: &str) -> bool {
    path.contains("%00")
}

async fn no_route() -> Problem {
    Problem::not_found("not_found", "there is no such path: see /openapi.json")
}

async fn no_method() -> Problem {
    let detail = "this path does not take that method: see /openapi.json";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// A panic is a bug: it is logged with its message, and the client learns only that it happened.
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(message, "a handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "an error on our side").into_response()
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
