//! `/v1/tokens`: API tokens, shown once and kept as hashes.

use super::{
    Api,
    body::{Json, Path, Query},
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    clock,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State, http::StatusCode};
use hapi_registry_state::{
    ClientId, Command, NewToken, Outcome, Registry, Rejection, Right, Role, Timestamp, Token, TokenId, mint,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

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
    /// How many seconds it is valid; without this or `expires_at` until it is revoked.
    expires_in: Option<u64>,
    /// Until when it is valid instead (RFC 3339).
    expires_at: Option<String>,
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
    /// `valid`, `expired` or `revoked`.
    state: &'static str,
    /// When it was last used, as far as this node knows: other nodes tell at most hourly of theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

/// Which tokens to show; without any of these, all.
#[derive(Deserialize, IntoParams)]
pub(crate) struct TokensQuery {
    /// Only those of this role.
    role: Option<String>,
    /// Only those that stand for this client.
    client: Option<String>,
    /// Only those that are `valid`, `expired` or `revoked`.
    state: Option<String>,
    /// Only those that were not used since this instant (RFC 3339), or never, as far as is known.
    unused_since: Option<String>,
}

/// The same, understood.
struct Filter {
    role: Option<Role>,
    client: Option<ClientId>,
    state: Option<String>,
    unused_since: Option<Timestamp>,
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
    let shown = state.token(&id).map(|token| shape(&api, &state, &id, token));
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
            expires_at: end(self.expires_in, self.expires_at.as_deref())?,
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

/// Show tokens, without their texts.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "governance", params(TokensQuery),
    responses((status = 200, body = TokenList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Query(query): Query<TokensQuery>,
) -> Result<Answer<TokenList>, Problem> {
    caller.govern(&api).await?;
    let filter = Filter::parse(query)?;
    let state = api.replica.state();
    let taken = state.tokens().filter(|(id, token)| filter.takes(&api, &state, id, token));
    let tokens = taken.map(|(id, token)| shape(&api, &state, id, token)).collect();
    Ok(Answer(TokenList { tokens, index: state.applied() }))
}

/// Show a token, without its text.
#[utoipa::path(
    get, path = "/v1/tokens/{id}", tag = "governance", params(("id" = String, Path)),
    responses((status = 200, body = ShownToken), (status = "default", body = ProblemBody))
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<ShownToken>, Problem> {
    caller.govern(&api).await?;
    let (id, state) = (parse_id(&id)?, api.replica.state());
    let token = state.token(&id).ok_or_else(|| Problem::from(Rejection::TokenNotFound(id.clone())))?;
    Ok(Answer(shape(&api, &state, &id, token)))
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
    Ok(Answer(api.write(&caller, Command::RevokeToken(parse_id(&id)?)).await?.into()))
}

fn parse_id(text: &str) -> Result<TokenId, Problem> {
    text.parse().map_err(|_| Problem::invalid("a token id has 12 letters and digits: see `tokens list`"))
}

fn instant(name: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text)
        .ok_or_else(|| Problem::invalid(format!("`{name}` must be RFC 3339, as 2025-08-07T13:15:04Z")))
}

fn end(seconds: Option<u64>, instant_text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    match (seconds, instant_text) {
        (Some(_), Some(_)) => Err(Problem::invalid("say `expires_in` or `expires_at`, and not both")),
        (Some(seconds), None) => Ok(Some(clock::now().plus_seconds(seconds))),
        (None, Some(text)) => instant("expires_at", text).map(Some),
        (None, None) => Ok(None),
    }
}

impl Filter {
    fn parse(query: TokensQuery) -> Result<Self, Problem> {
        let TokensQuery { role, client, state, unused_since } = query;
        let is_state = |state: &String| matches!(state.as_str(), "valid" | "expired" | "revoked");
        if !state.as_ref().is_none_or(is_state) {
            return Err(Problem::invalid("`state` is valid, expired or revoked"));
        }
        let unused_since = unused_since.map(|text| instant("unused_since", &text)).transpose()?;
        let (role, client) = (parse_optional("role", role)?, parse_optional("client", client)?);
        Ok(Self { role, client, state, unused_since })
    }

    fn takes(&self, api: &Api, registry: &Registry, id: &TokenId, token: &Token) -> bool {
        let Self { role, client, state, unused_since } = self;
        role.is_none_or(|role| role == token.role)
            && client.as_ref().is_none_or(|client| token.client.as_ref() == Some(client))
            && state.as_ref().is_none_or(|state| state == state_of(token))
            && unused_since.is_none_or(|since| api.token_uses.last(id, registry).is_none_or(|at| at < since))
    }
}

fn state_of(token: &Token) -> &'static str {
    match token {
        Token { revoked_at: Some(_), .. } => "revoked",
        Token { expires_at: Some(end), .. } if *end <= clock::now() => "expired",
        _ => "valid",
    }
}

fn shape(api: &Api, registry: &Registry, id: &TokenId, token: &Token) -> ShownToken {
    ShownToken {
        id: id.to_string(),
        role: token.role.as_str(),
        client: token.client.as_ref().map(ToString::to_string),
        namespaces: token.namespaces.iter().map(ToString::to_string).collect(),
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|at| at.to_string()),
        revoked_at: token.revoked_at.map(|at| at.to_string()),
        state: state_of(token),
        last_used_at: api.token_uses.last(id, registry).map(|at| at.to_string()),
    }
}
