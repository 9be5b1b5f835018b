//! The listening side of the peer plane.

use crate::{
    certificate::{Peer, Subject},
    directory::Standing,
    lingering::Lingering,
    node::Node,
    peer::{
        answer::Answer,
        message::{
            Abdicate, Bootstrap, Confirm, Handover, Hello, Invite, Join, LeaseRequest, OutlookRequest,
            PreVoteMessage, Propose, ReadIndex, Refusal, Release, SealRequest, SecretsRequest, SnapshotBegin,
            SnapshotChunk, SnapshotInstall, VoteMessage,
        },
        route::{Gate, Route},
    },
    secrets,
    tls::{Keys, Tls},
    trace,
    types::TypeConfig,
    wire,
};
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use hapi_registry_state::NodeId;
use http::{HeaderMap, StatusCode};
use hyper::server::conn::http2::Builder;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest};
use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::server::TlsStream;

/// How long a caller may take to prove the secret.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections at a time. A member keeps four to each other one.
const MOST_CONNECTIONS: usize = 1024;

/// Handshakes at a time. They have places of their own, so that strangers who never finish one keep no
/// member from coming back.
const MOST_HANDSHAKES: usize = 256;

/// Requests at a time over one connection.
const MOST_STREAMS: u32 = 1024;

/// Flow control windows; see the dialling side.
const WINDOW_BYTES: u32 = 4 << 20;

/// Answers callers until the runtime ends.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener, tls: Tls) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
    let strangers = node.counters.strangers.clone();
    let router = router(node);
    loop {
        let Ok(handshake) = handshakes.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, address)) => {
                let (router, tls, places) = (router.clone(), tls.clone(), places.clone());
                let strangers = strangers.clone();
                tokio::spawn(async move {
                    let keys = Arc::clone(&tls.keys());
                    let ended = match greet(stream, &keys).await {
                        Ok((stream, peer)) => {
                            drop(handshake);
                            connection(stream, peer, &keys, tls, router, places).await
                        }
                        Err(error) => {
                            strangers.inc();
                            Err(error)
                        }
                    };
                    if let Err(error) = ended {
                        tracing::debug!(%address, %error, "peer connection ended");
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: give others the time to end.
                tracing::warn!(%error, "cannot accept peer connections");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A stream that a place belongs to as soon as there is one.
type Stream = TlsStream<Lingering<Option<OwnedSemaphorePermit>>>;

/// The handshake, and who has come through it.
async fn greet(stream: TcpStream, keys: &Keys) -> Result<(Stream, Peer), Broken> {
    stream.set_nodelay(true)?;
    let stream = Lingering::new(stream, None);
    let stream = timeout(HANDSHAKE_TIMEOUT, keys.acceptor.accept(stream)).await??;
    let peer = keys.peer(stream.get_ref().1.peer_certificates())?;
    Ok((stream, peer))
}

async fn connection(
    mut stream: Stream,
    peer: Peer,
    keys: &Keys,
    tls: Tls,
    router: Router,
    places: Arc<Semaphore>,
) -> Result<(), Broken> {
    stream.get_mut().0.hold(Some(places.try_acquire_owned()?));
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES * 2)
        .keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(10));
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = tls.exchanged(keys) => {}
    }
    // What is under way is answered; for everything else the caller comes back, and proves a secret anew.
    serving.as_mut().graceful_shutdown();
    Ok(timeout(tls.farewell(&peer), serving).await??)
}

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .merge(on::<Hello>())
        .merge(on::<Invite>())
        .merge(on::<Release>())
        .merge(on::<Join>())
        .merge(on::<Bootstrap>())
        .merge(on::<Propose>())
        .merge(on::<ReadIndex>())
        .merge(on::<LeaseRequest>())
        .merge(on::<Confirm>())
        .merge(on::<SealRequest>())
        .merge(on::<Handover>())
        .merge(on::<Abdicate>())
        .merge(on::<AppendEntriesRequest<TypeConfig>>())
        .merge(on::<VoteMessage>())
        .merge(on::<PreVoteMessage>())
        .merge(on::<TransferLeaderRequest<TypeConfig>>())
        .merge(on::<SnapshotBegin>())
        .merge(on::<SnapshotChunk>())
        .merge(on::<SnapshotInstall>())
        .merge(on::<SecretsRequest>())
        .merge(on::<OutlookRequest>())
        .with_state(node)
}

fn on<A: Answer>() -> Router<Arc<Node>> {
    Router::new().route(A::ROUTE.path(), post(receive::<A>)).layer(DefaultBodyLimit::max(A::ROUTE.limit()))
}

async fn receive<A: Answer>(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Peer>,
    incoming: trace::Incoming,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let handled = handle::<A>(&node, &caller, &headers, body);
    let mut response = match trace::answering(A::ROUTE, &caller, incoming, handled).await {
        Ok(answer) => respond(StatusCode::OK, &answer),
        Err(refusal) => {
            node.counters.refused.inc();
            tracing::debug!(caller = %caller.subject, path = A::ROUTE.path(), %refusal, "refused");
            respond(status(&refusal), &refusal)
        }
    };
    response.headers_mut().insert(secrets::HEADER, node.tls().keys().header.clone());
    response
}

async fn handle<A: Answer>(
    node: &Arc<Node>,
    caller: &Peer,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<<A as crate::peer::message::Ask>::Answer, Refusal> {
    if let Some(member) = pass(node, caller, A::ROUTE)? {
        node.pool.heard().note(member, headers);
    }
    let body = body.map_err(|rejection| Refusal::Message(rejection.body_text()))?;
    let message: A = wire::decode(&body).map_err(|error| Refusal::Message(error.to_string()))?;
    message.answer(node, caller).await
}

/// Lets `caller` through to `route`, or says why not; tells which member it is, if any. A key that differs from the
/// pinned one is refused everywhere, even for asking.
fn pass(node: &Node, caller: &Peer, route: Route) -> Result<Option<u64>, Refusal> {
    let gate = route.gate();
    let Subject::Node(id) = caller.subject else {
        return if gate == Gate::Operator { Ok(None) } else { Err(Refusal::WrongCaller) };
    };
    match (node.directory.standing(id, &caller.key_sha256), gate) {
        (Standing::WrongKey, _) => Err(Refusal::WrongKey(id)),
        (_, Gate::Operator) => Err(Refusal::WrongCaller),
        // Whoever was removed may ask what it is to us, and nothing else.
        (Standing::Unknown, Gate::Asking)
            if !matches!(route, Route::Hello | Route::Join)
                && node.published.state().has_departed(NodeId(id)) =>
        {
            Err(Refusal::NotMember(id))
        }
        (Standing::Unknown, Gate::Member) => {
            // It may be a member that this node has not heard of yet; other members know.
            node.is_lost.store(true, Ordering::Relaxed);
            Err(Refusal::NotMember(id))
        }
        (Standing::Unknown, Gate::Asking) => Ok(None),
        (Standing::Pinned, _) => Ok(Some(id)),
    }
}

fn respond(status: StatusCode, value: &impl serde::Serialize) -> Response {
    match wire::encode(value) {
        Ok(bytes) => (status, bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::WrongKey(_) | Refusal::NotMember(_) | Refusal::WrongCaller | Refusal::NotYourself => {
            StatusCode::FORBIDDEN
        }
        Refusal::Message(_) => StatusCode::BAD_REQUEST,
        Refusal::Unable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
