//! `/v1/tenants`: which servers a company's clients may reach.

use super::{
    Api,
    body::{Json, Path},
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{Command, Right, Tenant, TenantId};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// All tenants.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantList {
    tenants: Vec<ShownTenant>,
    index: u64,
}

/// A tenant and its policy.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownTenant {
    id: String,
    /// `allow`, `block`, `require_verified`, `private_namespaces`, `strict`, `connects_per_minute`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    policy: Tenant,
}

/// Show all tenants.
#[utoipa::path(
    get, path = "/v1/tenants", tag = "governance",
    responses((status = 200, body = TenantList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<TenantList>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    let shape =
        |(id, policy): (&TenantId, &Tenant)| ShownTenant { id: id.to_string(), policy: policy.clone() };
    Ok(Answer(TenantList { tenants: state.tenants().map(shape).collect(), index: state.applied() }))
}

/// Register or change a tenant: `allow` and `block` are globs over server names, `block` wins.
#[utoipa::path(
    put, path = "/v1/tenants/{id}", tag = "governance", params(("id" = String, Path)),
    request_body(content = Object, description = "`allow`?, `block`?, `require_verified`?, `private_namespaces`?, \
        `strict`?, `connects_per_minute`? (of all its clients together; 0 is any number, absent is what the settings \
        say)"),
    responses((status = 200, body = ShownTenant), (status = "default", body = ProblemBody))
)]
pub(crate) async fn put(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(tenant): Json<Tenant>,
) -> Result<Answer<ShownTenant>, Problem> {
    caller.require(Right::Operate)?;
    let id: TenantId = id.parse().map_err(|error| Problem::invalid(format!("tenant id: {error}")))?;
    let shown = ShownTenant { id: id.to_string(), policy: tenant.clone() };
    api.write(&caller, Command::PutTenant { id, tenant }).await?;
    Ok(Answer(shown))
}
