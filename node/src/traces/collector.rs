//! How spans get to the collector: HTTP, with the certificates that clients of this program trust.

use crate::outbound::innermost;
use async_trait::async_trait;
use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// An answer says little more than yes; of a longer one only the status counts.
const ANSWER_BYTES: usize = 64 << 10;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Tls(#[from] hapi_client::TlsError),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// A client that remembers what went wrong last; the exporter above it tells no more than that something did.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    http: reqwest::Client,
    fault: Arc<Mutex<Option<String>>>,
}

impl Collector {
    pub(crate) fn new(patience: Duration) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(hapi_client::tls_config()?)
            .timeout(patience)
            // A header with a credential, from OTEL_EXPORTER_OTLP_HEADERS, must not follow whoever redirects.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, fault: Arc::default() })
    }

    /// What went wrong last.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    async fn send(&self, request: Request<Bytes>) -> reqwest::Result<Response<Bytes>> {
        let mut answer = self.http.execute(request.try_into()?).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            if body.len() + piece.len() > ANSWER_BYTES {
                body.clear();
                break;
            }
            body.extend_from_slice(&piece);
        }
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request).await;
        self.remember(match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(innermost(error)),
        });
        Ok(answer?)
    }
}
