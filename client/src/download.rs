//! Reading an answer that is too large to be held.

use reqwest::Response;
use std::time::Duration;
use tokio::time::timeout;

use crate::api::{ApiError, node_failure};
use crate::client::{Client, Inner};
use crate::problem::Problem;
use crate::transport;

/// The longest silence of a node between two pieces.
const SILENCE: Duration = Duration::from_secs(30);

/// An answer of success whose body is still to be read.
#[derive(Debug)]
pub struct Download(Response);

impl Download {
    /// A header of the answer, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    ///
    /// [`ApiError::Unreachable`] when the exchange breaks off. What was read so far is not the whole.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let broke_off = |cause: String| ApiError::Unreachable(format!("the answer broke off: {cause}"));
        match timeout(SILENCE, self.0.chunk()).await {
            Ok(Ok(piece)) => Ok(piece.map(|piece| piece.to_vec())),
            Ok(Err(error)) => Err(broke_off(error.to_string())),
            Err(_) => Err(broke_off(format!("nothing came for {} s", SILENCE.as_secs()))),
        }
    }
}

impl Client {
    /// Begins to read `path`. Goes to the next node as long as none has begun to answer.
    ///
    /// # Errors
    ///
    /// [`ApiError`]. When all nodes fail, that of the last.
    pub async fn download(&self, path: &str) -> Result<Download, ApiError> {
        if !path.starts_with('/') {
            return Err(ApiError::Path);
        }
        self.0.download_any(path).await
    }
}

impl Inner {
    async fn download_any(&self, path: &str) -> Result<Download, ApiError> {
        let mut last = ApiError::Unreachable("there is no node".to_owned());
        for node in self.nodes.order() {
            let url = self.nodes.url(node);
            let unreachable = |error: transport::ExchangeError| ApiError::Unreachable(error.to_string());
            match self.transport.open(url, path).await {
                Ok(response) if response.status().is_success() => return Ok(Download(response)),
                Ok(response) => {
                    let answer = transport::read(url, response).await.map_err(unreachable)?;
                    last = ApiError::Refused(Problem::parse(&answer));
                    if node_failure(&answer).is_none() {
                        return Err(last);
                    }
                }
                Err(error) => last = unreachable(error),
            }
            self.nodes.failed(node);
        }
        Err(last)
    }
}
