//! One HTTP exchange with one node.

use std::error::Error;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response};
use rustls::CertificateError;
use std::time::Duration;
use thiserror::Error;
use url::Url;

/// The longest answer that is read, in bytes. Far above any page of the API; it keeps a broken or hostile
/// node from filling the caller's memory.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Instead of the bound on a whole exchange, where an answer may be of any length.
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(24 * 3_600);

/// What a node answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header `Retry-After`, in seconds. Its other form, a date, is not used by the nodes.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// Why a node did not answer.
#[derive(Debug, Error)]
pub(crate) enum ExchangeError {
    /// There was no connection (name, TCP or TLS), so the request cannot have been seen.
    #[error("cannot connect to {node}: {cause}")]
    NotSent { node: Url, cause: String },
    /// The exchange broke off or timed out. The node may have acted on the request.
    #[error("no answer from {node}: {cause}")]
    Broken { node: Url, cause: String },
    /// The answer was longer than [`MAX_ANSWER_BYTES`].
    #[error("the answer of {node} is too long")]
    Oversize { node: Url },
}

/// Sends requests with the credential, which no `Debug` shows.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    authorization: Option<HeaderValue>,
}

impl Transport {
    /// `authorization` must be marked sensitive.
    pub(crate) fn new(http: reqwest::Client, authorization: Option<HeaderValue>) -> Self {
        Self { http, authorization }
    }

    /// Sends to `path` below the node's address. `path` must start with a slash: anything else could end up
    /// in the host.
    pub(crate) async fn send(
        &self,
        node: &Url,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Answer, ExchangeError> {
        self.send_with(node, method, path, body, &HeaderMap::new()).await
    }

    /// Like [`Transport::send`], with further headers. A body is JSON, unless they say otherwise.
    pub(crate) async fn send_with(
        &self,
        node: &Url,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        headers: &HeaderMap,
    ) -> Result<Answer, ExchangeError> {
        let response = self.request(node, method, path, body, headers).send().await;
        read(node, response.map_err(|error| failure(node, &error))?).await
    }

    /// Begins to read an answer of any length: only each silence in it is bounded, by whoever reads it.
    pub(crate) async fn open(&self, node: &Url, path: &str) -> Result<Response, ExchangeError> {
        let request = self.request(node, Method::GET, path, None, &HeaderMap::new());
        request.timeout(LONGEST_DOWNLOAD).send().await.map_err(|error| failure(node, &error))
    }

    fn request(
        &self,
        node: &Url,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        headers: &HeaderMap,
    ) -> RequestBuilder {
        debug_assert!(path.starts_with('/'));
        let url = format!("{}{path}", node.as_str().trim_end_matches('/'));
        let mut request = self.http.request(method, url).headers(headers.clone());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() && !headers.contains_key(CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(body) = body {
            request = request.body(body.to_vec());
        }
        request
    }
}

/// Reads an answer whole.
pub(crate) async fn read(node: &Url, mut response: Response) -> Result<Answer, ExchangeError> {
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(node, &error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ExchangeError::Oversize { node: node.clone() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status().as_u16(), retry_after, body })
}

fn failure(node: &Url, error: &reqwest::Error) -> ExchangeError {
    let (node, cause) = (node.clone(), innermost(error));
    if error.is_connect() {
        ExchangeError::NotSent { node, cause }
    } else {
        ExchangeError::Broken { node, cause }
    }
}

/// The cause at the bottom ("connection refused"): the layers above it only say that sending failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &(dyn Error + 'static) = error;
    loop {
        if let Some(text) = distrust(cause) {
            return text;
        }
        match cause.source() {
            Some(source) => cause = source,
            None => return cause.to_string(),
        }
    }
}

/// What is wrong with the certificate of the other end, if that is the cause, and what can be done about it: rustls
/// says it in its own terms, and some layers hide it within an error of the operating system.
fn distrust(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(inner) = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return distrust(inner);
    }
    let rustls::Error::InvalidCertificate(wrong) = cause.downcast_ref()? else { return None };
    Some(match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its TLS certificate has expired: renew it where TLS ends, or set this machine's clock right"
                .into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its TLS certificate is not valid yet: set this machine's clock right, or the one that signed it"
                .into()
        }
        CertificateError::UnknownIssuer => {
            "its TLS certificate is signed by an authority that is not among those believed here".into()
        }
        other => format!("its TLS certificate is not believed: {other}"),
    })
}
