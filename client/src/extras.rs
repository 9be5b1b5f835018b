//! What may go beside a request.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::api::ApiError;

/// Makes a write repeatable: a node that has seen the key gives the first answer again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// RFC 7240; here, how long the node may wait until an act binds every node.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What may go beside a request of [`Client::request_with`](crate::Client::request_with).
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// A text of 1 to 255 visible ASCII characters that no other write has, so that this one can be sent again:
    /// it is done once at most. Only for routes that know it: the writes of the governance API.
    pub idempotency_key: Option<String>,
    /// For how many seconds the node may hold back the answer, until an act binds every node.
    pub wait_seconds: Option<u64>,
}

impl Extras {
    pub(crate) fn headers(&self) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.idempotency_key {
            let value = HeaderValue::try_from(key).map_err(|_| ApiError::IdempotencyKey)?;
            headers.insert(IDEMPOTENCY_KEY, value);
        }
        if let Some(seconds) = self.wait_seconds {
            let value = HeaderValue::try_from(format!("wait={seconds}"));
            headers.extend(value.ok().map(|value| (PREFER, value)));
        }
        Ok(headers)
    }
}

/// Whether a request with these headers may be sent again after it may have been acted on.
pub(crate) fn are_repeatable(headers: &HeaderMap) -> bool {
    headers.contains_key(IDEMPOTENCY_KEY)
}
