//! Who signs: the issuer's name and its keys, as any node publishes them.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use hapi_descriptor::{Expectations, KeySet, Refusal, Verified, verify};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use tokio::sync::{Mutex, OnceCell};

use crate::client::Inner;
use crate::keys::Keys;

/// The metadata document of the Connect Authority.
const METADATA_PATH: &str = "/.well-known/mcp-connect-authority";

/// The cluster's JWK set.
const JWKS_PATH: &str = "/.well-known/jwks.json";

#[derive(Debug)]
pub(crate) struct Authority {
    /// Asked once: a cluster's issuer never changes.
    issuer: OnceCell<String>,
    /// Held while fetching, so that calls that meet the same unknown key fetch once.
    keys: Mutex<Keys>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
}

/// Why a descriptor could not be verified.
#[derive(Debug)]
pub(crate) enum VerifyError {
    /// It was verified, and is not good.
    Refused(Refusal),
    /// The issuer or its keys could not be learned.
    NoAuthority(String),
}

impl Authority {
    pub(crate) fn new(issuer: Option<String>) -> Self {
        Self { issuer: OnceCell::new_with(issuer), keys: Mutex::default() }
    }
}

impl Inner {
    /// Verifies a descriptor now, for that endpoint and that server. An unknown key is looked for once.
    pub(crate) async fn verify(
        &self,
        descriptor: &str,
        endpoint: &str,
        server: &str,
    ) -> Result<Verified, VerifyError> {
        let issuer = self.authority.issuer.get_or_try_init(|| self.fetch_issuer()).await?;
        let expected = Expectations { issuer, audience: endpoint, server: Some(server) };
        let verdict = verify(descriptor, &*self.keys().await?, &expected, unix_seconds());
        let verdict = match verdict {
            Err(Refusal::UnknownKey) => {
                verify(descriptor, &*self.newer_keys().await?, &expected, unix_seconds())
            }
            verdict => verdict,
        };
        verdict.map_err(VerifyError::Refused)
    }

    /// The key set at hand, fetched first when there is none or it is old. An old one is better than none:
    /// its descriptors are short-lived, and a node that issues can also be asked for keys.
    async fn keys(&self) -> Result<Arc<KeySet>, VerifyError> {
        let mut keys = self.authority.keys.lock().await;
        if keys.is_old(Instant::now()) {
            match self.fetch_keys().await {
                Ok(set) => keys.replace(set, Instant::now()),
                Err(error) if keys.is_absent() => return Err(error),
                Err(error) => tracing::warn!(?error, "the key set is old and cannot be fetched"),
            }
        }
        Ok(keys.set())
    }

    /// The key set, fetched anew unless that was done a moment ago.
    async fn newer_keys(&self) -> Result<Arc<KeySet>, VerifyError> {
        let mut keys = self.authority.keys.lock().await;
        if keys.may_refetch(Instant::now()) {
            keys.replace(self.fetch_keys().await?, Instant::now());
        }
        Ok(keys.set())
    }

    async fn fetch_keys(&self) -> Result<KeySet, VerifyError> {
        let body = self.fetch(JWKS_PATH).await?;
        KeySet::from_jwks(&body).map_err(|error| VerifyError::NoAuthority(error.to_string()))
    }

    async fn fetch_issuer(&self) -> Result<String, VerifyError> {
        let body = self.fetch(METADATA_PATH).await?;
        let metadata = serde_json::from_slice::<Metadata>(&body);
        metadata.map(|metadata| metadata.issuer).map_err(|error| VerifyError::NoAuthority(error.to_string()))
    }

    async fn fetch(&self, path: &str) -> Result<Vec<u8>, VerifyError> {
        let answer = self.send_any(Method::GET, path, None, &HeaderMap::new()).await;
        match answer.map_err(|error| VerifyError::NoAuthority(error.to_string()))? {
            answer if answer.status == 200 => Ok(answer.body),
            answer => Err(VerifyError::NoAuthority(format!("{path} answered {}", answer.status))),
        }
    }
}

/// The wall clock. A clock before 1970 counts as 1970, and then every descriptor is not valid yet.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
