//! The plain door to the whole API.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, value::RawValue};
use thiserror::Error;
use url::form_urlencoded;

use crate::client::{Client, Inner};
use crate::extras::{Extras, are_repeatable};
use crate::problem::Problem;
use crate::transport::{Answer, ExchangeError};

/// What OAuth's endpoints take.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Why a request did not succeed.
#[derive(Debug, Error)]
pub enum ApiError {
    /// A node refused it.
    #[error("{}: {} (HTTP {})", .0.code, .0.detail, .0.status)]
    Refused(Problem),
    /// No node could be reached; nothing was done. With the last cause.
    #[error("no node can be reached: {0}")]
    Unreachable(String),
    /// The exchange broke off after a write was sent. It may have been done or not: look before you repeat
    /// it.
    #[error("the outcome is not known: {0}")]
    OutcomeUnknown(String),
    /// The node answered something that is not JSON.
    #[error("the answer is not JSON")]
    Malformed,
    /// The node answered something that is not UTF-8.
    #[error("the answer is not a text")]
    NoText,
    /// The path does not start with a slash.
    #[error("a path starts with a slash")]
    Path,
    /// The idempotency key cannot stand in a header.
    #[error("the idempotency key has characters that it cannot have")]
    IdempotencyKey,
}

impl Client {
    /// Sends a request to `path` (with its query, from the first slash on) and gives the JSON that comes
    /// back, `null` for an empty answer.
    ///
    /// A `GET` goes to the next node when one cannot be reached, breaks off, or answers 502 to 504. Anything
    /// else does so only while no connection came about: once sent, it may have been done.
    ///
    /// # Errors
    ///
    /// [`ApiError`]. When all nodes fail, that of the last.
    pub async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, ApiError> {
        self.request_with(method, path, body, &Extras::default()).await
    }

    /// Like [`Client::request`], with more beside it. A write that has an idempotency key goes to the next node
    /// like a `GET`.
    ///
    /// # Errors
    ///
    /// [`ApiError`]. When all nodes fail, that of the last; but [`ApiError::OutcomeUnknown`] if any of them may
    /// have done a write.
    pub async fn request_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        extras: &Extras,
    ) -> Result<Value, ApiError> {
        let body = body.map(|body| body.to_string());
        self.exchange(method, path, body.as_deref(), &extras.headers()?).await
    }

    /// Like [`Client::request`], with a body that is sent byte for byte: a signed or hashed document must not
    /// be written anew on its way.
    ///
    /// # Errors
    ///
    /// [`ApiError`]. When all nodes fail, that of the last.
    pub async fn request_raw(&self, method: Method, path: &str, body: &RawValue) -> Result<Value, ApiError> {
        self.exchange(method, path, Some(body.get()), &HeaderMap::new()).await
    }

    /// Like [`Client::request`], for endpoints that take a form, as those of OAuth do.
    ///
    /// # Errors
    ///
    /// [`ApiError`]. When all nodes fail, that of the last.
    pub async fn request_form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value, ApiError> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, FORM)]);
        self.exchange(Method::POST, path, Some(&form), &headers).await
    }

    /// Reads `path`, and gives the answer as the text that it is: a signed message is no JSON.
    ///
    /// # Errors
    ///
    /// [`ApiError`]. When all nodes fail, that of the last.
    pub async fn text(&self, path: &str) -> Result<String, ApiError> {
        let answer = self.answer(Method::GET, path, None, &HeaderMap::new()).await?;
        String::from_utf8(answer.body).map_err(|_| ApiError::NoText)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Value, ApiError> {
        match self.answer(method, path, body, headers).await?.body.as_slice() {
            [] => Ok(Value::Null),
            body => serde_json::from_slice(body).map_err(|_| ApiError::Malformed),
        }
    }

    /// What is no success is an error.
    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Answer, ApiError> {
        if !path.starts_with('/') {
            return Err(ApiError::Path);
        }
        let answer = self.0.send_any(method, path, body.map(str::as_bytes), headers).await?;
        let is_success = (200..300).contains(&answer.status);
        if is_success { Ok(answer) } else { Err(ApiError::Refused(Problem::parse(&answer))) }
    }
}

impl Inner {
    /// Sends to one node after the other, until one answers for the cluster.
    pub(crate) async fn send_any(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        headers: &HeaderMap,
    ) -> Result<Answer, ApiError> {
        let read = method == Method::GET;
        let repeatable = read || are_repeatable(headers);
        let mut unknown = None;
        let mut last = ApiError::Unreachable("there is no node".to_owned());
        for node in self.nodes.order() {
            let url = self.nodes.url(node);
            match self.transport.send_with(url, method.clone(), path, body, headers).await {
                Ok(answer) => match node_failure(&answer).filter(|_| repeatable) {
                    Some(problem) => last = ApiError::Refused(problem),
                    None => return Ok(answer),
                },
                Err(error @ ExchangeError::NotSent { .. }) => last = ApiError::Unreachable(error.to_string()),
                Err(error) if read => last = ApiError::Unreachable(error.to_string()),
                Err(error) if repeatable => unknown = Some(ApiError::OutcomeUnknown(error.to_string())),
                Err(error) => return Err(ApiError::OutcomeUnknown(error.to_string())),
            }
            tracing::debug!(node = %url, error = %unknown.as_ref().unwrap_or(&last), "trying the next node");
            self.nodes.failed(node);
        }
        Err(unknown.unwrap_or(last))
    }
}

/// The problem, where the answer is about the node rather than about the request.
pub(crate) fn node_failure(answer: &Answer) -> Option<Problem> {
    (answer.status >= 500).then(|| Problem::parse(answer)).filter(Problem::is_node_failure)
}
