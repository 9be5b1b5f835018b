//! One connection: the protocol, and who is cut off.

use super::traffic::{Traffic, Watched};
use crate::{
    config,
    limits::{Arrival, Limit, Limits, Place},
};
use axum::{Router, extract::Request};
use hapi_raft::Lingering;
use hyper::{body::Incoming, rt, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::{Builder, Connection},
    service::TowerToHyperService,
};
use std::{
    convert::Infallible,
    error::Error,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;

/// What one connection of HTTP/2 may have sent before it is read, of one stream and of all. Bodies are small, but for
/// imports, which come one at a time.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// What is kept of an answer that its reader has not taken yet.
const SEND_BUFFER: usize = 64 * 1024;
/// How often the other end of a silent connection of HTTP/2 is asked whether it is there, and how long it may take.
const PING: Duration = Duration::from_secs(20);
/// Streams that this end had to reset, for what the other one did, before it is cut off.
const MOST_ERRORS: usize = 128;
/// The buffers of HTTP/1.1 are no smaller than this.
pub(crate) const LEAST_HEADER: usize = 8 * 1024;

/// What all connections have in common.
#[derive(Clone)]
pub(super) struct Connections {
    router: Router,
    limits: Arc<Limits>,
    one: Builder<TokioExecutor>,
    two: Builder<TokioExecutor>,
}

impl Connections {
    pub(super) fn new(router: Router, limits: Arc<Limits>) -> Self {
        let settings = &limits.settings;
        Self { one: one(settings), two: two(settings), router, limits }
    }

    pub(super) fn limits(&self) -> Arc<Limits> {
        self.limits.clone()
    }

    pub(super) async fn serve_plain(
        self,
        stream: Lingering<Place>,
        arrival: Arrival,
        stopped: watch::Receiver<()>,
    ) {
        let one = self.one.clone();
        self.serve(&one, stream, arrival, stopped).await;
    }

    pub(super) async fn serve_encrypted(
        self,
        stream: TlsStream<Lingering<Place>>,
        arrival: Arrival,
        stopped: watch::Receiver<()>,
    ) {
        let is_two = stream.get_ref().1.alpn_protocol() == Some(super::tls::HTTP_2);
        let builder = if is_two { self.two.clone() } else { self.one.clone() };
        self.serve(&builder, stream, arrival, stopped).await;
    }

    async fn serve<IO>(
        self,
        builder: &Builder<TokioExecutor>,
        stream: IO,
        arrival: Arrival,
        stopped: watch::Receiver<()>,
    ) where
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let traffic = Traffic::new();
        let begun = traffic.clone();
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let exchange = begun.begin();
            request.extensions_mut().insert(arrival.clone());
            let answer = hyper::service::Service::call(&router, request);
            async move { Ok::<_, Infallible>(answer.await?.map(|body| exchange.answered(body))) }
        });
        let served = builder.serve_connection(TokioIo::new(stream), service);
        let watch = Watch { limits: self.limits, traffic, stopped };
        watch.over(served).await;
    }
}

/// Watches over one connection.
struct Watch {
    limits: Arc<Limits>,
    traffic: Arc<Traffic>,
    stopped: watch::Receiver<()>,
}

impl Watch {
    /// Runs the connection until it ends or is ended. One that is to end finishes what is under way, if the other end
    /// takes it.
    async fn over<I, S>(mut self, served: Connection<'_, I, S, TokioExecutor>)
    where
        S: hyper::service::Service<
                Request<Incoming>,
                Response = axum::http::Response<Watched>,
                Error = Infallible,
            >,
        S::Future: Send + 'static,
        I: rt::Read + rt::Write + Unpin + Send + 'static,
    {
        let mut served = pin!(served);
        let mut look = pin!(self.rest());
        let mut leaving: Option<Instant> = None;
        loop {
            tokio::select! {
                ended = served.as_mut() => return self.note(ended),
                _ = self.stopped.changed(), if leaving.is_none() => {
                    leaving = Some(Instant::now());
                    served.as_mut().graceful_shutdown();
                }
                () = look.as_mut() => {
                    look.set(self.rest());
                    if self.is_stuck(leaving) {
                        return self.limits.counters.count(Limit::Stalled);
                    }
                    if leaving.is_none() && self.traffic.is_idle(&self.limits.settings) {
                        self.limits.counters.count(Limit::Idle);
                        if !self.traffic.has_begun() {
                            return;
                        }
                        leaving = Some(Instant::now());
                        served.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }

    /// Whether the other end takes nothing: an answer, or that the connection is to end.
    fn is_stuck(&self, leaving: Option<Instant>) -> bool {
        let patience = Duration::from_millis(self.limits.settings.stall_timeout_ms);
        let has_left = leaving.is_some_and(|since| since.elapsed() >= patience) && self.traffic.is_quiet();
        has_left || self.traffic.is_stalled(patience)
    }

    /// Until the next look: some of them in the shortest of what is waited for.
    fn rest(&self) -> Sleep {
        let settings = &self.limits.settings;
        let shortest =
            settings.idle_timeout_ms.min(settings.stall_timeout_ms).min(settings.header_timeout_ms);
        sleep(Duration::from_millis((shortest / 4).max(50)))
    }

    fn note(&self, ended: Result<(), Box<dyn Error + Send + Sync>>) {
        let Err(error) = ended else { return };
        if let Some(limit) = error.downcast_ref().and_then(beyond) {
            self.limits.counters.count(limit);
        }
        tracing::debug!(error, "a connection ended early");
    }
}

/// Which bound the other end went beyond, if that was it.
fn beyond(error: &hyper::Error) -> Option<Limit> {
    let two = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    if two.is_some_and(|error| error.is_go_away() && error.is_library()) {
        return Some(Limit::Http2);
    }
    if error.is_parse_too_large() {
        return Some(Limit::HeaderSize);
    }
    error.is_timeout().then_some(Limit::HeaderTimeout)
}

fn one(settings: &config::Http) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.header_timeout_ms))
        .max_buf_size(settings.header_bytes.max(LEAST_HEADER));
    builder
}

/// A reset costs the other end nothing, and this one a request that was begun (CVE-2023-44487): few may be pending.
fn two(settings: &config::Http) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.requests_per_connection)
        .max_pending_accept_reset_streams(settings.resets_per_connection)
        .max_local_error_reset_streams(MOST_ERRORS)
        .max_header_list_size(u32::try_from(settings.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}
