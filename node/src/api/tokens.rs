//! `/v1/tokens`: API tokens, shown once and kept as hashes.

use super::{
    Api,
    body::{Json, Path},
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    clock,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State, http::StatusCode};
use hapi_registry_state::{Command, NewToken, Outcome, Right, Role, Token, TokenId, mint};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenBody {
    /// `client`, `publisher`, `moderator`, `auditor` or `operator`.
    role: String,
    /// The client that it stands for (role client); registered with this if it is new.
    client: Option<String>,
    /// The tenant of a new client.
    tenant: Option<String>,
    /// Namespaces that it may publish in, with `*` for anything (role publisher).
    #[serde(default)]
    namespaces: Vec<String>,
    /// How many seconds it is valid; without this until it is revoked.
    expires_in: Option<u64>,
}

/// A new token: the only time that its text is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedToken {
    token: String,
    #[serde(flatten)]
    #[schema(inline)]
    shown: ShownToken,
    index: u64,
}

/// A token without its text.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownToken {
    id: String,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

/// All tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenList {
    tokens: Vec<ShownToken>,
    index: u64,
}

/// Make a token.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "governance", request_body = NewTokenBody,
    responses((status = 201, body = CreatedToken), (status = "default", body = ProblemBody))
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Json(body): Json<NewTokenBody>,
) -> Result<(StatusCode, Answer<CreatedToken>), Problem> {
    caller.require(Right::Operate)?;
    let (text, new) = body.mint()?;
    let id = new.id.clone();
    let committed = api.write(&caller, Command::CreateToken(new)).await?;
    if let Outcome::Repeated { index, .. } = committed.outcome {
        let detail = "this token was made before, and its text is shown once: revoke it and make another one";
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail).at(index));
    }
    let state = api.replica.state();
    let shown = state.token(&id).map(|token| shape(&id, token));
    let shown =
        shown.ok_or_else(|| Problem::unavailable("outcome_unknown", "made, but not seen here yet"))?;
    Ok((StatusCode::CREATED, Answer(CreatedToken { token: text, shown, index: committed.index })))
}

impl NewTokenBody {
    fn mint(self) -> Result<(String, NewToken), Problem> {
        let field = |name: &'static str| move |error: String| Problem::invalid(format!("`{name}`: {error}"));
        let role: Role = self.role.parse().map_err(field("role"))?;
        let (text, presented) = mint(role, clock::random_bytes());
        let namespaces = self.namespaces.iter().map(|glob| glob.parse());
        let new = NewToken {
            id: presented.id,
            hash: presented.hash,
            role,
            client: parse_optional("client", self.client)?,
            tenant: parse_optional("tenant", self.tenant)?,
            namespaces: namespaces
                .collect::<Result<_, hapi_registry_state::GlobError>>()
                .map_err(|error| Problem::invalid(format!("`namespaces`: {error}")))?,
            expires_at: self.expires_in.map(|seconds| clock::now().plus_seconds(seconds)),
        };
        Ok((text, new))
    }
}

/// Parses a field that may be absent.
pub(crate) fn parse_optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<String>,
) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|error| Problem::invalid(format!("`{name}`: {error}")))).transpose()
}

/// Show all tokens, without their texts.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "governance",
    responses((status = 200, body = TokenList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<TokenList>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    let tokens = state.tokens().map(|(id, token)| shape(id, token)).collect();
    Ok(Answer(TokenList { tokens, index: state.applied() }))
}

/// End a token on every node.
#[utoipa::path(
    delete, path = "/v1/tokens/{id}", tag = "governance", params(("id" = String, Path)),
    responses((status = 200, body = Receipt), (status = "default", body = ProblemBody))
)]
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    let id: TokenId = id
        .parse()
        .map_err(|_| Problem::invalid("a token id has 12 letters and digits: see `tokens list`"))?;
    Ok(Answer(api.write(&caller, Command::RevokeToken(id)).await?.into()))
}

fn shape(id: &TokenId, token: &Token) -> ShownToken {
    ShownToken {
        id: id.to_string(),
        role: token.role.as_str(),
        client: token.client.as_ref().map(ToString::to_string),
        namespaces: token.namespaces.iter().map(ToString::to_string).collect(),
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|at| at.to_string()),
        revoked_at: token.revoked_at.map(|at| at.to_string()),
    }
}
