//! `POST /oauth2/introspect` (RFC 7662): is this descriptor good at this moment?

use super::{
    client::{self, Bearer, ClientForm},
    form::Form,
    token::no_store,
};
use crate::{
    api::Api,
    clock,
    limits::{Certificate, Origin},
    problem::{OAuthBody, OAuthProblem, Problem},
};
use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use hapi_descriptor::{Claims, Expectations, KeySet, Seq, Typ, Verified, open, verify};
use hapi_registry_state::{Caller, ClientId, Registry, Right, Role, ServerName, TenantId, Version};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What is asked.
#[derive(Deserialize, ToSchema)]
pub(crate) struct IntrospectForm {
    /// The descriptor.
    token: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    #[expect(
        dead_code,
        reason = "read where the client is authenticated, and listed here for the description"
    )]
    client: ClientForm,
}

/// What the present state says of a descriptor. One that is not good, or not the caller's to know, is not active,
/// and nothing else is said.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Introspection {
    active: bool,
    #[serde(flatten)]
    #[schema(inline)]
    claims: Option<ShownClaims>,
}

/// What an active descriptor says.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownClaims {
    token_type: &'static str,
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    scope: String,
    iat: u64,
    exp: u64,
    jti: String,
    /// The server that it is for.
    server: String,
    /// Which of its versions.
    version: String,
}

/// Tell whether a descriptor is good: clients of their own, those who govern of any.
#[utoipa::path(
    post, path = "/oauth2/introspect", tag = "connect",
    request_body(content = IntrospectForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Introspection), (status = "default", body = OAuthBody))
)]
pub(crate) async fn introspect(State(api): State<Arc<Api>>, request: Request) -> Response {
    match look(&api, request).await {
        Ok(answer) => no_store(Json(answer).into_response()),
        Err(problem) => problem.into_response(),
    }
}

async fn look(api: &Api, request: Request) -> Result<Introspection, OAuthProblem> {
    let (from, certificate) = (Origin::of(request.extensions()), Certificate::of(request.extensions()));
    let (headers, form) = Form::read(request).await?;
    let (_, caller) = client::authenticate(api, from, &certificate, &headers, &form, Bearer::Taken).await?;
    if caller.role != Role::Client && !caller.role.may(Right::ReadGovernance) {
        return Err(OAuthProblem::forbidden("a publisher has no descriptors to ask about"));
    }
    form.check_repetition()?;
    let form: IntrospectForm = form.parameters()?;
    let token = form.token.ok_or_else(|| OAuthProblem::invalid("token is missing"))?;
    // What was denied elsewhere a moment ago counts: a majority is asked how far the log reaches.
    api.replica.read_index().await.map_err(Problem::from)?;
    let now = clock::now().seconds();
    let verified = verified(&api.replica.state(), &api.desk.issuer, &token, now);
    let seen = verified.filter(|verified| sees(&caller, &verified.claims));
    Ok(seen.map_or_else(Introspection::default, |verified| shape(verified.claims)))
}

/// The descriptor, if by `state` it is good now. A verifier's leeway is for clocks that differ, and ours is the one
/// that counts here.
fn verified(state: &Registry, issuer: &str, token: &str, now: u64) -> Option<Verified> {
    let keys: KeySet = state.published_keys().cloned().collect();
    let opened = open(token, Typ::Descriptor, &keys).ok()?;
    let audience = opened.payload.get("aud")?.as_str()?;
    let verified = verify(token, &keys, &Expectations { issuer, audience, server: None }, now).ok()?;
    let is_dead = state.dead_keys().any(|kid| kid.as_str() == verified.kid)
        || verified.claims.seq < floor(state, &verified.claims)?;
    (now < verified.claims.exp && !is_dead).then_some(verified)
}

/// The position below which such a descriptor is dead; `None` for claims that no decision of ours has.
fn floor(state: &Registry, claims: &Claims) -> Option<Seq> {
    let server: ServerName = claims.server.id.parse().ok()?;
    let version = Version::parse_imported(&claims.server.version).ok()?;
    let client: ClientId = claims.client.id.parse().ok()?;
    let tenant: Option<TenantId> = claims.client.tenant.as_deref().map(str::parse).transpose().ok()?;
    Seq::from_parts(state.incarnation(), state.floor(&server, &version, &client, tenant.as_ref()))
}

fn sees(caller: &Caller, claims: &Claims) -> bool {
    let is_own = caller.client.as_ref().is_some_and(|client| client.as_str() == claims.client.id);
    is_own || caller.role.may(Right::ReadGovernance)
}

fn shape(claims: Claims) -> Introspection {
    let shown = ShownClaims {
        token_type: "Bearer",
        sub: format!("client:{}", claims.client.id),
        client_id: claims.client.id,
        iss: claims.iss,
        aud: claims.aud,
        scope: claims.scope,
        iat: claims.iat,
        exp: claims.exp,
        jti: claims.jti.to_string(),
        server: claims.server.id,
        version: claims.server.version,
    };
    Introspection { active: true, claims: Some(shown) }
}
