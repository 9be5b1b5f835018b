//! `POST /v1/connect`: may I connect?

use super::{
    Api,
    body::{Json, object},
};
use crate::{
    auth, clock,
    issue::{Answered, Ask, Counted, Issued},
    limits::{Certificate, Origin},
    problem::{Problem, ProblemBody},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use hapi_registry_state::{ConnectRequest, Credential};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use utoipa::ToSchema;

/// What a client asks for. Unknown fields are ignored, since clients of later versions may send more.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ConnectBody {
    /// `namespace/name` or `namespace/name@version`; without a version, the latest stable one.
    #[schema(example = "ai.acme/payments")]
    server_ref: String,
    /// Who the caller says it is; must agree with the token.
    #[serde(default, deserialize_with = "object")]
    client: ConnectClient,
    /// Values for `{placeholders}` in the URL of the chosen remote.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// The life that the client would like, in seconds; clamped to the range that the cluster allows.
    ttl: Option<u32>,
    /// Answer only from a state at or above this index.
    min_index: Option<u64>,
}

/// Who the caller says it is.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct ConnectClient {
    client_id: Option<String>,
    tenant_id: Option<String>,
}

/// A yes.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectAnswer {
    /// The Connect Descriptor: a JWS in compact serialisation.
    descriptor: String,
    /// Where to connect to, and the descriptor's audience.
    endpoint: String,
    /// The descriptor's life, in seconds.
    expires_in: u32,
    /// Which server.
    server: ConnectServer,
    /// The index of the state that decided.
    index: u64,
    /// What the client should know beside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The server that a descriptor is for.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectServer {
    id: String,
    version: String,
    verified: bool,
}

impl ConnectBody {
    fn parse(self, credential: Credential) -> Result<Ask, Problem> {
        let server =
            self.server_ref.parse().map_err(|error| Problem::invalid(format!("`server_ref`: {error}")))?;
        let ConnectClient { client_id, tenant_id } = self.client;
        let request =
            ConnectRequest { server, client_id, tenant_id, variables: self.variables, ttl: self.ttl };
        Ok(Ask { credential, request, min_index: self.min_index })
    }
}

impl From<Issued> for ConnectAnswer {
    fn from(Issued { descriptor, decision }: Issued) -> Self {
        Self {
            descriptor,
            endpoint: decision.endpoint.as_written().to_owned(),
            expires_in: decision.ttl,
            server: ConnectServer {
                id: decision.server.to_string(),
                version: decision.version.to_string(),
                verified: decision.verified,
            },
            index: decision.index,
            warnings: decision.warnings,
        }
    }
}

/// Decide a connect and sign the decision. Without a token, the certificate of the connection says who asks (mutual TLS).
#[utoipa::path(
    post, path = "/v1/connect", tag = "connect", request_body = ConnectBody,
    responses(
        (status = 200, description = "A short-lived Connect Descriptor", body = ConnectAnswer),
        (
            status = 429, description = "The budget of the client or of its tenant is spent", body = ProblemBody,
            headers(("Retry-After" = u32, description = "Seconds to wait")),
        ),
        (status = "default", description = "A refusal", body = ProblemBody),
    )
)]
pub(crate) async fn connect(
    State(api): State<Arc<Api>>,
    from: Origin,
    certificate: Certificate,
    headers: HeaderMap,
    body: Result<Json<ConnectBody>, Problem>,
) -> Response {
    let began = Instant::now();
    let answered = answer(&api, from, &certificate, &headers, body).await;
    api.metrics.connected(began.elapsed());
    match answered {
        Ok(Answered::Here(issued)) => {
            api.metrics.decision("ok");
            respond(&ConnectAnswer::from(*issued))
        }
        // Counted where it was decided.
        Ok(Answered::Elsewhere(handed)) => handed.into_response(),
        Err(problem) => {
            api.metrics.decision(problem.code());
            problem.into_response()
        }
    }
}

/// The same under the registry API's prefix for extensions.
#[utoipa::path(
    post, path = "/x/ai.com.mcp/connect", tag = "connect", request_body = ConnectBody,
    responses(
        (status = 200, description = "A short-lived Connect Descriptor", body = ConnectAnswer),
        (
            status = 429, description = "The budget of the client or of its tenant is spent", body = ProblemBody,
            headers(("Retry-After" = u32, description = "Seconds to wait")),
        ),
        (status = "default", description = "A refusal", body = ProblemBody),
    )
)]
pub(crate) async fn connect_extension(
    state: State<Arc<Api>>,
    from: Origin,
    certificate: Certificate,
    headers: HeaderMap,
    body: Result<Json<ConnectBody>, Problem>,
) -> Response {
    connect(state, from, certificate, headers, body).await
}

/// What most answers take: growing into it step by step would copy them several times.
const ANSWER_BYTES: usize = 1_536;

fn respond(answer: &ConnectAnswer) -> Response {
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    match serde_json::to_writer(&mut body, answer) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        // Texts and numbers have a JSON form.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whoever shows no credential learns nothing else, not even whether its body was well-formed.
async fn answer(
    api: &Api,
    from: Origin,
    certificate: &Certificate,
    headers: &HeaderMap,
    body: Result<Json<ConnectBody>, Problem>,
) -> Result<Answered, Problem> {
    let credential = auth::credential(api, from, certificate, headers).await?;
    let credential = credential.ok_or_else(Problem::unauthenticated)?;
    // Before anything is asked of others: what nobody here knows may be a guess.
    if api.replica.state().authenticate(&credential, clock::now()).is_none() {
        api.limits.guess(from.0)?;
    }
    let Json(body) = body?;
    let ask = body.parse(credential)?;
    let answered = api.desk.issue(&api.replica, &api.metrics, &ask, Counted::default()).await;
    // A yes proves the credential; after a no it is looked at once more.
    let is_yes = matches!(answered, Ok(Answered::Here(_)));
    if is_yes || api.replica.state().authenticate(&ask.credential, clock::now()).is_some() {
        auth::note_use(api, &ask.credential);
    }
    answered
}
