//! `/v1/clients`: who may ask for descriptors.

use super::{
    Api,
    body::{Json, Path},
    tokens::parse_optional,
};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_descriptor::Jwk;
use hapi_registry_state::{CertificateName, Client, ClientId, Command, PublicKey, Right};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::ToSchema;

/// A client as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientBody {
    /// The tenant that it belongs to.
    tenant: Option<String>,
    /// Its public keys, as Ed25519 JWKs.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Box<RawValue>>,
    /// The certificates that it proves itself by in mutual TLS, each by one of `san_uri`, `san_dns` and `x5t#S256`
    /// (the SHA-256 of the certificate, in base64url). No two clients have the same.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    certificates: Vec<CertificateName>,
}

/// All clients.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClientList {
    clients: Vec<ShownClient>,
    index: u64,
}

/// A registered client.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownClient {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Jwk>,
    #[schema(value_type = Vec<Object>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<CertificateName>,
    created_at: String,
}

/// Show all clients.
#[utoipa::path(
    get, path = "/v1/clients", tag = "governance",
    responses((status = 200, body = ClientList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<ClientList>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    let clients = state.clients().map(|(id, client)| shape(id, client)).collect();
    Ok(Answer(ClientList { clients, index: state.applied() }))
}

/// Register or change a client.
#[utoipa::path(
    put, path = "/v1/clients/{id}", tag = "governance", params(("id" = String, Path)),
    request_body = ClientBody,
    responses((status = 200, body = ShownClient), (status = "default", body = ProblemBody))
)]
pub(crate) async fn put(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(body): Json<ClientBody>,
) -> Result<Answer<ShownClient>, Problem> {
    caller.require(Right::Operate)?;
    let id: ClientId = id.parse().map_err(|error| Problem::invalid(format!("client id: {error}")))?;
    let tenant = parse_optional("tenant", body.tenant)?;
    let keys = body.keys.iter().map(|key| Jwk::from_json(key.get().as_bytes()).map(PublicKey::from));
    let keys = keys.collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|error| Problem::invalid(format!("`keys`: {error}")))?;
    let certificates = body.certificates.into_iter().map(CertificateName::normalised).collect();
    api.write(&caller, Command::put_client(id.clone(), tenant, keys, certificates)).await?;
    let state = api.replica.state();
    let client = state.client(&id).map(|client| shape(&id, client));
    client
        .map(Answer)
        .ok_or_else(|| Problem::unavailable("outcome_unknown", "written, but not seen here yet"))
}

fn shape(id: &ClientId, client: &Client) -> ShownClient {
    ShownClient {
        id: id.to_string(),
        tenant: client.tenant.as_ref().map(ToString::to_string),
        keys: client.keys.iter().map(|key| key.jwk().clone()).collect(),
        certificates: client.certificates.clone(),
        created_at: client.created_at.to_string(),
    }
}
