//! An MCP client on the official SDK for Rust, whose leave to connect our own client keeps fresh.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::BoxStream;
use hapi_client::{Client, ConnectError, ConnectRequest, Session};
use http::{HeaderName, HeaderValue};
use rmcp::model::{
    CallToolRequestParams, ClientJsonRpcMessage, ClientNotification, CustomNotification, ProtocolVersion,
};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Value, json};
use sse_stream::Sse;

use crate::server::{TOOL, arguments};

type Result<T> = std::result::Result<T, StreamableHttpError<reqwest::Error>>;
type Headers = HashMap<HeaderName, HeaderValue>;

/// Which revision of MCP the client speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Revision {
    /// 2025-11-25: a session that begins with `initialize`.
    Sessions,
    /// 2026-07-28.
    Stateless,
}

/// Yields the descriptor for the next request, or says why there is none.
type Leave = Arc<dyn Fn() -> std::result::Result<String, String> + Send + Sync>;

/// The SDK's HTTP client, with a descriptor on every request. Once there is none, nothing is sent.
#[derive(Clone)]
struct Boarded {
    http: reqwest::Client,
    leave: Leave,
}

impl Boarded {
    fn board(&self, mut headers: Headers) -> Result<Headers> {
        let descriptor = (self.leave)().map_err(|end| {
            StreamableHttpError::UnexpectedServerResponse(format!("not sent: {end}").into())
        })?;
        headers.insert(HeaderName::from_static("mcp-connect"), descriptor.parse().unwrap());
        Ok(headers)
    }
}

impl StreamableHttpClient for Boarded {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse> {
        self.http.post_message(uri, message, session, auth, self.board(headers)?).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<()> {
        self.http.delete_session(uri, session, auth, self.board(headers)?).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<BoxStream<'static, std::result::Result<Sse, SseError>>> {
        self.http.get_stream(uri, session, last_event, auth, self.board(headers)?).await
    }
}

/// Passes the guard's notices on.
struct Listener {
    session: Arc<Session>,
    notices: Arc<AtomicUsize>,
}

impl ClientHandler for Listener {
    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        _: NotificationContext<RoleClient>,
    ) {
        if notification.method == "notifications/connect/refresh_required" {
            self.notices.fetch_add(1, Ordering::Relaxed);
            let exp = notification.params.and_then(|params| params["exp"].as_u64());
            self.session.refresh_required(exp.expect("the notice says what ends"));
        }
    }
}

/// A connected client.
pub(crate) struct RustClient {
    service: RunningService<RoleClient, Listener>,
    pub(crate) session: Arc<Session>,
    notices: Arc<AtomicUsize>,
}

impl RustClient {
    /// Asks the registry for leave, and connects.
    pub(crate) async fn open(
        client: &Client,
        server: &str,
        revision: Revision,
    ) -> std::result::Result<Self, ConnectError> {
        let request = ConnectRequest { server_ref: server.into(), ..ConnectRequest::default() };
        let session = Arc::new(client.open(request).await?);
        let endpoint = session.boarding().unwrap().endpoint;
        let notices = Arc::<AtomicUsize>::default();
        let listener = Listener { session: session.clone(), notices: notices.clone() };
        let kept = session.clone();
        let leave = move || match kept.boarding() {
            Ok(boarding) => Ok(boarding.descriptor),
            Err(end) => Err(end.to_string()),
        };
        let service = connect(listener, Arc::new(leave), endpoint, revision).await;
        Ok(Self { service, session, notices })
    }

    /// Calls the tool.
    pub(crate) async fn call(&self) -> std::result::Result<Value, String> {
        call(&self.service).await
    }

    /// How often the guard has asked for a fresh descriptor on the session's stream.
    pub(crate) fn notices(&self) -> usize {
        self.notices.load(Ordering::Relaxed)
    }

    /// When the newest descriptor ends, in seconds since the Unix epoch.
    pub(crate) fn exp(&self) -> u64 {
        self.session.boarding().unwrap().expires_at()
    }
}

/// A client that sends one and the same descriptor in its header for ever.
pub(crate) struct PinnedClient(RunningService<RoleClient, ()>);

impl PinnedClient {
    pub(crate) async fn open(descriptor: String, endpoint: &str) -> Self {
        let leave: Leave = Arc::new(move || Ok(descriptor.clone()));
        Self(connect((), leave, endpoint.to_owned(), Revision::Sessions).await)
    }

    /// Calls the tool.
    pub(crate) async fn call(&self) -> std::result::Result<Value, String> {
        call(&self.0).await
    }

    /// Renews its session by a message.
    pub(crate) async fn refresh(&self, descriptor: &str) {
        let params = json!({ "descriptor": descriptor });
        let message = CustomNotification::new("notifications/connect/refresh", Some(params));
        self.0.send_notification(ClientNotification::CustomNotification(message)).await.unwrap();
    }
}

async fn connect<H: ClientHandler>(
    handler: H,
    leave: Leave,
    endpoint: String,
    revision: Revision,
) -> RunningService<RoleClient, H> {
    let boarded = Boarded { http: reqwest::Client::builder().no_proxy().build().unwrap(), leave };
    let mut config = StreamableHttpClientTransportConfig::with_uri(endpoint);
    // A session that the guard has ended is over; what comes then is for the test to see.
    config.reinit_on_expired_session = false;
    let lifecycle = match revision {
        Revision::Sessions => ClientLifecycleMode::Initialize,
        Revision::Stateless => {
            ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
        }
    };
    let transport = StreamableHttpClientTransport::with_client(boarded, config);
    handler.serve_with_lifecycle(transport, lifecycle).await.expect("the guard lets it in")
}

async fn call<H: ClientHandler>(
    service: &RunningService<RoleClient, H>,
) -> std::result::Result<Value, String> {
    let arguments = arguments().as_object().cloned().unwrap();
    let call = CallToolRequestParams::new(TOOL).with_arguments(arguments);
    let result = service.call_tool(call).await.map_err(|error| format!("{error:?}"))?;
    Ok(result.structured_content.unwrap_or_default())
}
