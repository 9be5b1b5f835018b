//! Making a connection and finding out who answered.

use crate::{
    certificate::{ANY_PEER, Peer},
    peer::resolve::{Names, ResolveError},
    tls::{Keys, Tls},
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{net::TcpStream, sync::watch, time::timeout};

/// How long one address may take to answer with a finished handshake.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a quiet connection is probed, and how long the other end may take. A peer that vanished
/// without a word is noticed after both; until then requests run into their own time-outs.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Room for a whole batch of entries without waiting for the receiver's permission.
const WINDOW_BYTES: u32 = 4 << 20;

/// Sends requests over one connection; clones share it.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// An open connection, and who is at the other end. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    pub(crate) peer: Peer,
    /// What it was made with.
    pub(crate) keys: Arc<Keys>,
    tls: Tls,
    /// Whether it takes no more requests: it has ended, or the other end has said so.
    pub(crate) over: watch::Sender<bool>,
}

impl Connection {
    /// Whether a new request may go over it. After an exchange of secrets another connection is made.
    pub(crate) fn is_usable(&self) -> bool {
        !self.sender.is_closed() && !*self.over.borrow() && self.tls.are_current(&self.keys)
    }
}

/// Why no connection was made. Nothing was sent.
#[derive(Debug, Error)]
pub enum DialError {
    /// The address leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Nobody answers, or not in time.
    #[error("{address}: {source}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The other end does not share our secret, or does not speak our protocol.
    #[error("{address}: TLS: {source}")]
    Handshake {
        /// The address.
        address: SocketAddr,
        /// What TLS said.
        source: io::Error,
    },
    /// The other end is someone else.
    #[error("{address}: {reason}")]
    WrongPeer {
        /// The address.
        address: SocketAddr,
        /// Who was expected and who answered.
        reason: String,
    },
    /// The process is stopping.
    #[error("given up: the process is stopping")]
    GivenUp,
    /// No address is known.
    #[error("no address of node {0:016x} is known")]
    NoAddress(u64),
}

/// Dials addresses with the TLS of this process.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) names: Names,
    pub(crate) tls: Tls,
}

impl Dialer {
    /// Tries every address of `target` in turn, and returns the first that `accept` agrees with.
    pub(crate) async fn dial(
        &self,
        target: &str,
        accept: impl Fn(&Peer) -> Result<(), String>,
    ) -> Result<Connection, DialError> {
        let mut last = DialError::Resolve(ResolveError::Form(target.into()));
        for address in self.names.lookup(target).await? {
            match self.dial_address(address, &accept).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(crate) async fn dial_address(
        &self,
        address: SocketAddr,
        accept: impl Fn(&Peer) -> Result<(), String>,
    ) -> Result<Connection, DialError> {
        let late = |_| DialError::Connect { address, source: io::ErrorKind::TimedOut.into() };
        timeout(DIAL_TIMEOUT, self.handshake(address, accept)).await.map_err(late)?
    }

    async fn handshake(
        &self,
        address: SocketAddr,
        accept: impl Fn(&Peer) -> Result<(), String>,
    ) -> Result<Connection, DialError> {
        let stream =
            TcpStream::connect(address).await.map_err(|source| DialError::Connect { address, source })?;
        stream.set_nodelay(true).map_err(|source| DialError::Connect { address, source })?;
        #[expect(clippy::expect_used, reason = "a constant name, parsed in tests at every connection")]
        let name = ServerName::try_from(ANY_PEER).expect("a DNS name");
        let failed = |source| DialError::Handshake { address, source };
        let keys = Arc::clone(&self.tls.keys());
        let stream = keys.connector.connect(name, stream).await.map_err(failed)?;
        let wrong = |reason| DialError::WrongPeer { address, reason };
        let peer =
            keys.peer(stream.get_ref().1.peer_certificates()).map_err(|error| wrong(error.to_string()))?;
        accept(&peer).map_err(wrong)?;
        let (sender, running) =
            http2().handshake(TokioIo::new(stream)).await.map_err(|e| failed(io::Error::other(e)))?;
        let over = watch::Sender::new(false);
        let connection = Connection { sender, peer, keys, tls: self.tls.clone(), over };
        let (keys, tls, over) = (connection.keys.clone(), self.tls.clone(), connection.over.clone());
        tokio::spawn(async move {
            run(running, address, peer, keys, tls).await;
            over.send_replace(true);
        });
        Ok(connection)
    }
}

/// Runs a connection until it ends, and a little longer than its secrets are in force.
async fn run(
    running: impl Future<Output = hyper::Result<()>>,
    address: SocketAddr,
    peer: Peer,
    keys: Arc<Keys>,
    tls: Tls,
) {
    let mut running = std::pin::pin!(running);
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = tls.exchanged(&keys) => timeout(tls.farewell(&peer), running).await.unwrap_or(Ok(())),
    };
    // Whoever waits for an answer hears of the end, too; here it is only worth a trace.
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "peer connection ended");
    }
}

fn http2() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES * 2)
        .keep_alive_interval(PROBE_EVERY)
        .keep_alive_timeout(PROBE_TIMEOUT)
        .keep_alive_while_idle(true);
    builder
}
