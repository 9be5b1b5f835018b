//! The keys that an issuer publishes, as long as they may be believed.

use super::{Issuer, OidcError};
use crate::outbound::{Ask, OutboundError, Outside};
use arc_swap::ArcSwap;
use axum::http::{HeaderMap, StatusCode};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use hapi_raft::Reading;
use jsonwebtoken::{
    Algorithm,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use url::Url;

/// The largest key set or metadata that is read, in bytes, and the most keys that are kept of it.
const DOCUMENT_BYTES: usize = 256 * 1024;
const MOST_KEYS: usize = 64;

/// A key that an issuer has withdrawn is believed no longer than this, and the rest between two fetches.
const FRESH: Duration = Duration::from_secs(300);

/// For so long an issuer that does not answer is believed by the keys that it had.
const STALE: Duration = Duration::from_secs(3_600);

/// The shortest time between two fetches. Anyone can write any `kid`: without a floor, forged tokens would make this
/// node hammer the issuer.
const REST: Duration = Duration::from_secs(30);

/// A fetch that several may wait for.
type Fetch = Shared<BoxFuture<'static, ()>>;

/// The keys of one issuer.
pub(super) struct Keys {
    issuer: String,
    jwks_url: Option<String>,
    algorithms: Vec<Algorithm>,
    known: ArcSwap<Known>,
    tries: Mutex<Tries>,
}

/// What was fetched last.
#[derive(Default)]
struct Known {
    set: Vec<Jwk>,
    /// By the clock that only goes on: nobody sets it, and keys must not become young again.
    at: Option<Duration>,
}

impl Known {
    fn find(&self, kid: &str) -> Option<Jwk> {
        self.set.iter().find(|key| key.common.key_id.as_deref() == Some(kid)).cloned()
    }

    fn are_younger_than(&self, age: Duration, now: &Reading) -> bool {
        self.at.is_some_and(|at| now.boot.saturating_sub(at) < age)
    }
}

#[derive(Default)]
struct Tries {
    last: Option<Duration>,
    running: Option<Fetch>,
}

/// Who fetches.
enum Turn {
    /// This caller began to.
    Mine(Fetch),
    /// Another one did, and is not done.
    Others(Fetch),
    /// Nobody: it was tried a moment ago.
    Nobodys,
}

impl Keys {
    pub(super) fn new(issuer: &Issuer) -> Self {
        Self {
            issuer: issuer.issuer.clone(),
            jwks_url: issuer.jwks_url.clone(),
            algorithms: issuer.algorithms.clone(),
            known: ArcSwap::default(),
            tries: Mutex::default(),
        }
    }

    /// The key of that name, from memory as long as it is fresh. Whoever needs a key that is known never waits for what
    /// somebody else fetches: an issuer that does not answer must not hold up those whose keys are at hand.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: &str,
        outside: &Arc<dyn Outside>,
        now: &Reading,
    ) -> Result<Jwk, OidcError> {
        let known = self.known.load_full();
        let key = known.find(kid).filter(|_| known.are_younger_than(STALE, now));
        if let Some(key) = key.clone().filter(|_| known.are_younger_than(FRESH, now)) {
            return Ok(key);
        }
        match (self.turn(outside, now), key) {
            (Turn::Others(_) | Turn::Nobodys, Some(key)) => return Ok(key),
            (Turn::Mine(fetch), _) | (Turn::Others(fetch), None) => fetch.await,
            (Turn::Nobodys, None) => {}
        }
        let known = self.known.load_full();
        if !known.are_younger_than(STALE, now) {
            return Err(OidcError::Unavailable(format!("{} has not given its keys", self.issuer)));
        }
        known.find(kid).ok_or_else(|| {
            OidcError::Unproven(format!(
                "{}: the issuer does not publish the key that the token names",
                self.issuer
            ))
        })
    }

    fn turn(self: &Arc<Self>, outside: &Arc<dyn Outside>, now: &Reading) -> Turn {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = tries.running.as_ref().filter(|running| running.peek().is_none()) {
            return Turn::Others(running.clone());
        }
        if tries.last.is_some_and(|at| now.boot.saturating_sub(at) < REST) {
            return Turn::Nobodys;
        }
        tries.last = Some(now.boot);
        let (keys, outside, now) = (self.clone(), outside.clone(), *now);
        // A task of its own: whoever asked may hang up, and must not take the keys from everybody else with it.
        let task = tokio::spawn(async move { keys.fetch(&*outside, &now).await });
        let fetch = task.map(drop).boxed().shared();
        tries.running = Some(fetch.clone());
        Turn::Mine(fetch)
    }

    async fn fetch(&self, outside: &dyn Outside, now: &Reading) {
        match self.fetched(outside).await {
            Ok(set) => self.known.store(Arc::new(Known { set, at: Some(now.boot) })),
            Err(error) => tracing::warn!(issuer = self.issuer, %error, "no keys of an issuer were got"),
        }
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody may have waited to the end, and then nobody else would know that it has come.
        tries.running = None;
    }

    async fn fetched(&self, outside: &dyn Outside) -> Result<Vec<Jwk>, OutboundError> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: String,
        }
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => {
                let path = ".well-known/openid-configuration";
                let url = format!("{}/{path}", self.issuer.trim_end_matches('/'));
                let metadata: Metadata = json(outside, &url).await?;
                if metadata.issuer != self.issuer {
                    return Err(OutboundError::Exchange(format!("{url} is of another issuer")));
                }
                metadata.jwks_uri
            }
        };
        let set: Set = json(outside, &url).await?;
        // Keys of other kinds and for other uses are passed over (RFC 7517 §5).
        let keys = set.keys.into_iter().take(MOST_KEYS).filter_map(|key| serde_json::from_value(key).ok());
        let is_taken =
            |key: &Jwk| algorithm(key).is_some_and(|algorithm| self.algorithms.contains(&algorithm));
        Ok(keys.filter(is_taken).collect())
    }
}

/// What a key signs with. A symmetric one is no proof: who verifies with it could have signed.
pub(super) fn algorithm(key: &Jwk) -> Option<Algorithm> {
    let (algorithm, name) = match &key.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let signs = key.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let is_for_it = key.common.key_algorithm.is_none_or(|other| other == name);
    (signs && is_for_it).then_some(algorithm)
}

pub(super) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::EdDSA => "EdDSA",
        _ => "ES256",
    }
}

async fn json<T: DeserializeOwned>(outside: &dyn Outside, url: &str) -> Result<T, OutboundError> {
    sent(outside, url, None).await
}

/// The JSON that answers a form, or a question without one.
pub(super) async fn sent<T: DeserializeOwned>(
    outside: &dyn Outside,
    url: &str,
    form: Option<String>,
) -> Result<T, OutboundError> {
    let ask = Ask {
        url: Url::parse(url).map_err(|_| OutboundError::NoHost(url.to_owned()))?,
        headers: HeaderMap::new(),
        form,
        most_bytes: DOCUMENT_BYTES,
    };
    let found = outside.fetch(ask).await?;
    if found.status != StatusCode::OK {
        return Err(OutboundError::Status { url: url.to_owned(), status: found.status });
    }
    serde_json::from_slice(&found.body)
        .map_err(|error| OutboundError::Exchange(format!("{url} is not the JSON that it should be: {error}")))
}
