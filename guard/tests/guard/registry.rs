//! A registry node that says what it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use hapi_descriptor::{KeySet, REVOCATIONS_LIFETIME_SECONDS, Revocations, Seq, Signer, subject_hash};
use hapi_guard::Clock;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::world::{ISS, TestClock, signer};

#[derive(Clone)]
pub(crate) struct FakeRegistry {
    state: Arc<Mutex<Says>>,
    pub(crate) url: String,
}

/// What the node says.
pub(crate) struct Says {
    clock: Arc<TestClock>,
    pub(crate) keys: Vec<u8>,
    pub(crate) down: bool,
    pub(crate) feed_down: bool,
    pub(crate) index: u64,
    pub(crate) min_seq: BTreeMap<String, u64>,
    pub(crate) revoked_keys: BTreeSet<String>,
    pub(crate) key_fetches: u64,
    pub(crate) not_modified: u64,
    pub(crate) feed_asked: u64,
    pub(crate) stream: Stream,
    /// The index from which each stream was asked for, in turn.
    pub(crate) stream_asked: Vec<u64>,
    open: Vec<OpenStream>,
}

/// What the node answers to who wants a stream.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    No(StatusCode),
    /// A message that says of itself that it is no event.
    OtherType,
    /// A stream on which nothing but comments ever comes.
    Comments,
    Events,
}

/// One stream: what was sent last, and where to send.
struct OpenStream {
    since: u64,
    sender: mpsc::UnboundedSender<String>,
}

impl Says {
    /// Sends the newest message on all streams.
    pub(crate) fn speak(&mut self) {
        for at in 0..self.open.len() {
            let event = self.event(self.open[at].since);
            self.open[at].since = self.index;
            let _ = self.open[at].sender.send(event);
        }
    }

    /// Sends one that follows on another than was sent before.
    pub(crate) fn speak_since(&mut self, since: u64) {
        self.open.iter_mut().for_each(|stream| stream.since = since);
        self.speak();
    }

    pub(crate) fn send(&self, text: &str) {
        self.open.iter().for_each(|stream| drop(stream.sender.send(text.to_owned())));
    }

    pub(crate) fn end_streams(&mut self) {
        self.open.clear();
    }

    /// How many streams somebody listens to.
    pub(crate) fn listeners(&self) -> usize {
        self.open.iter().filter(|stream| !stream.sender.is_closed()).count()
    }

    pub(crate) fn event(&self, since: u64) -> String {
        format!("event: revocations\nid: {}\ndata: {}\n\n", self.index, self.message(since))
    }

    fn begin(&mut self, since: u64) -> Body {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.stream_asked.push(since);
        self.open.push(OpenStream { since: self.index, sender: sender.clone() });
        match self.stream {
            Stream::Comments => drop(tokio::spawn(comment(sender))),
            _ => drop(sender.send(self.event(since))),
        }
        let texts = stream::unfold(receiver, async |mut receiver: mpsc::UnboundedReceiver<String>| {
            receiver.recv().await.map(|text| (Ok::<_, Infallible>(text), receiver))
        });
        Body::from_stream(texts)
    }

    /// Revokes a subject at the next index, which it gives.
    pub(crate) fn revoke(&mut self, kind: &str, id: &str) -> Seq {
        self.index += 1;
        let seq = Seq::from_parts(1, self.index).unwrap();
        self.min_seq.insert(subject_hash(ISS, kind, id), seq.get());
        seq
    }

    fn message(&self, since: u64) -> String {
        let iat = self.clock.now().unix_seconds;
        let above = Seq::from_parts(1, since).unwrap().get();
        let message = Revocations {
            iss: ISS.into(),
            iat,
            exp: iat + REVOCATIONS_LIFETIME_SECONDS,
            incarnation: 1,
            seq: Seq::from_parts(1, self.index).unwrap(),
            since,
            full: since == 0,
            min_seq: self.min_seq.clone().into_iter().filter(|(_, seq)| *seq > above).collect(),
            revoked_keys: self.revoked_keys.clone(),
        };
        Signer::from_seed([self.keys[0]; 32].into()).sign_revocations(&message)
    }
}

impl FakeRegistry {
    pub(crate) async fn start(clock: Arc<TestClock>) -> Self {
        let says = Says {
            clock,
            keys: vec![1],
            down: false,
            feed_down: false,
            index: 200,
            min_seq: BTreeMap::new(),
            revoked_keys: BTreeSet::new(),
            key_fetches: 0,
            not_modified: 0,
            feed_asked: 0,
            stream: Stream::No(StatusCode::NOT_FOUND),
            stream_asked: Vec::new(),
            open: Vec::new(),
        };
        let state = Arc::new(Mutex::new(says));
        let router = Router::new()
            .route("/.well-known/jwks.json", get(jwks))
            .route("/v1/revocations", get(revocations))
            .route("/v1/revocations/stream", get(streamed))
            .with_state(Arc::clone(&state));
        let url = format!("http://{}", serve(router).await);
        Self { state, url }
    }

    pub(crate) fn says(&self) -> MutexGuard<'_, Says> {
        self.state.lock().unwrap()
    }
}

/// Serves on a port of the system's choice, for as long as the test runs.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn jwks(State(state): State<Arc<Mutex<Says>>>, headers: HeaderMap) -> Response {
    let mut says = state.lock().unwrap();
    says.key_fetches += 1;
    if says.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let etag = format!("\"{:?}\"", says.keys);
    if headers.get(IF_NONE_MATCH).is_some_and(|value| *value == etag) {
        says.not_modified += 1;
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let keys: KeySet = says.keys.iter().map(|seed| signer(*seed).public_jwk().clone()).collect();
    ([(ETAG, etag)], keys.to_json()).into_response()
}

async fn revocations(
    State(state): State<Arc<Mutex<Says>>>,
    Query(query): Query<BTreeMap<String, u64>>,
) -> Response {
    let mut says = state.lock().unwrap();
    says.feed_asked += 1;
    if says.down || says.feed_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    ([(CONTENT_TYPE, "application/jwt")], says.message(query["since"])).into_response()
}

async fn streamed(
    State(state): State<Arc<Mutex<Says>>>,
    Query(query): Query<BTreeMap<String, u64>>,
) -> Response {
    let mut says = state.lock().unwrap();
    match says.stream {
        Stream::No(status) => status.into_response(),
        Stream::OtherType => says.event(query["since"]).into_response(),
        Stream::Comments | Stream::Events => {
            ([(CONTENT_TYPE, "text/event-stream")], says.begin(query["since"])).into_response()
        }
    }
}

async fn comment(sender: mpsc::UnboundedSender<String>) {
    while sender.send(": still here\n\n".to_owned()).is_ok() {
        sleep(Duration::from_millis(10)).await;
    }
}
