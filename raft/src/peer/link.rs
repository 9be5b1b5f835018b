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
use std::{sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

/// Why a question has no answer.
#[derive(Debug, Error)]
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
        let answered = timeout_at(deadline, exchange::<A>(connection, body)).await;
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
}

fn alive(connection: Option<&Connection>) -> Option<Connection> {
    connection.filter(|connection| connection.is_usable()).cloned()
}

async fn exchange<A: Ask>(connection: Connection, body: Bytes) -> Result<Reply<A::Answer>, AskError> {
    let Connection { mut sender, peer, keys, .. } = connection;
    sender.ready().await.map_err(|_| AskError::NotSent)?;
    let mut request = request(A::ROUTE, body);
    request.headers_mut().insert(secrets::HEADER, keys.header.clone());
    let response = sender.try_send_request(request).await.map_err(|mut error| {
        // The request comes back exactly if none of it was written.
        let unsent = error.take_message().is_some();
        if unsent { AskError::NotSent } else { AskError::Lost(error.error().to_string()) }
    })?;
    let headers = response.headers().clone();
    Ok(Reply { answer: answer::<A>(response).await?, peer, headers })
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
    let body = body.map_err(|error| AskError::Lost(error.to_string()))?.to_bytes();
    if status == StatusCode::OK {
        return wire::decode(&body).map_err(|error| AskError::Lost(error.to_string()));
    }
    let refusal = wire::decode(&body).unwrap_or_else(|_| Refusal::Message(format!("status {status}")));
    Err(AskError::Refused(refusal))
}
