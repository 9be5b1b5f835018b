//! `POST /oauth2/token`: a connect, asked for in OAuth's way.

use super::{
    client::{self, Bearer, ClientForm},
    form::Form,
};
use crate::{
    api::Api,
    issue::{Answered, Ask, Counted},
    limits::{Certificate, Origin},
    problem::{OAuthBody, OAuthProblem},
};
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use hapi_descriptor::SCOPE_CONNECT;
use hapi_registry_state::{Caller, ConnectRequest, Credential, Endpoint, Resource};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Instant};
use utoipa::ToSchema;

/// What a client asks for. Parameters that are not listed are ignored.
#[derive(Deserialize, ToSchema)]
pub(crate) struct TokenForm {
    /// `client_credentials`.
    grant_type: Option<String>,
    /// The endpoint of the server that is to be reached (RFC 8707).
    resource: Option<String>,
    /// If given, `mcp:connect` must be among it. Other scopes are not granted, and the answer says so.
    scope: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    #[expect(
        dead_code,
        reason = "read where the client is authenticated, and listed here for the description"
    )]
    client: ClientForm,
}

/// A yes.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenAnswer {
    /// The Connect Descriptor.
    access_token: String,
    token_type: &'static str,
    /// Its life, in seconds.
    expires_in: u32,
    scope: &'static str,
}

impl TokenAnswer {
    fn new(access_token: String, expires_in: u32) -> Self {
        Self { access_token, token_type: "Bearer", expires_in, scope: SCOPE_CONNECT }
    }
}

/// Decide a connect and answer with an access token.
#[utoipa::path(
    post, path = "/oauth2/token", tag = "connect",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A Connect Descriptor as access token", body = TokenAnswer),
        (
            status = 429, description = "The budget of the client or of its tenant is spent", body = OAuthBody,
            headers(("Retry-After" = u32, description = "Seconds to wait")),
        ),
        (status = "default", description = "A refusal (RFC 6749 §5.2)", body = OAuthBody),
    )
)]
pub(crate) async fn token(State(api): State<Arc<Api>>, request: Request) -> Response {
    match grant(&api, request).await {
        Ok(answer) => no_store(Json(answer).into_response()),
        Err(problem) => problem.into_response(),
    }
}

/// RFC 6749 §5.1.
pub(super) fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whoever shows no credential learns nothing else.
async fn grant(api: &Api, request: Request) -> Result<TokenAnswer, OAuthProblem> {
    let (from, certificate) = (Origin::of(request.extensions()), Certificate::of(request.extensions()));
    let (headers, form) = Form::read(request).await?;
    let (credential, caller) =
        client::authenticate(api, from, &certificate, &headers, &form, Bearer::Refused).await?;
    form.check_repetition()?;
    let form: TokenForm = form.parameters()?;
    check_grant(&form)?;
    // Before anything is looked for: whoever may ask no more learns nothing of what there is.
    let mut counted = Counted::default();
    api.desk.spend(&api.replica, &credential, &mut counted).inspect_err(|problem| {
        api.metrics.decision(problem.code());
    })?;
    let resource = resource(api, form.resource.as_deref(), &caller).await?;
    decide(api, credential, resource, counted).await
}

fn check_grant(form: &TokenForm) -> Result<(), OAuthProblem> {
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => return Err(OAuthProblem::unsupported_grant()),
        None => return Err(OAuthProblem::invalid("grant_type is missing: send client_credentials")),
    }
    let wanted = form.scope.as_deref().unwrap_or(SCOPE_CONNECT);
    if wanted.split(' ').any(|scope| scope == SCOPE_CONNECT) {
        return Ok(());
    }
    Err(OAuthProblem::invalid_scope(format!("the only scope is {SCOPE_CONNECT}")))
}

/// The one server that the resource is. One that this node does not know may have been published elsewhere a moment
/// ago: nobody is told that it does not exist before a majority was asked.
async fn resource(api: &Api, text: Option<&str>, caller: &Caller) -> Result<Resource, OAuthProblem> {
    let text =
        text.ok_or_else(|| OAuthProblem::invalid("resource is missing: name the server's endpoint"))?;
    let endpoint = Endpoint::parse(text);
    let endpoint = endpoint.map_err(|error| OAuthProblem::invalid_resource(format!("resource: {error}")))?;
    let find = || api.replica.state().resource(&endpoint, caller.tenant.as_ref());
    if let Some(found) = find() {
        return Ok(found);
    }
    api.replica.read_index().await.map_err(crate::problem::Problem::from)?;
    find().ok_or_else(OAuthProblem::unknown_resource)
}

/// Puts the question to the desk, as `/v1/connect` does.
async fn decide(
    api: &Api,
    credential: Credential,
    resource: Resource,
    counted: Counted,
) -> Result<TokenAnswer, OAuthProblem> {
    let Resource { server, variables } = resource;
    let request = ConnectRequest { server, client_id: None, tenant_id: None, variables, ttl: None };
    let ask = Ask { credential, request, min_index: None };
    let began = Instant::now();
    let answered = api.desk.issue(&api.replica, &api.metrics, &ask, counted).await;
    api.metrics.connected(began.elapsed());
    match answered {
        Ok(Answered::Here(issued)) => {
            api.metrics.decision("ok");
            Ok(TokenAnswer::new(issued.descriptor, issued.decision.ttl))
        }
        // Counted where it was decided.
        Ok(Answered::Elsewhere(handed)) => match handed.read::<Yes, No>() {
            Some(Ok(Yes { descriptor, expires_in })) => Ok(TokenAnswer::new(descriptor, expires_in)),
            Some(Err(no)) => Err(OAuthProblem::refused(&no.code, &no.detail, no.index, no.retry_after)),
            None => Err(crate::problem::Problem::no_serving_lease().into()),
        },
        Err(problem) => {
            api.metrics.decision(problem.code());
            Err(problem.into())
        }
    }
}

/// What is needed of the leader's answer to a connect.
#[derive(Deserialize)]
struct Yes {
    descriptor: String,
    expires_in: u32,
}

/// What is needed of the leader's refusal.
#[derive(Deserialize)]
struct No {
    code: String,
    detail: String,
    index: Option<u64>,
    retry_after: Option<u32>,
}
