//! Tokens of identity providers (OIDC): who signed them, for whom, and until when.
//!
//! What a token's claims are worth is for others to say: for publishers [`crate::publisher_auth`], for callers
//! [`crate::identity`].

mod code_flow;
mod keys;

pub(crate) use code_flow::{Application, Sent};

use crate::outbound::Outside;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hapi_raft::Reading;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use keys::Keys;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::sync::Arc;

/// How far the issuer's clock and ours may differ, in seconds.
const LEEWAY: u64 = 10;

/// The longest token that is read, in bytes; one with many groups takes a few thousand.
const MOST_BYTES: usize = 12 * 1024;

/// Why a token proves nothing. For the operator: told to a stranger it would say whom this node believes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OidcError {
    /// It is no token at all.
    #[error("this is no JWT")]
    Malformed,
    /// It is not of this issuer, not for us, or not of this time.
    #[error("{0}")]
    Unproven(String),
    /// The issuer has not given its keys.
    #[error("{0}")]
    Unavailable(String),
}

/// Whose tokens are verified.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// Their `iss`, character by character.
    pub(crate) issuer: String,
    /// What must be among their `aud`.
    pub(crate) audience: String,
    /// Where its keys are; absent means where its `/.well-known/openid-configuration` says.
    pub(crate) jwks_url: Option<String>,
    /// What it may sign with.
    pub(crate) algorithms: Vec<Algorithm>,
    /// How long after its end a token is good, in seconds. None where the log judges the end too, by its own time.
    pub(crate) grace: u64,
}

impl Issuer {
    /// One of those who vouch for publishers: what they vouch for is then signed by us, for minutes.
    pub(crate) fn of_publishers(issuer: &str, audience: &str, jwks_url: Option<&str>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            jwks_url: jwks_url.map(str::to_owned),
            algorithms: vec![Algorithm::RS256, Algorithm::ES256],
            grace: LEEWAY,
        }
    }
}

/// An issuer and the keys that it publishes.
pub(crate) struct Verifier {
    issuer: Issuer,
    keys: Arc<Keys>,
}

/// What is read of a token before its signature is verified: nothing of it is believed.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Whose a token says it is, and for whom.
#[derive(Deserialize)]
pub(crate) struct Origin {
    pub(crate) iss: String,
    #[serde(default)]
    aud: Value,
}

impl Origin {
    /// What the token says of itself.
    pub(crate) fn of(token: &str) -> Option<Self> {
        part(token, 1)
    }

    /// Whether it says that it is for `audience`.
    pub(crate) fn is_for(&self, audience: &str) -> bool {
        match &self.aud {
            Value::Array(several) => several.iter().any(|one| one == audience),
            one => one == audience,
        }
    }
}

/// Whether a text has the form of a JWT. Whether it is worth anything, only its verifier can tell.
pub(crate) fn has_form(token: &str) -> bool {
    part::<Header>(token, 0).is_some() && token.split('.').count() == 3
}

fn part<T: DeserializeOwned>(token: &str, number: usize) -> Option<T> {
    let text = token.split('.').nth(number).filter(|_| token.len() <= MOST_BYTES)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

impl Verifier {
    pub(crate) fn new(issuer: Issuer) -> Self {
        Self { keys: Arc::new(Keys::new(&issuer)), issuer }
    }

    /// The claims of a token that this issuer has signed for us, and that is in its time.
    pub(crate) async fn verify(
        &self,
        token: &str,
        outside: &Arc<dyn Outside>,
        now: &Reading,
    ) -> Result<Map<String, Value>, OidcError> {
        let header: Header = part(token, 0).ok_or(OidcError::Malformed)?;
        if header.crit.is_some() {
            return Err(self.unproven("the token wants extensions to be understood"));
        }
        let kid = header.kid.ok_or_else(|| self.unproven("the token does not name its key"))?;
        let key = self.keys.find(&kid, outside, now).await?;
        let algorithm =
            keys::algorithm(&key).ok_or_else(|| self.unproven("its key is of no kind that is taken"))?;
        let (alg, expected) = (header.alg, keys::name(algorithm));
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
        validation.set_issuer(&[&self.issuer.issuer]);
        validation.set_audience(&[&self.issuer.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation
    }

    fn check_times(&self, claims: &Map<String, Value>, now: u64) -> Result<(), OidcError> {
        // A date may have a fraction (RFC 7519 §2).
        let date = |claim: &str| claims.get(claim).map(|value| value.as_f64().unwrap_or(f64::NAN));
        let earliest_end = now.saturating_sub(self.issuer.grace) as f64;
        let latest_start = (now + LEEWAY) as f64;
        if !date("exp").is_some_and(|end| end > earliest_end) {
            return Err(self.unproven("the token has ended"));
        }
        let has_begun = |claim| date(claim).is_none_or(|start| start <= latest_start);
        if has_begun("nbf") && has_begun("iat") {
            return Ok(());
        }
        Err(self.unproven("the token begins in the future"))
    }

    fn unproven(&self, why: &str) -> OidcError {
        OidcError::Unproven(format!("{}: {why}", self.issuer.issuer))
    }
}
