//! `/v1/namespaces`: private or public.

use super::{
    Api,
    body::{Json, Path},
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{Command, Namespace, Right};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What is said of a namespace.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamespaceBody {
    /// Seen only by tenants that list it, and by those who govern.
    private: bool,
}

/// Make a namespace private or public.
#[utoipa::path(
    put, path = "/v1/namespaces/{namespace}", tag = "governance", params(("namespace" = String, Path)),
    request_body = NamespaceBody,
    responses((status = 200, body = NamespaceBody), (status = "default", body = ProblemBody))
)]
pub(crate) async fn put(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(namespace): Path<String>,
    Json(body): Json<NamespaceBody>,
) -> Result<Answer<NamespaceBody>, Problem> {
    caller.require(Right::Operate)?;
    let namespace: Namespace =
        namespace.parse().map_err(|error| Problem::invalid(format!("namespace: {error}")))?;
    api.write(&caller, Command::PutNamespace { namespace, private: body.private }).await?;
    Ok(Answer(body))
}
