//! A registry node that says what it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hapi_descriptor::{KeySet, REVOCATIONS_LIFETIME_SECONDS, Revocations, Seq, Signer, subject_hash};
use hapi_guard::Clock;
use tokio::net::TcpListener;

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
}

impl Says {
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
        };
        let state = Arc::new(Mutex::new(says));
        let router = Router::new()
            .route("/.well-known/jwks.json", get(jwks))
            .route("/v1/revocations", get(revocations))
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
