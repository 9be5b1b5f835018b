//! One connection to one peer, made when needed and made again when lost.

use crate::{
    certificate::Peer,
    peer::{
        dial::{Connection, DialError},
        message::{Ask, Refusal},
        route::Route,
    },
    secrets, trace, wire,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::{error::Error, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout_at},
};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// No connection: the request was never sent.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No connection in time: the request was never sent.
    #[error("no connection within {} ms", .0.as_millis())]
    Unreached(Duration),
    /// The connection ended before the request was written to it.
    #[error("the connection ended before the request was sent")]
    NotSent,
    /// Sent, but no whole answer came back: whether it was acted upon is not known.
    #[error("the answer was lost: {0}")]
    Lost(String),
    /// Sent, and no answer in time: whether it was acted upon is not known.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// Turned away; nothing was done.
    #[error(transparent)]
    Refused(Refusal),
    /// The request cannot be sent as it is.
    #[error("{0}")]
    Unsendable(String),
}

impl AskError {
    /// Whether the request was certainly not acted upon, so that asking again cannot do anything twice.
    pub(crate) fn is_harmless(&self) -> bool {
        !matches!(self, Self::Lost(_) | Self::Late(_))
    }
}

/// Makes a connection.
type Dial = Box<dyn Fn() -> BoxFuture<'static, Result<Connection, DialError>> + Send + Sync>;

/// An answer, and what came with it.
pub(crate) struct Reply<T> {
    pub(crate) answer: T,
    /// Who has answered.
    pub(crate) peer: Peer,
    pub(crate) headers: HeaderMap,
}

/// A connection that is made when needed. Several requests share it at once.
pub(crate) struct Link {
    dial: Dial,
    kept: Mutex<Option<Connection>>,
}

impl Link {
    pub(crate) fn new<F>(dial: impl Fn() -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<Connection, DialError>> + Send + 'static,
    {
        Arc::new(Self { dial: Box::new(move || Box::pin(dial())), kept: Mutex::default() })
    }

    /// Sends `message` and waits for the answer, `within` altogether.
    pub(crate) async fn ask<A: Ask>(
        self: &Arc<Self>,
        message: &A,
        within: Duration,
    ) -> Result<Reply<A::Answer>, AskError> {
        let body = wire::encode(message).map_err(|error| AskError::Unsendable(error.to_string()))?;
        self.send::<A>(body.into(), within).await
    }

    /// As [`Self::ask`], for a body that is encoded already.
    pub(crate) async fn send<A: Ask>(
        self: &Arc<Self>,
        body: Bytes,
        within: Duration,
    ) -> Result<Reply<A::Answer>, AskError> {
        let (bytes, limit) = (body.len(), A::ROUTE.limit());
        if bytes > limit {
            let text = format!("{bytes} bytes are more than the {limit} that {} may have", A::ROUTE.path());
            return Err(AskError::Unsendable(text));
        }
        let deadline = Instant::now() + within;
        // The other end may close a connection, for an exchange of secrets say, just when it was chosen.
        match self.try_send::<A>(body.clone(), within, deadline).await {
            Err(AskError::NotSent) => self.try_send::<A>(body, within, deadline).await,
            answered => answered,
        }
    }

    async fn try_send<A: Ask>(
        self: &Arc<Self>,
        body: Bytes,
        within: Duration,
        deadline: Instant,
    ) -> Result<Reply<A::Answer>, AskError> {
        let connected = timeout_at(deadline, self.connection()).await;
        let connection = connected.map_err(|_| AskError::Unreached(within))??;
        let answered = timeout_at(deadline, self.exchange::<A>(connection, body)).await;
        answered.map_err(|_| AskError::Late(within))?
    }

    async fn connection(self: &Arc<Self>) -> Result<Connection, DialError> {
        if let Some(connection) = alive(self.kept.lock().await.as_ref()) {
            return Ok(connection);
        }
        // In a task of its own: a heartbeat gives up after 100 ms, and on a busy machine a handshake that
        // is begun anew each time would never be finished.
        let link = self.clone();
        let dialled = tokio::spawn(async move { link.redial().await }).await;
        dialled.unwrap_or(Err(DialError::GivenUp))
    }

    async fn redial(&self) -> Result<Connection, DialError> {
        let mut kept = self.kept.lock().await;
        if let Some(connection) = alive(kept.as_ref()) {
            return Ok(connection);
        }
        let connection = (self.dial)().await?;
        *kept = Some(connection.clone());
        Ok(connection)
    }

    async fn exchange<A: Ask>(
        &self,
        connection: Connection,
        body: Bytes,
    ) -> Result<Reply<A::Answer>, AskError> {
        let Connection { mut sender, peer, keys, over, .. } = connection;
        sender.ready().await.map_err(|_| AskError::NotSent)?;
        let mut request = request(A::ROUTE, body);
        request.headers_mut().insert(secrets::HEADER, keys.header.clone());
        let mut response = pin!(sender.try_send_request(request));
        // What is handed over just when the connection ends comes back only once nobody can send over it any more.
        drop(sender);
        let mut ending = over.subscribe();
        let response = tokio::select! {
            response = &mut response => response,
            () = ended(&mut ending) => {
                self.let_go().await;
                response.await
            }
        };
        let response = response.map_err(|mut error| {
            // A request comes back whole if none of it was written.
            if error.take_message().is_none() && !is_unprocessed(error.error()) {
                return lost(error.error());
            }
            over.send_replace(true);
            AskError::NotSent
        })?;
        let headers = response.headers().clone();
        Ok(Reply { answer: answer::<A>(response).await?, peer, headers })
    }

    /// Keeps no connection that takes no more requests.
    async fn let_go(&self) {
        self.kept.lock().await.take_if(|connection| !connection.is_usable());
    }
}

fn alive(connection: Option<&Connection>) -> Option<Connection> {
    connection.filter(|connection| connection.is_usable()).cloned()
}

async fn ended(over: &mut watch::Receiver<bool>) {
    // Without anybody who could say so, it has ended as well.
    let _ = over.wait_for(|over| *over).await;
}

/// Whether the other end has said that it did not act on a request: it was leaving in peace, and fails with that only what
/// came too late for it; or it refused the stream (RFC 9113 sections 6.8 and 8.7). What it took before is answered.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.filter(|cause| cause.is_remote()).is_some_and(|cause| match cause.reason() {
        Some(h2::Reason::NO_ERROR) => cause.is_go_away(),
        Some(h2::Reason::REFUSED_STREAM) => cause.is_reset(),
        _ => false,
    })
}

/// With all causes: what it is alone says nothing.
fn lost(error: &(dyn Error + 'static)) -> AskError {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    AskError::Lost(text)
}

fn request(route: Route, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = http::Method::POST;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(http::uri::Scheme::HTTPS);
    uri.authority = Some(http::uri::Authority::from_static(crate::certificate::ANY_PEER));
    uri.path_and_query = Some(PathAndQuery::from_static(route.path()));
    #[expect(clippy::expect_used, reason = "scheme, authority and path are constants")]
    let uri = Uri::from_parts(uri).expect("a URI");
    *request.uri_mut() = uri;
    trace::write(request.headers_mut());
    request
}

async fn answer<A: Ask>(response: Response<Incoming>) -> Result<A::Answer, AskError> {
    let status = response.status();
    let body = Limited::new(response.into_body(), A::ROUTE.answer_limit()).collect().await;
    let body = body.map_err(|error| lost(error.as_ref()))?.to_bytes();
    if status == StatusCode::OK {
        return wire::decode(&body).map_err(|error| AskError::Lost(error.to_string()));
    }
    let refusal = wire::decode(&body).unwrap_or_else(|_| Refusal::Message(format!("status {status}")));
    Err(AskError::Refused(refusal))
}
