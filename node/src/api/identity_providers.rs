//! `/v1/identity-providers`: whose tokens make callers, and of whom what.

use super::{
    Api,
    body::{Json, Path},
    receipt::Receipt,
    tokens::parse_optional,
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{
    Command, Glob, GlobError, IdentityProvider, IdentityProviderId, ProviderSettings, Rejection, Right,
    RoleRule, SigningAlgorithm, TenantRule,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use url::Url;
use utoipa::ToSchema;

/// Whose tokens are believed, and what they make of their bearers.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderBody {
    /// The `iss` of its tokens, character by character.
    issuer: String,
    /// What must be among the `aud` of its tokens.
    audience: String,
    /// What it may sign with: some of `RS256`, `ES256`, `EdDSA`.
    #[serde(default = "all")]
    #[schema(value_type = Vec<String>)]
    algorithms: Vec<SigningAlgorithm>,
    /// Where its keys are; without it, where its `/.well-known/openid-configuration` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_url: Option<String>,
    /// The first that fits gives the role; others of the same role add their namespaces.
    rules: Vec<RuleBody>,
    /// The claim with the client's id, or a JSON pointer to it.
    #[serde(default = "client_id")]
    client_claim: String,
    /// Which registered clients it may speak for, with `*` for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clients: Vec<String>,
    /// The tenant that those clients must belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// The claim that must hold the client's tenant instead, or a JSON pointer to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_claim: Option<String>,
    /// The id of the application there by which people sign in at the web console: a public client with PKCE, whose redirect
    /// URI is `/console/oidc/callback` of this registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    console_client_id: Option<String>,
}

/// What a claim makes of whoever has it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleBody {
    /// The name of the claim, or a JSON pointer to it, as `/realm_access/roles`.
    claim: String,
    /// What it must be, or contain if it is a list.
    value: String,
    /// `client`, `publisher`, `moderator`, `auditor` or `operator`.
    role: String,
    /// Where a publisher may publish, with `*` for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<String>,
}

fn all() -> Vec<SigningAlgorithm> {
    vec![SigningAlgorithm::Rs256, SigningAlgorithm::Es256, SigningAlgorithm::EdDsa]
}

/// As access tokens have it (RFC 9068).
fn client_id() -> String {
    "client_id".into()
}

/// An identity provider.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownProvider {
    id: String,
    #[serde(flatten)]
    #[schema(inline)]
    settings: ProviderBody,
    /// The index of the act that made these settings.
    index: u64,
}

/// All identity providers.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProviderList {
    identity_providers: Vec<ShownProvider>,
    index: u64,
}

/// Show all identity providers.
#[utoipa::path(
    get, path = "/v1/identity-providers", tag = "governance",
    responses((status = 200, body = ProviderList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<ProviderList>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    let identity_providers = state.identity_providers().map(|(id, provider)| shape(id, provider)).collect();
    Ok(Answer(ProviderList { identity_providers, index: state.applied() }))
}

/// Show an identity provider.
#[utoipa::path(
    get, path = "/v1/identity-providers/{id}", tag = "governance", params(("id" = String, Path)),
    responses((status = 200, body = ShownProvider), (status = "default", body = ProblemBody))
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<ShownProvider>, Problem> {
    caller.govern(&api).await?;
    one(&api, &parse_id(&id)?)
}

/// Believe an identity provider, or change what its tokens make of their bearers. What was granted by former settings
/// counts no more.
#[utoipa::path(
    put, path = "/v1/identity-providers/{id}", tag = "governance", params(("id" = String, Path)),
    request_body = ProviderBody,
    responses((status = 200, body = ShownProvider), (status = "default", body = ProblemBody))
)]
pub(crate) async fn put(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(body): Json<ProviderBody>,
) -> Result<Answer<ShownProvider>, Problem> {
    caller.require(Right::Operate)?;
    let (id, settings) = (parse_id(&id)?, body.settings()?);
    api.write(&caller, Command::PutIdentityProvider { id: id.clone(), settings }).await?;
    one(&api, &id)
}

/// Believe an identity provider no more. Descriptors of the clients that it spoke for end too.
#[utoipa::path(
    delete, path = "/v1/identity-providers/{id}", tag = "governance", params(("id" = String, Path)),
    responses((status = 200, body = Receipt), (status = "default", body = ProblemBody))
)]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    Ok(Answer(api.write(&caller, Command::RemoveIdentityProvider(parse_id(&id)?)).await?.into()))
}

impl ProviderBody {
    fn settings(self) -> Result<ProviderSettings, Problem> {
        url("issuer", &self.issuer)?;
        self.jwks_url.iter().try_for_each(|text| url("jwks_url", text))?;
        let tenant = match (parse_optional("tenant", self.tenant)?, self.tenant_claim) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("say `tenant` or `tenant_claim`, and not both"));
            }
            (Some(tenant), None) => Some(TenantRule::Fixed(tenant)),
            (None, claim) => claim.map(TenantRule::Claim),
        };
        Ok(ProviderSettings {
            issuer: self.issuer,
            audience: self.audience,
            algorithms: self.algorithms,
            jwks_url: self.jwks_url,
            roles: self.rules.into_iter().map(RuleBody::rule).collect::<Result<_, _>>()?,
            client_claim: self.client_claim,
            clients: globs("clients", &self.clients)?,
            tenant,
            console_client_id: self.console_client_id,
        })
    }
}

impl RuleBody {
    fn rule(self) -> Result<RoleRule, Problem> {
        let Self { claim, value, role, namespaces } = self;
        let role = role.parse().map_err(|error: String| Problem::invalid(format!("`role`: {error}")))?;
        Ok(RoleRule { claim, value, role, namespaces: globs("namespaces", &namespaces)? })
    }
}

/// Whether it may be asked, `outbound` decides; plain http needs `outbound.allow_private`.
fn url(field: &str, text: &str) -> Result<(), Problem> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    url.map(drop).ok_or_else(|| Problem::invalid(format!("`{field}` is no http or https URL")))
}

fn globs(field: &str, texts: &[String]) -> Result<Vec<Glob>, Problem> {
    let parsed: Result<_, GlobError> = texts.iter().map(|text| text.parse()).collect();
    parsed.map_err(|error| Problem::invalid(format!("`{field}`: {error}")))
}

fn parse_id(id: &str) -> Result<IdentityProviderId, Problem> {
    id.parse().map_err(|error| Problem::invalid(format!("identity provider id: {error}")))
}

fn one(api: &Api, id: &IdentityProviderId) -> Result<Answer<ShownProvider>, Problem> {
    let state = api.replica.state();
    let provider = state.identity_provider(id);
    let provider = provider.ok_or_else(|| Rejection::IdentityProviderNotFound(id.clone()))?;
    Ok(Answer(shape(id, provider)))
}

fn shape(id: &IdentityProviderId, provider: &IdentityProvider) -> ShownProvider {
    let texts = |globs: &[Glob]| globs.iter().map(ToString::to_string).collect();
    let settings = &provider.settings;
    let rule = |rule: &RoleRule| RuleBody {
        claim: rule.claim.clone(),
        value: rule.value.clone(),
        role: rule.role.to_string(),
        namespaces: texts(&rule.namespaces),
    };
    let (tenant, tenant_claim) = match &settings.tenant {
        None => (None, None),
        Some(TenantRule::Fixed(tenant)) => (Some(tenant.to_string()), None),
        Some(TenantRule::Claim(claim)) => (None, Some(claim.clone())),
    };
    let settings = ProviderBody {
        issuer: settings.issuer.clone(),
        audience: settings.audience.clone(),
        algorithms: settings.algorithms.clone(),
        jwks_url: settings.jwks_url.clone(),
        rules: settings.roles.iter().map(rule).collect(),
        client_claim: settings.client_claim.clone(),
        clients: texts(&settings.clients),
        tenant,
        tenant_claim,
        console_client_id: settings.console_client_id.clone(),
    };
    ShownProvider { id: id.to_string(), settings, index: provider.index }
}
