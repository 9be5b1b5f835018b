//! `POST /auth/…`: from a proof of who publishes to a token that says so, as `mcp-publisher` asks for it.

use super::{Api, body};
use crate::{
    clock,
    problem::{Problem, ProblemBody},
    publisher_auth::{Method, Place, Refusal, SignedTime},
    publisher_token::{self, Minted, Proven},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::{future::Future, sync::Arc};
use utoipa::ToSchema;

/// A token for the `Authorization` header of publications.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegistryToken {
    /// The token; clients need not look into it.
    registry_token: String,
    /// When it ends, five minutes from now, in seconds since the Unix epoch.
    expires_at: u64,
}

/// A token of an identity provider, or of GitHub Actions.
#[derive(Deserialize, ToSchema)]
pub(crate) struct OidcProof {
    /// The token, a JWT.
    oidc_token: String,
}

/// A token of an account at GitHub.
#[derive(Deserialize, ToSchema)]
pub(crate) struct GithubProof {
    /// A personal or OAuth access token. With the scope `read:org` it proves organisations as well.
    github_token: String,
}

/// Nothing.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NoProof {}

type Body<T> = Result<body::Json<T>, Problem>;

/// Prove a domain by a key in its TXT records, for the namespaces of the domain and all below it.
#[utoipa::path(
    post, path = "/auth/dns", tag = "publisher", request_body = SignedTime,
    responses(
        (status = 200, body = RegistryToken),
        (status = 401, description = "The proof proves nothing", body = ProblemBody),
        (status = 404, description = "This registry takes no such proofs", body = ProblemBody),
        (status = 429, description = "Too many proofs", body = ProblemBody, headers(("Retry-After" = u32))),
        (status = "default", description = "A refusal", body = ProblemBody),
    )
)]
pub(crate) async fn dns(State(api): State<Arc<Api>>, body: Body<SignedTime>) -> Result<Response, Problem> {
    let prove = async |proof: SignedTime| api.publisher_auth.domain(&proof, Place::Dns, clock::now()).await;
    exchange(&api, Method::Dns, body, prove).await
}

/// Prove a host by a key in its `/.well-known/mcp-registry-auth`, for the namespace of the host.
#[utoipa::path(
    post, path = "/auth/http", tag = "publisher", request_body = SignedTime,
    responses(
        (status = 200, body = RegistryToken),
        (status = 401, description = "The proof proves nothing", body = ProblemBody),
        (status = 404, description = "This registry takes no such proofs", body = ProblemBody),
        (status = 429, description = "Too many proofs", body = ProblemBody, headers(("Retry-After" = u32))),
        (status = "default", description = "A refusal", body = ProblemBody),
    )
)]
pub(crate) async fn http(State(api): State<Arc<Api>>, body: Body<SignedTime>) -> Result<Response, Problem> {
    let prove = async |proof: SignedTime| api.publisher_auth.domain(&proof, Place::Http, clock::now()).await;
    exchange(&api, Method::Http, body, prove).await
}

/// Prove what the rules of this registry grant to a token of an identity provider.
#[utoipa::path(
    post, path = "/auth/oidc", tag = "publisher", request_body = OidcProof,
    responses(
        (status = 200, body = RegistryToken),
        (status = 401, description = "The proof proves nothing", body = ProblemBody),
        (status = 404, description = "This registry takes no such proofs", body = ProblemBody),
        (status = 429, description = "Too many proofs", body = ProblemBody, headers(("Retry-After" = u32))),
        (status = "default", description = "A refusal", body = ProblemBody),
    )
)]
pub(crate) async fn oidc(State(api): State<Arc<Api>>, body: Body<OidcProof>) -> Result<Response, Problem> {
    let prove = async |proof: OidcProof| api.publisher_auth.oidc(&proof.oidc_token, &clock::clocks()).await;
    exchange(&api, Method::Oidc, body, prove).await
}

/// Prove by a token of GitHub Actions whose repositories a workflow runs for.
#[utoipa::path(
    post, path = "/auth/github-oidc", tag = "publisher", request_body = OidcProof,
    responses(
        (status = 200, body = RegistryToken),
        (status = 401, description = "The proof proves nothing", body = ProblemBody),
        (status = 404, description = "This registry takes no such proofs", body = ProblemBody),
        (status = 429, description = "Too many proofs", body = ProblemBody, headers(("Retry-After" = u32))),
        (status = "default", description = "A refusal", body = ProblemBody),
    )
)]
pub(crate) async fn github_oidc(
    State(api): State<Arc<Api>>,
    body: Body<OidcProof>,
) -> Result<Response, Problem> {
    let prove =
        async |proof: OidcProof| api.publisher_auth.github_oidc(&proof.oidc_token, &clock::clocks()).await;
    exchange(&api, Method::GithubOidc, body, prove).await
}

/// Prove an account at GitHub, and the organisations that it owns.
#[utoipa::path(
    post, path = "/auth/github-at", tag = "publisher", request_body = GithubProof,
    responses(
        (status = 200, body = RegistryToken),
        (status = 401, description = "The proof proves nothing", body = ProblemBody),
        (status = 404, description = "This registry takes no such proofs", body = ProblemBody),
        (status = 429, description = "Too many proofs", body = ProblemBody, headers(("Retry-After" = u32))),
        (status = "default", description = "A refusal", body = ProblemBody),
    )
)]
pub(crate) async fn github_at(
    State(api): State<Arc<Api>>,
    body: Body<GithubProof>,
) -> Result<Response, Problem> {
    let prove = async |proof: GithubProof| api.publisher_auth.github_at(&proof.github_token).await;
    exchange(&api, Method::GithubAt, body, prove).await
}

/// Prove nothing, for the namespace `io.modelcontextprotocol.anonymous`.
#[utoipa::path(
    post, path = "/auth/none", tag = "publisher", request_body = NoProof,
    responses(
        (status = 200, body = RegistryToken),
        (status = 404, description = "This registry takes no such proofs", body = ProblemBody),
        (status = 429, description = "Too many tokens", body = ProblemBody, headers(("Retry-After" = u32))),
        (status = "default", description = "A refusal", body = ProblemBody),
    )
)]
pub(crate) async fn none(State(api): State<Arc<Api>>, body: Body<NoProof>) -> Result<Response, Problem> {
    let prove = async |NoProof {}: NoProof| api.publisher_auth.nobody();
    // The official client sends an empty object, and its documentation shows a request without a body.
    let body = body.or(Ok(body::Json(NoProof {})));
    exchange(&api, Method::None, body, prove).await
}

/// Verifies a proof and signs what it grants.
async fn exchange<T, F: Future<Output = Result<Proven, Refusal>>>(
    api: &Api,
    method: Method,
    body: Body<T>,
    prove: impl FnOnce(T) -> F,
) -> Result<Response, Problem> {
    let proven = match admitted(api, method, body, prove).await {
        Ok(proven) => proven,
        Err(Failure::Body(problem)) => {
            api.metrics.publisher_auth(method, "malformed");
            return Err(problem);
        }
        Err(Failure::Proof(refusal)) => {
            api.metrics.publisher_auth(method, outcome(&refusal));
            return Err(refused(method, refusal));
        }
    };
    let Some(Minted { text, expires_at }) = sign(api, &proven) else {
        api.metrics.publisher_auth(method, "unavailable");
        return Err(Problem::no_signing_key());
    };
    api.metrics.publisher_auth(method, "granted");
    tracing::info!(subject = proven.subject.as_str(), "a publisher has a token");
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((no_store, Json(RegistryToken { registry_token: text, expires_at })).into_response())
}

enum Failure {
    Body(Problem),
    Proof(Refusal),
}

async fn admitted<T, F: Future<Output = Result<Proven, Refusal>>>(
    api: &Api,
    method: Method,
    body: Body<T>,
    prove: impl FnOnce(T) -> F,
) -> Result<Proven, Failure> {
    if !api.publisher_auth.offers(method) {
        return Err(Failure::Proof(Refusal::Disabled));
    }
    let body::Json(proof) = body.map_err(Failure::Body)?;
    let _place = api.publisher_auth.admit().map_err(Failure::Proof)?;
    prove(proof).await.map_err(Failure::Proof)
}

/// With the key that signs this node's descriptors, by what this node knows. A node that is cut off may not know that
/// its key was revoked; the others do, and believe nothing that it has signed.
fn sign(api: &Api, proven: &Proven) -> Option<Minted> {
    let (_, signer) = api.desk.signing.signer(&api.replica.state(), api.replica.node_id())?;
    publisher_token::mint(&signer, &api.desk.issuer, proven, clock::now().seconds())
}

fn outcome(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Disabled => "disabled",
        Refusal::Malformed(_) => "malformed",
        Refusal::Unproven(_) => "refused",
        Refusal::Unavailable(_) => "unavailable",
        Refusal::Busy | Refusal::RateLimited(_) => "rate_limited",
    }
}

fn refused(method: Method, refusal: Refusal) -> Problem {
    let name = method.as_str();
    match refusal {
        // The official registry does not register the routes of methods that are off, so that they are not found.
        Refusal::Disabled => {
            Problem::not_found("not_found", format!("this registry does not take proofs by `{name}`"))
        }
        Refusal::Malformed(detail) => Problem::invalid(detail),
        Refusal::Unproven(why) => {
            tracing::info!(method = name, why, "a publisher has proven nothing");
            Problem::unproven(needed(method))
        }
        Refusal::Unavailable(why) => {
            tracing::warn!(method = name, why, "a publisher's proof could not be verified");
            Problem::unavailable("proof_unavailable", "the proof could not be verified just now: try again")
        }
        Refusal::Busy => Problem::unavailable("busy", "too many proofs are being verified: try again"),
        Refusal::RateLimited(wait) => {
            Problem::rate_limited("more publishers prove themselves than this node takes", wait)
        }
    }
}

/// What a good proof is made of. Which part of this one was not, is for the operator: it would tell a stranger what this
/// node can reach, and whom it believes.
fn needed(method: Method) -> &'static str {
    match method {
        Method::Dns => {
            "not proven: a TXT record `v=MCPv1; k=ed25519; p=…` of the domain itself must hold the key that signed the \
             timestamp, which must be of the last 15 seconds"
        }
        Method::Http => {
            "not proven: `https://<domain>/.well-known/mcp-registry-auth` must hold, without a redirect, \
             `v=MCPv1; k=ed25519; p=…` with the key that signed the timestamp, which must be of the last 15 seconds"
        }
        Method::Oidc => {
            "not proven: the token must be a valid one, for this registry, of an issuer that it trusts, with a claim \
             that a rule grants something to"
        }
        Method::GithubOidc => {
            "not proven: the token must be a valid one of GitHub Actions, with this registry's audience"
        }
        Method::GithubAt => {
            "not proven: GitHub must know the token, and the account's name must fit a namespace"
        }
        Method::None => "not proven",
    }
}
