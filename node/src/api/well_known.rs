//! What every node publishes for verifiers and clients, the same on each.

use super::{Api, caught_up::CaughtUp, json_text};
use crate::{config, problem::ProblemBody};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hapi_descriptor::{KeySet, SCOPE_CONNECT};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use utoipa::ToSchema;

/// How long a verifier may keep the key set, in seconds. A new key is published at least twice as long
/// before it signs.
const JWKS_MAX_AGE: &str = "public, max-age=30";

/// The public keys that descriptors verify with, as a JWK set (RFC 7517).
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "connect",
    responses(
        (status = 200, body = Object), (status = 304, description = "Not changed"),
        (status = 503, description = "This node may lack keys: ask another one", body = ProblemBody),
    )
)]
pub(crate) async fn jwks(_: CaughtUp, State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let keys: KeySet = api.replica.state().published_keys().cloned().collect();
    let text = keys.to_json();
    let etag = format!("\"{}\"", super::audit::hex(&Sha256::digest(&text)[..16]));
    let same = headers.get(header::IF_NONE_MATCH).is_some_and(|known| mentions(known, &etag));
    let mut response = if same { StatusCode::NOT_MODIFIED.into_response() } else { json_text(text) };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(JWKS_MAX_AGE));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// RFC 9110 §13.1.2: a list of entity tags, perhaps weak, or `*`.
pub(super) fn mentions(if_none_match: &HeaderValue, etag: &str) -> bool {
    let listed = |list: &str| {
        list.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag || tag == "*")
    };
    if_none_match.to_str().is_ok_and(listed)
}

/// How this authority is used.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectAuthority {
    issuer: String,
    connect_endpoint: String,
    jwks_uri: String,
    /// The header in which a descriptor travels beside the user's own authorization.
    descriptor_header: &'static str,
    algorithms: [&'static str; 1],
    /// Where to ask what is dead before its time.
    revocations_endpoint: String,
    /// The same as server-sent events.
    revocations_stream: String,
    /// The life of descriptors, in seconds.
    ttl: TtlRange,
}

/// A range of seconds.
#[derive(Serialize, ToSchema)]
struct TtlRange {
    default: u32,
    min: u32,
    max: u32,
}

/// How this authority is used.
#[utoipa::path(
    get, path = "/.well-known/mcp-connect-authority", tag = "connect",
    responses((status = 200, body = ConnectAuthority))
)]
pub(crate) async fn connect_authority(State(api): State<Arc<Api>>) -> Json<ConnectAuthority> {
    let issuer = api.desk.issuer.clone();
    let state = api.replica.state();
    let settings = state.settings();
    Json(ConnectAuthority {
        connect_endpoint: under(&issuer, "/v1/connect"),
        jwks_uri: under(&issuer, "/.well-known/jwks.json"),
        revocations_endpoint: under(&issuer, "/v1/revocations"),
        revocations_stream: under(&issuer, "/v1/revocations/stream"),
        issuer,
        descriptor_header: "MCP-Connect",
        algorithms: ["EdDSA"],
        ttl: TtlRange { default: settings.ttl_default, min: settings.ttl_min, max: settings.ttl_max },
    })
}

/// Authorization server metadata (RFC 8414).
///
/// Machines use the token endpoint alone. `authorization_endpoint` and `response_types_supported` stand here since
/// widespread MCP SDKs fail on metadata without them; whoever goes there is told that no such grant is given.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthorizationServer {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    introspection_endpoint: String,
    jwks_uri: String,
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 1],
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 1],
    response_types_supported: [&'static str; 1],
    scopes_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
}

/// How clients prove themselves at the endpoints for machines; the last one where clients' certificates are verified.
const AUTH_METHODS: [&str; 4] =
    ["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"];

fn auth_methods(settings: &config::Http) -> Vec<&'static str> {
    let verifies = settings.tls_cert.is_some() && settings.client_ca.is_some();
    AUTH_METHODS.into_iter().filter(|method| verifies || *method != "tls_client_auth").collect()
}

/// Authorization server metadata (RFC 8414).
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", tag = "connect",
    responses((status = 200, body = AuthorizationServer))
)]
pub(crate) async fn authorization_server(State(api): State<Arc<Api>>) -> Json<AuthorizationServer> {
    let issuer = api.desk.issuer.clone();
    let methods = auth_methods(&api.limits.settings);
    Json(AuthorizationServer {
        authorization_endpoint: under(&issuer, "/oauth2/authorize"),
        token_endpoint: under(&issuer, "/oauth2/token"),
        introspection_endpoint: under(&issuer, "/oauth2/introspect"),
        grant_types_supported: ["client_credentials"],
        token_endpoint_auth_methods_supported: methods.clone(),
        token_endpoint_auth_signing_alg_values_supported: ["EdDSA"],
        introspection_endpoint_auth_methods_supported: methods,
        introspection_endpoint_auth_signing_alg_values_supported: ["EdDSA"],
        jwks_uri: under(&issuer, "/.well-known/jwks.json"),
        issuer,
        response_types_supported: ["code"],
        scopes_supported: [SCOPE_CONNECT],
        id_token_signing_alg_values_supported: ["EdDSA"],
        subject_types_supported: ["public"],
    })
}

/// The same where OpenID Connect clients look for it.
#[utoipa::path(
    get, path = "/.well-known/openid-configuration", tag = "connect",
    responses((status = 200, body = AuthorizationServer))
)]
pub(crate) async fn openid_configuration(state: State<Arc<Api>>) -> Json<AuthorizationServer> {
    authorization_server(state).await
}

pub(super) fn under(issuer: &str, path: &str) -> String {
    format!("{}{path}", issuer.trim_end_matches('/'))
}
