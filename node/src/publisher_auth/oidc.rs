//! Tokens of identity providers: who signed them, for whom, and what their claims grant.

use super::Refusal;
use crate::{
    outbound::{Ask, OutboundError, Outside},
    publisher_token::Proven,
};
use axum::http::{HeaderMap, StatusCode};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hapi_raft::Reading;
use hapi_registry_state::Glob;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::Mutex;
use url::Url;

/// How far the issuer's clock and ours may differ, in seconds.
const LEEWAY: u64 = 10;

/// The longest token that is read, in bytes; one with many groups takes a few thousand.
const MOST_BYTES: usize = 12 * 1024;

/// The largest key set or metadata that is read, in bytes, and the most keys that are kept of it.
const DOCUMENT_BYTES: usize = 256 * 1024;
const MOST_KEYS: usize = 64;

/// A key that an issuer has withdrawn is believed no longer than this.
const FRESH: Duration = Duration::from_secs(300);

/// For so long an issuer that does not answer is believed by the keys that it had.
const STALE: Duration = Duration::from_secs(3_600);

/// The shortest time between two fetches. Anyone can write any `kid`: without a floor, forged tokens would make this
/// node hammer the issuer.
const REST: Duration = Duration::from_secs(30);

/// An issuer whose tokens publishers may show, as it is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcIssuer {
    /// The `iss` of its tokens, character by character.
    pub(crate) issuer: String,
    /// What must be among the `aud` of its tokens: a token for another service proves nothing to this one.
    pub(crate) audience: String,
    /// Where its keys are; absent means where its `/.well-known/openid-configuration` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks_url: Option<String>,
    /// What its tokens grant.
    pub(crate) rules: Vec<OidcRule>,
}

/// Tokens with this claim may publish in these namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcRule {
    /// The name of the claim.
    pub(crate) claim: String,
    /// What the claim must be, or contain if it is a list.
    pub(crate) value: String,
    /// Globs over namespaces.
    pub(crate) namespaces: Vec<Glob>,
}

impl OidcRule {
    fn fits(&self, claims: &Map<String, Value>) -> bool {
        match claims.get(&self.claim) {
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Array(values)) => values.iter().any(|value| value.as_str() == Some(&self.value)),
            _ => false,
        }
    }
}

impl OidcIssuer {
    /// What `claims` of a verified token grant.
    pub(super) fn proven(&self, claims: &Map<String, Value>) -> Result<Proven, Refusal> {
        let unproven = |why: &str| Refusal::Unproven(format!("{}: {why}", self.issuer));
        let sub =
            claims.get("sub").and_then(Value::as_str).ok_or_else(|| unproven("the token has no `sub`"))?;
        let host = Url::parse(&self.issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
        let who = format!("{}:{sub}", host.as_deref().unwrap_or(&self.issuer));
        let rules = self.rules.iter().filter(|rule| rule.fits(claims));
        let globs = rules.flat_map(|rule| rule.namespaces.iter().cloned());
        Proven::new("oidc", &who, globs).ok_or_else(|| unproven("no rule grants anything to this token"))
    }
}

/// Whose tokens are verified, and the keys that it publishes.
pub(crate) struct Verifier {
    issuer: String,
    audience: String,
    jwks_url: Option<String>,
    /// Held while keys are fetched, so that however many wait for them they are fetched once.
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    set: Vec<Jwk>,
    /// By the clock that only goes on: nobody sets it, and keys must not become young again.
    fetched: Option<Duration>,
    tried: Option<Duration>,
}

impl Keys {
    fn find(&self, kid: &str) -> Option<Jwk> {
        self.set.iter().find(|key| key.common.key_id.as_deref() == Some(kid)).cloned()
    }

    fn are_younger_than(&self, age: Duration, now: &Reading) -> bool {
        self.fetched.is_some_and(|at| now.boot.saturating_sub(at) < age)
    }

    fn may_be_fetched(&self, now: &Reading) -> bool {
        self.tried.is_none_or(|at| now.boot.saturating_sub(at) >= REST)
    }
}

/// What is read of a token before its signature is verified: nothing of it is believed.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Origin {
    iss: String,
}

/// The issuer that a token says it is of.
pub(super) fn origin(token: &str) -> Option<String> {
    let origin: Origin = part(token, 1)?;
    Some(origin.iss)
}

fn part<T: DeserializeOwned>(token: &str, number: usize) -> Option<T> {
    let text = token.split('.').nth(number).filter(|_| token.len() <= MOST_BYTES)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

impl Verifier {
    pub(super) fn new(issuer: &str, audience: &str, jwks_url: Option<&str>) -> Self {
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Self { issuer, audience, jwks_url: jwks_url.map(str::to_owned), keys: Mutex::default() }
    }

    /// The claims of a token that this issuer has signed for us, and that is in its time.
    pub(super) async fn verify(
        &self,
        token: &str,
        outside: &dyn Outside,
        now: &Reading,
    ) -> Result<Map<String, Value>, Refusal> {
        let header: Header =
            part(token, 0).ok_or_else(|| Refusal::Malformed("`oidc_token` is no JWT".into()))?;
        if header.crit.is_some() {
            return Err(self.unproven("the token wants extensions to be understood"));
        }
        let kid = header.kid.ok_or_else(|| self.unproven("the token does not name its key"))?;
        let key = self.key(&kid, outside, now).await?;
        let algorithm =
            algorithm(&key).ok_or_else(|| self.unproven("its key is of no kind that is taken"))?;
        let (alg, expected) = (header.alg, name(algorithm));
        if alg != expected {
            return Err(self.unproven(&format!("the token says {alg:?}, and its key is for {expected}")));
        }
        let key = DecodingKey::from_jwk(&key).map_err(|error| self.unproven(&error.to_string()))?;
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &self.validation(algorithm));
        let claims = claims.map_err(|error| self.unproven(&error.to_string()))?.claims;
        self.check_times(&claims, now.wall.seconds())?;
        Ok(claims)
    }

    /// The algorithm is that of the issuer's key, and none that the token chooses. The time is judged by our own clock,
    /// which comes in as an argument.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation
    }

    fn check_times(&self, claims: &Map<String, Value>, now: u64) -> Result<(), Refusal> {
        // A date may have a fraction (RFC 7519 §2).
        let date = |claim: &str| claims.get(claim).map(|value| value.as_f64().unwrap_or(f64::NAN));
        let (earliest_end, latest_start) = (now.saturating_sub(LEEWAY) as f64, (now + LEEWAY) as f64);
        if !date("exp").is_some_and(|end| end > earliest_end) {
            return Err(self.unproven("the token has ended"));
        }
        let has_begun = |claim| date(claim).is_none_or(|start| start <= latest_start);
        if has_begun("nbf") && has_begun("iat") {
            return Ok(());
        }
        Err(self.unproven("the token begins in the future"))
    }

    /// The key of that name, from memory as long as it is fresh.
    async fn key(&self, kid: &str, outside: &dyn Outside, now: &Reading) -> Result<Jwk, Refusal> {
        let mut keys = self.keys.lock().await;
        if let Some(key) = keys.find(kid).filter(|_| keys.are_younger_than(FRESH, now)) {
            return Ok(key);
        }
        if keys.may_be_fetched(now) {
            keys.tried = Some(now.boot);
            match self.fetch(outside).await {
                Ok(set) => (keys.set, keys.fetched) = (set, Some(now.boot)),
                Err(error) => tracing::warn!(issuer = self.issuer, %error, "no keys of an issuer were got"),
            }
        }
        if !keys.are_younger_than(STALE, now) {
            return Err(Refusal::Unavailable(format!("{} has not given its keys", self.issuer)));
        }
        keys.find(kid)
            .ok_or_else(|| self.unproven("the issuer does not publish the key that the token names"))
    }

    async fn fetch(&self, outside: &dyn Outside) -> Result<Vec<Jwk>, OutboundError> {
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
        Ok(keys.filter(|key| algorithm(key).is_some()).collect())
    }

    fn unproven(&self, why: &str) -> Refusal {
        Refusal::Unproven(format!("{}: {why}", self.issuer))
    }
}

/// What a key signs with. A symmetric one is no proof: who verifies with it could have signed.
fn algorithm(key: &Jwk) -> Option<Algorithm> {
    let (algorithm, name) = match &key.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    let signs = key.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let is_for_it = key.common.key_algorithm.is_none_or(|other| other == name);
    (signs && is_for_it).then_some(algorithm)
}

fn name(algorithm: Algorithm) -> &'static str {
    if algorithm == Algorithm::RS256 { "RS256" } else { "ES256" }
}

async fn json<T: DeserializeOwned>(outside: &dyn Outside, url: &str) -> Result<T, OutboundError> {
    let ask = Ask {
        url: Url::parse(url).map_err(|_| OutboundError::NoHost(url.to_owned()))?,
        headers: HeaderMap::new(),
        most_bytes: DOCUMENT_BYTES,
    };
    let found = outside.fetch(ask).await?;
    if found.status != StatusCode::OK {
        return Err(OutboundError::Exchange(format!("{url} answers {}", found.status)));
    }
    serde_json::from_slice(&found.body)
        .map_err(|error| OutboundError::Exchange(format!("{url} is not the JSON that it should be: {error}")))
}
