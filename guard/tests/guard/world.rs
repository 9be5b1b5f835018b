//! A guarded MCP server, its registry, and a client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::stream;
use hapi_descriptor::{Claims, ClientClaim, Jti, SCOPE_CONNECT, Seq, ServerClaim, Signer};
use hapi_guard::{Clock, Config, Guard, Mode, Moment, Snapshot, Verified};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::registry::{FakeRegistry, Stream, serve};

pub(crate) const ISS: &str = "https://registry.example";
pub(crate) const AUD: &str = "https://weather.example/mcp";
pub(crate) const NOW: u64 = 1_800_000_000;

/// Stands still until it is told to go on.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Moment {
        let seconds = self.0.load(Ordering::SeqCst);
        Moment { unix_seconds: NOW + seconds, elapsed: Duration::from_secs(seconds) }
    }
}

pub(crate) fn signer(seed: u8) -> Signer {
    Signer::from_seed([seed; 32].into())
}

/// Issued at [`NOW`] for 60 s, at index 100.
pub(crate) fn claims() -> Claims {
    Claims {
        iss: ISS.into(),
        aud: AUD.into(),
        iat: NOW,
        exp: NOW + 60,
        jti: Jti::new([7; 16]),
        scope: SCOPE_CONNECT.into(),
        server: ServerClaim {
            id: "ai.acme/weather".into(),
            version: "1.0.0".into(),
            verified: true,
            jwks_uri: None,
            tls_pin_sha256: None,
        },
        client: ClientClaim { id: "agent-7".into(), tenant: Some("acme".into()) },
        seq: Seq::from_parts(1, 100).unwrap(),
    }
}

pub(crate) fn honest() -> String {
    signer(1).sign(&claims())
}

/// Issued that many seconds after [`NOW`], for 60 s.
pub(crate) fn issued_after(seconds: u64) -> String {
    signer(1).sign(&Claims { iat: NOW + seconds, exp: NOW + seconds + 60, ..claims() })
}

pub(crate) struct World {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) registry: FakeRegistry,
    pub(crate) guard: Guard,
    pub(crate) server: Arc<Server>,
    url: String,
    http: reqwest::Client,
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

impl World {
    pub(crate) async fn stateless() -> Self {
        Self::new(|_| {}).await
    }

    pub(crate) async fn with_sessions() -> Self {
        Self::new(|config| config.mode = Mode::sessions()).await
    }

    /// Starts everything, and waits until the guard knows keys and feed.
    pub(crate) async fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::new_without_registry(change, |_| {}).await.ready().await
    }

    /// With a registry that streams, and a guard that listens.
    pub(crate) async fn streaming() -> Self {
        let streams = |registry: &FakeRegistry| registry.says().stream = Stream::Events;
        let world = Self::new_without_registry(|_| {}, streams).await.ready().await;
        until("the guard listens", || world.metrics().is_streaming).await;
        world
    }

    /// With a second address, and what each of them says about streams.
    pub(crate) async fn of_two(first: Stream, second: Stream) -> (Self, FakeRegistry) {
        let clock = Arc::new(TestClock::default());
        let registry = FakeRegistry::start(Arc::clone(&clock)).await;
        let other = FakeRegistry::start(Arc::clone(&clock)).await;
        registry.says().stream = first;
        other.says().stream = second;
        let change = |config: &mut Config| config.registries.push(other.url.clone());
        (Self::start(clock, registry, change).await.ready().await, other)
    }

    async fn ready(self) -> Self {
        within("keys and feed", self.guard.ready()).await;
        until("the feed was heard", || self.metrics().feed_age.is_some()).await;
        self
    }

    pub(crate) async fn new_without_registry(
        change: impl FnOnce(&mut Config),
        before: impl FnOnce(&FakeRegistry),
    ) -> Self {
        let clock = Arc::new(TestClock::default());
        let registry = FakeRegistry::start(Arc::clone(&clock)).await;
        before(&registry);
        Self::start(clock, registry, change).await
    }

    async fn start(clock: Arc<TestClock>, registry: FakeRegistry, change: impl FnOnce(&mut Config)) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap());
        let mut config = Config::new(ISS, "ai.acme/weather", AUD, [registry.url.clone()]);
        config.feed_poll = Duration::from_millis(20);
        change(&mut config);
        let guard = Guard::start_with(config, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let server = Arc::new(Server::default());
        let router = Router::new()
            .route("/mcp", post(called).get(listened).delete(deleted))
            .with_state(Arc::clone(&server))
            .layer(guard.layer());
        let url = format!("http://{}/mcp", serve(router).await);
        Self { clock, registry, guard, server, url, http: reqwest::Client::new() }
    }

    pub(crate) fn metrics(&self) -> Snapshot {
        self.guard.metrics()
    }

    pub(crate) fn denied(&self, code: &str) -> u64 {
        self.metrics().denied[code]
    }

    /// Moves the clock, and waits until the feed, where it speaks, has been heard since.
    pub(crate) async fn advance(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
        let silent = {
            let says = self.registry.says();
            says.down || says.feed_down
        };
        if !silent {
            until("the feed is fresh", || self.metrics().feed_age == Some(Duration::ZERO)).await;
        }
    }

    /// Moves the clock, whatever the feed does.
    pub(crate) fn clock_only(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Waits until the feed was asked after this and its answer is known.
    pub(crate) async fn feed_round(&self) {
        let rounds = || self.metrics().feed_messages + self.metrics().feed_failures;
        let before = rounds();
        until("two rounds of the feed", || rounds() >= before + 2).await;
    }

    /// A tool call with these headers.
    pub(crate) async fn call(&self, headers: &[(&str, &str)]) -> Answer {
        self.send(headers, json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call"})).await
    }

    pub(crate) async fn send(&self, headers: &[(&str, &str)], message: Value) -> Answer {
        let mut request = self.http.post(&self.url).body(message.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
        Answer { status, headers, body }
    }

    /// Opens a session with a descriptor, and gives its id.
    pub(crate) async fn initialize(&self, descriptor: &str) -> String {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize"});
        let answer = self.send(&[("mcp-connect", descriptor)], message).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.headers["mcp-session-id"].to_str().unwrap().to_owned()
    }

    pub(crate) async fn in_session(&self, id: &str) -> Answer {
        self.call(&[("mcp-session-id", id)]).await
    }

    pub(crate) async fn refresh_by_message(&self, id: &str, descriptor: &str) -> Answer {
        let message = json!({"jsonrpc": "2.0", "method": "notifications/connect/refresh", "params": {"descriptor": descriptor}});
        self.send(&[("mcp-session-id", id)], message).await
    }

    /// Opens the session's stream.
    pub(crate) async fn listen(&self, id: &str) -> reqwest::Response {
        self.listen_with(&[("mcp-session-id", id)]).await
    }

    pub(crate) async fn listen_with(&self, headers: &[(&str, &str)]) -> reqwest::Response {
        let request = self.http.get(&self.url);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response
    }

    pub(crate) async fn delete(&self, id: &str) -> u16 {
        self.http.delete(&self.url).header("mcp-session-id", id).send().await.unwrap().status().as_u16()
    }
}

/// The rest of a stream, as text.
pub(crate) async fn rest_of(stream: reqwest::Response) -> String {
    within("the stream ends", stream.text()).await.unwrap()
}

pub(crate) async fn chunk_of(stream: &mut reqwest::Response) -> String {
    let chunk = within("the stream speaks", stream.chunk()).await.unwrap().unwrap();
    String::from_utf8(chunk.to_vec()).unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(value) => value,
        Err(_) => panic!("not in time: {what}"),
    }
}

/// Waits for a fact.
pub(crate) async fn until(what: &str, fact: impl Fn() -> bool) {
    let began = Instant::now();
    while !fact() {
        assert!(began.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The MCP server behind the guard: as much of one as a guard can tell.
#[derive(Default)]
pub(crate) struct Server {
    opened: AtomicU64,
    /// The streams of the sessions, to speak on.
    streams: Mutex<HashMap<String, mpsc::UnboundedSender<String>>>,
    pub(crate) messages: Mutex<Vec<Value>>,
}

impl Server {
    pub(crate) fn speak(&self, session: &str, text: &str) {
        self.streams.lock().unwrap()[session].send(text.to_owned()).unwrap();
    }

    /// Whether the server's half of a stream is still held.
    pub(crate) fn is_listened_to(&self, session: &str) -> bool {
        !self.streams.lock().unwrap()[session].is_closed()
    }
}

/// Says who called; `initialize` opens a session.
async fn called(
    State(server): State<Arc<Server>>,
    verified: Option<Extension<Verified>>,
    body: Bytes,
) -> Response {
    let message: Value = serde_json::from_slice(&body).unwrap();
    server.messages.lock().unwrap().push(message.clone());
    let client = verified.map(|Extension(verified)| verified.claims.client.id.clone());
    let answer = Json(json!({"client": client, "message": message}));
    if message["method"] == "initialize" {
        let id = format!("session-{}", server.opened.fetch_add(1, Ordering::SeqCst));
        return ([("mcp-session-id", id)], answer).into_response();
    }
    answer.into_response()
}

async fn listened(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let (sender, receiver) = mpsc::unbounded_channel::<String>();
    let id = headers["mcp-session-id"].to_str().unwrap().to_owned();
    server.streams.lock().unwrap().insert(id, sender);
    let texts = stream::unfold(receiver, async |mut receiver: mpsc::UnboundedReceiver<String>| {
        receiver.recv().await.map(|text| (Ok::<_, std::convert::Infallible>(text), receiver))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(texts)).into_response()
}

async fn deleted() -> StatusCode {
    StatusCode::NO_CONTENT
}
