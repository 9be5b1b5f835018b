//! The registry's addresses, and what they publish.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use thiserror::Error;
use tokio::time::timeout;

use crate::config::{Config, ConfigError};
use crate::events::{EVENT_STREAM, is_event_stream};
use crate::tls;

/// How long to wait for a connection and for an answer. Shorter than the feed may be silent in strict mode, so that
/// another address can be tried in time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often a connection that is in use must show that it lives. HTTP/2 sends everything to an address over one
/// connection; if a network swallows that, a time limit ends the request but not the connection, and all further
/// requests would go the same way.
const PING_EVERY: Duration = Duration::from_secs(1);

/// The nodes, and the one that last answered.
#[derive(Debug)]
pub(crate) struct Registry {
    http: reqwest::Client,
    addresses: Vec<String>,
    preferred: AtomicUsize,
}

/// A document that was fetched.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) body: Vec<u8>,
    pub(crate) etag: Option<HeaderValue>,
}

/// Why an address gave nothing.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is too long")]
    Oversize,
    #[error("it did not answer in time")]
    Timeout,
    #[error("its answer is no stream of events")]
    NoStream,
}

impl Registry {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(&config.root_certificates)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(TIMEOUT)
            .redirect(Policy::none())
            .build()?;
        let addresses =
            config.registries.iter().map(|address| address.trim_end_matches('/').to_owned()).collect();
        Ok(Self { http, addresses, preferred: AtomicUsize::new(0) })
    }

    /// Every address once, by position, the preferred one first.
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, first) = (self.addresses.len(), self.preferred.load(Ordering::Relaxed));
        (0..count).map(move |step| (first + step) % count)
    }

    pub(crate) fn address(&self, position: usize) -> &str {
        &self.addresses[position]
    }

    /// Moves on from an address that gave nothing, unless that was done already.
    pub(crate) fn failed(&self, position: usize) {
        let next = (position + 1) % self.addresses.len();
        let _ = self.preferred.compare_exchange(position, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Fetches a document of at most `max` bytes; `None` when it is still the one of that ETag.
    pub(crate) async fn fetch(
        &self,
        position: usize,
        path: &str,
        etag: Option<&HeaderValue>,
        max: usize,
    ) -> Result<Option<Document>, FetchError> {
        let mut request = self.get(position, path).timeout(TIMEOUT);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => read(response, max).await.map(Some),
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(None),
            status => Err(FetchError::Status(status)),
        }
    }

    /// Opens a stream of events. Only its beginning must come in time: whoever reads it says how long it may be silent.
    pub(crate) async fn open(&self, position: usize, path: &str) -> Result<Response, FetchError> {
        let request = self.get(position, path).header(ACCEPT, EVENT_STREAM);
        let response = timeout(TIMEOUT, request.send()).await.map_err(|_| FetchError::Timeout)??;
        match response.status() {
            StatusCode::OK if is_event_stream(response.headers()) => Ok(response),
            StatusCode::OK => Err(FetchError::NoStream),
            status => Err(FetchError::Status(status)),
        }
    }

    fn get(&self, position: usize, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.address(position)))
    }
}

/// Reads no more than `max` bytes: a hostile node must not fill our memory.
async fn read(mut response: Response, max: usize) -> Result<Document, FetchError> {
    let etag = response.headers().get(ETAG).cloned();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max {
            return Err(FetchError::Oversize);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Document { body, etag })
}
