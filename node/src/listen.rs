//! The accept loop of the public API: bounded in connections and time.
//!
//! `axum::serve` arms no timer, so that hyper's header time-out would do nothing there; this loop does. Without TLS it
//! speaks HTTP/1.1 alone: finding out whether a silent client means HTTP/2 would take no time-out. With TLS the handshake
//! says which it is.
//!
//! Connections beyond the bounds are taken and closed at once: in the kernel's queue they would hold up everybody's.

mod connection;
mod descriptors;
mod tls;
mod traffic;

pub(crate) use connection::LEAST_HEADER;
pub(crate) use descriptors::raise;
pub(crate) use tls::{PublicTls, PublicTlsError};

use crate::limits::{Arrival, Full, Limit, Limits, Place};
use axum::Router;
use connection::Connections;
use hapi_raft::Lingering;
use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How long requests that run when the process is to stop may go on.
const DRAIN: Duration = Duration::from_secs(10);
/// Rest after an error of `accept`, most often for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown`, then lets running requests finish.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    limits: Arc<Limits>,
    tls: Option<Arc<PublicTls>>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    // Each connection has a receiver: once all are dropped, all connections have ended.
    let (stop, stopped) = watch::channel(());
    let connections = Connections::new(router, limits.clone());
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let Some(place) = place(&limits, from) else { continue };
                let (connections, tls, stopped) = (connections.clone(), tls.clone(), stopped.clone());
                tokio::spawn(serve_one(connections, stream, from.ip(), tls, stopped, place));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop((listener, stopped));
    stop.send_replace(());
    if tokio::time::timeout(DRAIN, stop.closed()).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut off");
    }
    Ok(())
}

fn place(limits: &Limits, from: SocketAddr) -> Option<Place> {
    let place = limits.connections.take(from.ip());
    place
        .inspect_err(|full| {
            limits.counters.count(match full {
                Full::All => Limit::Connections,
                Full::Address => Limit::ConnectionsPerAddress,
            });
        })
        .ok()
}

/// One connection, from its handshake to its end. It has its place for so long.
async fn serve_one(
    connections: Connections,
    stream: TcpStream,
    address: IpAddr,
    tls: Option<Arc<PublicTls>>,
    stopped: watch::Receiver<()>,
    place: Place,
) {
    // Answers are small and awaited: waiting to fill a packet would only delay them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let stream = Lingering::new(stream, place);
    let limits = connections.limits();
    let arrival = Arrival { address: address.to_canonical(), certificate: None, limits: limits.clone() };
    let Some(tls) = tls else { return connections.serve_plain(stream, arrival, stopped).await };
    let patience = Duration::from_millis(limits.settings.handshake_timeout_ms);
    match tokio::time::timeout(patience, tls.accept(stream)).await {
        Ok(Ok((stream, certificate))) => {
            let arrival = Arrival { certificate: certificate.map(Arc::new), ..arrival };
            if let Some(shown) = arrival.certificate.as_deref() {
                let names: Vec<_> = shown.names.iter().map(ToString::to_string).collect();
                tracing::debug!(?names, ends = %shown.expires_at, "a client has shown a certificate");
            }
            connections.serve_encrypted(stream, arrival, stopped).await;
        }
        Ok(Err(error)) => {
            limits.counters.count(Limit::Handshake);
            tracing::debug!(%error, "a TLS handshake failed");
        }
        Err(_) => limits.counters.count(Limit::HandshakeTimeout),
    }
}
