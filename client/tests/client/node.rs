//! A node that answers as it is told, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hapi_client::Client;
use hapi_descriptor::{Claims, ClientClaim, Jti, KeySet, SCOPE_CONNECT, Seq, ServerClaim, Signer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const ISSUER: &str = "https://registry.acme.example";
pub(crate) const ENDPOINT: &str = "https://payments.acme.example/mcp";
pub(crate) const SERVER: &str = "ai.acme/payments";
pub(crate) const CREDENTIAL: &str = "hapi_client_test";

/// One scripted answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Json(u16, Value),
    RetryAfter(u16, u64, Value),
    /// Status 200 with a body as it is.
    Raw(&'static str),
    /// No answer at all.
    Silence,
}

#[derive(Debug, Default)]
struct Script {
    replies: VecDeque<Reply>,
    jwks: String,
    asked: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
}

impl Node {
    /// Listens, and answers with these replies in turn. The key set holds the usual key.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script =
            Script { replies: replies.into_iter().collect(), jwks: jwks(&[&signer()]), asked: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, script }
    }

    /// What it was asked so far, as `METHOD /path`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    /// How often it was asked for a path.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|line| line.ends_with(path)).count()
    }

    pub(crate) fn connects(&self) -> usize {
        self.count("/v1/connect")
    }

    pub(crate) fn publish(&self, signers: &[&Signer]) {
        self.script.lock().unwrap().jwks = jwks(signers);
    }
}

/// An address where nobody listens.
pub(crate) async fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

pub(crate) fn client(nodes: impl IntoIterator<Item = impl Into<String>>) -> Client {
    Client::builder().nodes(nodes).credential(CREDENTIAL).timeout(Duration::from_secs(5)).build().unwrap()
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let reply = {
        let mut script = script.lock().unwrap();
        script.asked.push(format!("{method} {uri}"));
        match uri.path() {
            "/.well-known/mcp-connect-authority" => Reply::Json(200, json!({"issuer": ISSUER})),
            "/.well-known/jwks.json" => Reply::Json(200, serde_json::from_str(&script.jwks).unwrap()),
            "/echo" => Reply::Json(200, echo(&headers, &body)),
            _ => script.replies.pop_front().unwrap_or_else(granted),
        }
    };
    match reply {
        Reply::Json(status, body) => respond(status, body),
        Reply::RetryAfter(status, seconds, body) => {
            ([(RETRY_AFTER, seconds.to_string())], respond(status, body)).into_response()
        }
        Reply::Raw(body) => body.into_response(),
        Reply::Silence => std::future::pending().await,
    }
}

fn respond(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

fn echo(headers: &HeaderMap, body: &Bytes) -> Value {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let text = String::from_utf8_lossy(body);
    let body = serde_json::from_str::<Value>(&text).unwrap_or_else(|_| json!(text));
    let mut echo = json!({"authorization": authorization, "body": body});
    for name in ["content-type", "idempotency-key", "prefer"] {
        if let Some(value) = headers.get(name) {
            echo[name] = json!(value.to_str().ok());
        }
    }
    echo
}

pub(crate) fn signer() -> Signer {
    Signer::from_seed([1; 32].into())
}

fn jwks(signers: &[&Signer]) -> String {
    signers.iter().map(|signer| signer.public_jwk().clone()).collect::<KeySet>().to_json()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// An honest claim set for [`SERVER`], issued now for 60 s.
pub(crate) fn claims() -> Claims {
    Claims {
        iss: ISSUER.into(),
        aud: ENDPOINT.into(),
        iat: now(),
        exp: now() + 60,
        jti: Jti::new([7; 16]),
        scope: SCOPE_CONNECT.into(),
        server: ServerClaim {
            id: SERVER.into(),
            version: "2.1.0".into(),
            verified: true,
            jwks_uri: None,
            tls_pin_sha256: None,
        },
        client: ClientClaim { id: "agent-7".into(), tenant: None },
        seq: Seq::from_parts(1, 42).unwrap(),
    }
}

/// The answer that grants a connection by these claims, whatever they say.
pub(crate) fn grant(signer: &Signer, claims: &Claims) -> Reply {
    let descriptor = signer.sign(claims);
    Reply::Json(
        200,
        json!({"descriptor": descriptor, "endpoint": ENDPOINT, "expires_in": 60, "index": 42, "warnings": ["old"]}),
    )
}

pub(crate) fn granted() -> Reply {
    grant(&signer(), &claims())
}

/// A refusal in the API's envelope.
pub(crate) fn problem(status: u16, code: &str) -> Reply {
    Reply::Json(status, problem_body(status, code))
}

pub(crate) fn problem_body(status: u16, code: &str) -> Value {
    json!({"type": "about:blank", "status": status, "detail": format!("because {code}"), "code": code, "error": code})
}
