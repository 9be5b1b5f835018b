//! One question: whether an MCP server answers at an endpoint.

use crate::outbound::{Head, Outbound, OutboundError};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hapi_registry_state::HealthFault;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// The revisions of MCP that the two questions are of.
const STATELESS: &str = "2026-07-28";
const WITH_SESSIONS: &str = "2025-11-25";

/// How long ending a session may take that nobody needs.
const FAREWELL: Duration = Duration::from_secs(1);

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Somebody answers.
    Alive,
    /// Nobody does, or nobody who speaks MCP.
    Dead(HealthFault),
    /// This node may not ask there, which says nothing of the server.
    NotAllowed,
}

/// Asks once. Nothing of the answer's body is read, so that it may be as long as it likes.
pub(crate) async fn probe(outbound: &Outbound, endpoint: &str, patience: Duration) -> Seen {
    let Ok(url) = Url::parse(endpoint) else { return Seen::NotAllowed };
    let outbound = outbound.clone().patient(patience);
    // The two questions together have no longer than one.
    let asked = timeout(patience, ask(&outbound, &url)).await;
    match asked.unwrap_or(Err(OutboundError::Slow(patience))) {
        Ok(Answer { status, session }) => {
            if let Some(session) = session {
                let _ = timeout(FAREWELL, end(&outbound, &url, session)).await;
            }
            if is_alive(status) { Seen::Alive } else { Seen::Dead(HealthFault::Status(status.as_u16())) }
        }
        Err(OutboundError::Slow(_)) => Seen::Dead(HealthFault::Timeout),
        Err(OutboundError::NoHost(_) | OutboundError::Plain(_) | OutboundError::Private { .. }) => {
            Seen::NotAllowed
        }
        Err(_) => Seen::Dead(HealthFault::Unreachable),
    }
}

struct Answer {
    status: StatusCode,
    /// Which session was begun by asking, if one was.
    session: Option<HeaderValue>,
}

/// First as servers of today are asked. Older ones know no such method, and say so in many ways.
async fn ask(outbound: &Outbound, url: &Url) -> Result<Answer, OutboundError> {
    let mut headers = headers();
    headers.insert("mcp-protocol-version", HeaderValue::from_static(STATELESS));
    headers.insert("mcp-method", HeaderValue::from_static("server/discover"));
    let Head { status, .. } = post(outbound, url, headers, &discover()).await?;
    if is_alive(status) {
        return Ok(Answer { status, session: None });
    }
    let Head { status, headers } = post(outbound, url, self::headers(), &initialize()).await?;
    Ok(Answer { status, session: headers.get(SESSION).cloned() })
}

async fn post(
    outbound: &Outbound,
    url: &Url,
    headers: HeaderMap,
    body: &Value,
) -> Result<Head, OutboundError> {
    outbound.send(Method::POST, url.clone(), headers, body.to_string()).await
}

/// Whoever asks every minute must not leave a session behind every minute.
async fn end(outbound: &Outbound, url: &Url, session: HeaderValue) -> Result<Head, OutboundError> {
    let mut headers = headers();
    headers.insert(SESSION, session);
    headers.insert("mcp-protocol-version", HeaderValue::from_static(WITH_SESSIONS));
    outbound.send(Method::DELETE, url.clone(), headers, String::new()).await
}

/// A server that wants to know first who asks, or to be paid, or to be asked less often, is there.
fn is_alive(status: StatusCode) -> bool {
    status.is_success()
        || [
            StatusCode::UNAUTHORIZED,
            StatusCode::PAYMENT_REQUIRED,
            StatusCode::FORBIDDEN,
            StatusCode::TOO_MANY_REQUESTS,
        ]
        .contains(&status)
}

fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
    ])
}

fn asker() -> Value {
    json!({ "name": "hapi-registry", "version": env!("CARGO_PKG_VERSION") })
}

fn discover() -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": asker(),
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": meta } })
}

fn initialize() -> Value {
    let params = json!({ "protocolVersion": WITH_SESSIONS, "capabilities": {}, "clientInfo": asker() });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::config;
    use axum::{
        Json, Router,
        extract::State,
        http::Request,
        response::{IntoResponse, Response},
        routing::any,
    };
    use std::{
        future::pending,
        net::SocketAddr,
        sync::{Arc, Mutex},
    };
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// What a server was asked, by method of HTTP and of MCP.
    type Asked = Arc<Mutex<Vec<String>>>;

    fn outbound(allow_private: bool) -> Outbound {
        Outbound::new(&config::Outbound { allow_private, dns_server: None }).unwrap()
    }

    async fn serve(router: Router) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// A server of 2025, which begins a session and refuses everything outside of it.
    async fn with_sessions(State(asked): State<Asked>, request: Request<axum::body::Body>) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let method = body["method"].as_str().unwrap_or("-").to_owned();
        asked.lock().unwrap().push(format!("{} {method}", parts.method));
        match (&parts.method, method.as_str()) {
            (&Method::POST, "initialize") => ([(SESSION, "s1")], Json(json!({ "id": 1 }))).into_response(),
            (&Method::DELETE, _) if parts.headers[SESSION] == "s1" => StatusCode::OK.into_response(),
            _ => StatusCode::BAD_REQUEST.into_response(),
        }
    }

    async fn see(router: Router) -> Seen {
        let address = serve(router).await;
        probe(&outbound(true), &format!("http://{address}/mcp"), PATIENCE).await
    }

    #[tokio::test]
    async fn an_older_server_is_asked_in_its_own_way_and_keeps_no_session() {
        let asked = Asked::default();
        let router = Router::new().route("/mcp", any(with_sessions)).with_state(asked.clone());
        assert_eq!(see(router).await, Seen::Alive);
        assert_eq!(*asked.lock().unwrap(), ["POST server/discover", "POST initialize", "DELETE -"]);
    }

    #[tokio::test]
    async fn whoever_wants_to_know_who_asks_is_there_and_whoever_is_broken_is_not() {
        for (status, expected) in [
            (200, Seen::Alive),
            (202, Seen::Alive),
            (401, Seen::Alive),
            (402, Seen::Alive),
            (403, Seen::Alive),
            (429, Seen::Alive),
            (307, Seen::Dead(HealthFault::Status(307))),
            (400, Seen::Dead(HealthFault::Status(400))),
            (404, Seen::Dead(HealthFault::Status(404))),
            (500, Seen::Dead(HealthFault::Status(500))),
            (503, Seen::Dead(HealthFault::Status(503))),
        ] {
            let answer = move || async move { StatusCode::from_u16(status).unwrap() };
            assert_eq!(see(Router::new().fallback(answer)).await, expected, "{status}");
        }
    }

    #[tokio::test]
    async fn silence_a_closed_door_and_nobody_are_told_apart() {
        let silent = Router::new().fallback(|| async { pending::<StatusCode>().await });
        let address = serve(silent).await;
        let url = format!("http://{address}/mcp");
        let seen = probe(&outbound(true), &url, Duration::from_millis(100)).await;
        assert_eq!(seen, Seen::Dead(HealthFault::Timeout));

        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let closing = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream)
            }
        });
        let seen = probe(&outbound(true), &format!("http://{closing}/mcp"), PATIENCE).await;
        assert_eq!(seen, Seen::Dead(HealthFault::Unreachable));
    }

    #[tokio::test]
    async fn where_this_node_may_not_ask_nothing_is_said_of_the_server() {
        for url in ["https://127.0.0.1/mcp", "http://mcp.example/mcp", "https://localhost/mcp", "no url"] {
            assert_eq!(probe(&outbound(false), url, PATIENCE).await, Seen::NotAllowed, "{url}");
        }
    }
}
