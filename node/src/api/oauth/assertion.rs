//! `private_key_jwt`: a client signs who it is with one of its registered keys (RFC 7523 §2.2 and §3).

use crate::{
    api::{Api, well_known::under},
    clock,
    limits::Origin,
    problem::OAuthProblem,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hapi_registry_state::{ClientId, KeyProof, Kid, Registry, Timestamp};
use serde::{Deserialize, de::IgnoredAny};

/// The longest that an assertion may still be good, in seconds. It bounds how long a stolen one is of use, and how
/// long a used one must be remembered.
const LONGEST_LIFE: u64 = 300;

/// How far the client's clock and ours may differ, in seconds.
const LEEWAY: u64 = 5;

/// The longest `jti`, in bytes.
const MAX_JTI: usize = 256;

/// A client's statement, of which nothing is proven yet.
#[derive(Debug)]
pub(super) struct Assertion<'a> {
    signing_input: &'a str,
    signature: [u8; 64],
    kid: Option<String>,
    client: ClientId,
    claims: Claims,
}

/// What may stand in the header; the algorithm is ours to choose, not the sender's.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    nbf: Option<u64>,
    iat: Option<u64>,
    jti: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Several(several) => several.iter().any(|one| one == wanted),
        }
    }
}

pub(super) fn check_type(kind: Option<&str>) -> Result<(), OAuthProblem> {
    if kind == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
        return Ok(());
    }
    Err(OAuthProblem::invalid(
        "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    ))
}

impl<'a> Assertion<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (signing_input, signature) = text.rsplit_once('.')?;
        let (header, payload) = signing_input.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: Claims = serde_json::from_slice(&decode(payload)?).ok()?;
        let signature = decode(signature)?.try_into().ok()?;
        let client = claims.sub.parse().ok().filter(|_| claims.iss == claims.sub)?;
        let sound = header.alg == "EdDSA" && header.crit.is_none();
        sound.then_some(Self { signing_input, signature, kid: header.kid, client, claims })
    }

    /// The client's key that made the signature, as `state` knows the client. A `kid` that is the name of a key
    /// of its chooses that key; some libraries write other names there, or none.
    fn key(&self, state: &Registry) -> Option<Kid> {
        let keys = &state.client(&self.client)?.keys;
        let is_named = |kid: &Kid| self.kid.as_deref() == Some(kid.as_str());
        let any_is_named = keys.iter().any(|key| is_named(&key.kid()));
        let mut open = keys.iter().filter(|key| !any_is_named || is_named(&key.kid()));
        let signed = open.find(|key| key.jwk().verifies(self.signing_input.as_bytes(), &self.signature));
        signed.map(|key| key.kid())
    }

    /// What is wrong with the claims, for the ear of whoever signed them.
    fn fault(&self, issuer: &str, now: u64) -> Option<&'static str> {
        let Claims { aud, exp, nbf, iat, jti, .. } = &self.claims;
        let latest_start = now.saturating_add(LEEWAY);
        if !aud.holds(issuer) && !aud.holds(&under(issuer, "/oauth2/token")) {
            return Some("the audience of the assertion must be the issuer or its token endpoint");
        }
        if *exp <= now {
            return Some("the assertion has ended");
        }
        if *exp > latest_start.saturating_add(LONGEST_LIFE) {
            return Some("the assertion lives longer than 5 minutes");
        }
        if (*nbf).max(*iat).is_some_and(|start| start > latest_start) {
            return Some("the assertion begins in the future");
        }
        let names_itself = (1..=MAX_JTI).contains(&jti.len());
        (!names_itself).then_some("the assertion needs a jti of 1 to 256 bytes")
    }
}

/// Proves that the assertion is a client's own, is for us, is in its time, and was not used here before. A key that
/// this node does not know may have been registered elsewhere a moment ago: one quorum read decides.
pub(super) async fn prove(
    api: &Api,
    from: Origin,
    assertion: &Assertion<'_>,
) -> Result<KeyProof, OAuthProblem> {
    let kid = match assertion.key(&api.replica.state()) {
        Some(kid) => kid,
        None => {
            api.limits.guess(from.0)?;
            api.replica.read_index().await.map_err(crate::problem::Problem::from)?;
            assertion.key(&api.replica.state()).ok_or_else(OAuthProblem::invalid_client)?
        }
    };
    let now = clock::now().seconds();
    if let Some(fault) = assertion.fault(&api.desk.issuer, now) {
        return Err(OAuthProblem::rejected_client(fault));
    }
    let Assertion { client, claims: Claims { jti, exp, .. }, .. } = assertion;
    if !api.replays.is_first(client.as_str(), jti, *exp, now) {
        return Err(OAuthProblem::rejected_client(
            "the assertion was used before: sign a new one for each request",
        ));
    }
    Ok(KeyProof { client: client.clone(), kid, expires_at: Timestamp::from_seconds(*exp) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://registry.example";
    const NOW: u64 = 1_800_000_000;

    fn claims() -> Value {
        json!({ "iss": "agent-7", "sub": "agent-7", "aud": ISSUER, "exp": NOW + 60, "jti": "1" })
    }

    fn text(header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", encode(header), encode(claims), URL_SAFE_NO_PAD.encode([0; 64]))
    }

    fn with(claim: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[claim] = value;
        claims
    }

    fn fault(claims: &Value) -> Option<&'static str> {
        Assertion::parse(&text(&json!({ "alg": "EdDSA" }), claims)).unwrap().fault(ISSUER, NOW)
    }

    #[test]
    fn only_our_algorithm_and_no_critical_extension_is_read() {
        assert!(
            Assertion::parse(&text(&json!({ "alg": "EdDSA", "typ": "JWT", "kid": "x" }), &claims()))
                .is_some()
        );
        for header in
            [json!({ "alg": "none" }), json!({ "alg": "HS256" }), json!({ "alg": "EdDSA", "crit": ["b64"] })]
        {
            assert!(Assertion::parse(&text(&header, &claims())).is_none(), "{header}");
        }
    }

    #[test]
    fn a_client_speaks_for_itself_and_names_everything() {
        let header = json!({ "alg": "EdDSA" });
        for (claim, value) in [("iss", json!("other")), ("sub", json!("Not An Id")), ("exp", json!("soon"))] {
            assert!(Assertion::parse(&text(&header, &with(claim, value))).is_none(), "{claim}");
        }
        for claim in ["iss", "sub", "aud", "exp", "jti"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(claim);
            assert!(Assertion::parse(&text(&header, &claims)).is_none(), "{claim}");
        }
    }

    #[test]
    fn an_assertion_is_for_us_short_and_in_its_time() {
        assert_eq!(fault(&claims()), None);
        assert_eq!(fault(&with("aud", json!([format!("{ISSUER}/oauth2/token"), "x"]))), None);
        assert!(fault(&with("aud", json!("https://other.example"))).is_some());
        assert!(fault(&with("exp", json!(NOW))).is_some());
        assert_eq!(fault(&with("exp", json!(NOW + 300))), None);
        assert!(fault(&with("exp", json!(NOW + 306))).is_some());
        assert!(fault(&with("nbf", json!(NOW + 6))).is_some());
        assert!(fault(&with("iat", json!(NOW + 6))).is_some());
        assert!(fault(&with("jti", json!(""))).is_some());
    }
}
