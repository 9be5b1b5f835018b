//! Publisher tokens: what a publisher has proven, signed by a node, believed by every node for five minutes.
//!
//! The same keys sign descriptors. The type in the header keeps both apart for our own verifiers, and the audience for
//! those of others, which seldom look at the type: it is the registry, and no MCP server.

use crate::clock;
use hapi_descriptor::{Jti, KeySet, Refusal, Signer, Typ, open};
use hapi_registry_state::{Glob, PublisherGrant, PublisherSubject, Registry, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long a token is good, in seconds; clients of the official registry reckon with that.
pub(crate) const LIFE: u64 = 300;

/// How far the clock of the node that signed may be ahead of ours, in seconds. A token's end has no leeway: the log
/// would refuse what a node let through.
const LEEWAY: u64 = 5;

/// The most bytes of namespaces in one token. It travels in a header, and common servers stop reading those at 8 KiB.
const MOST_BYTES: usize = 4_096;

/// What somebody has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) subject: PublisherSubject,
    /// Where it may publish. As many as fit into a token, each once.
    pub(crate) namespaces: Vec<Glob>,
}

impl Proven {
    /// `who`, proven in a way that is called `method`. `None` for what may publish nowhere.
    pub(crate) fn new(method: &str, who: &str, namespaces: impl IntoIterator<Item = Glob>) -> Option<Self> {
        let namespaces = fitting(namespaces);
        let subject = subject(method, who)?;
        (!namespaces.is_empty()).then_some(Self { subject, namespaces })
    }
}

fn fitting(namespaces: impl IntoIterator<Item = Glob>) -> Vec<Glob> {
    let (mut seen, mut bytes) = (BTreeSet::new(), 0);
    let fits = |glob: &Glob| {
        bytes += glob.as_str().len();
        bytes <= MOST_BYTES
    };
    let each_once = namespaces.into_iter().filter(|glob| seen.insert(glob.clone()));
    each_once.take_while(fits).take(PublisherGrant::MAX_NAMESPACES).collect()
}

/// One word, whatever a foreign issuer calls its people: other bytes than visible ASCII are escaped as in a URL.
pub(crate) fn subject(method: &str, who: &str) -> Option<PublisherSubject> {
    let escaped = who.bytes().map(|byte| match byte {
        b'%' => "%25".to_owned(),
        byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    let word: String = format!("{method}:{}", escaped.collect::<String>()).chars().take(300).collect();
    word.parse().ok()
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: PublisherSubject,
    aud: String,
    iat: u64,
    exp: u64,
    jti: String,
    namespaces: Vec<Glob>,
}

/// A signed token.
pub(crate) struct Minted {
    pub(crate) text: String,
    /// Seconds since the Unix epoch.
    pub(crate) expires_at: u64,
}

/// Signs what was proven. `None` if it has no JSON, which cannot be.
pub(crate) fn mint(signer: &Signer, issuer: &str, proven: &Proven, now: u64) -> Option<Minted> {
    let claims = Claims {
        iss: issuer.to_owned(),
        sub: proven.subject.clone(),
        aud: issuer.to_owned(),
        iat: now,
        exp: now + LIFE,
        jti: Jti::new(clock::random_name()).to_string(),
        namespaces: proven.namespaces.clone(),
    };
    let text = signer.sign_as(Typ::Publisher, &claims).ok()?;
    Some(Minted { text, expires_at: claims.exp })
}

/// Why a text is no token that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Statement(#[from] Refusal),
    #[error("its claims are not those of a publisher token")]
    Claims,
}

impl Fault {
    /// Whether the key may be one that this node has not heard of yet.
    pub(crate) fn is_ignorance(self) -> bool {
        self == Self::Statement(Refusal::UnknownKey)
    }
}

/// What a token grants, if by `state` a key of this cluster has signed it, and it is in its time.
pub(crate) fn read(text: &str, state: &Registry, issuer: &str, now: u64) -> Result<PublisherGrant, Fault> {
    let keys: KeySet = state.published_keys().cloned().collect();
    open_with(text, &keys, issuer, now)
}

fn open_with(text: &str, keys: &KeySet, issuer: &str, now: u64) -> Result<PublisherGrant, Fault> {
    let opened = open(text, Typ::Publisher, keys)?;
    let claims = serde_json::from_value(opened.payload.into());
    let Claims { iss, sub, aud, iat, exp, namespaces, .. } = claims.map_err(|_| Fault::Claims)?;
    if iss != issuer || aud != issuer {
        return Err(Refusal::Issuer.into());
    }
    if now >= exp {
        return Err(Refusal::Expired.into());
    }
    if iat > now.saturating_add(LEEWAY) {
        return Err(Refusal::NotYetValid.into());
    }
    // A signer that is misused must not mint one that lasts.
    if exp.checked_sub(iat).is_none_or(|life| life > LIFE) {
        return Err(Refusal::Lifetime.into());
    }
    let (kid, ends) = (opened.kid.as_str().into(), Timestamp::from_seconds(exp));
    PublisherGrant::new(sub, namespaces, kid, ends).map_err(|_| Fault::Claims)
}

/// Whether a text has the form of a publisher token. Whether it is one, only a node can tell.
pub(crate) fn has_form(text: &str) -> bool {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let mut parts = text.split('.');
    let header = parts.next().and_then(|header| BASE64_URL_SAFE_NO_PAD.decode(header).ok());
    let header: Option<serde_json::Value> = header.and_then(|header| serde_json::from_slice(&header).ok());
    header.is_some_and(|header| header["typ"] == Typ::Publisher.as_str()) && parts.count() == 2
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://registry.example";
    const NOW: u64 = 1_800_000_000;

    fn signer() -> Signer {
        Signer::from_seed([42; 32].into())
    }

    fn keys() -> KeySet {
        [signer().public_jwk().clone()].into_iter().collect()
    }

    fn proven() -> Proven {
        let globs = ["com.example", "com.example.*"].map(|glob| glob.parse().unwrap());
        Proven::new("dns", "example.com", globs).unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "sub": "dns:example.com", "aud": ISSUER, "iat": NOW, "exp": NOW + LIFE, "jti": "x",
            "namespaces": ["com.example"],
        })
    }

    fn fault(claims: &Value, now: u64) -> Fault {
        let text = signer().sign_as(Typ::Publisher, claims).unwrap();
        open_with(&text, &keys(), ISSUER, now).unwrap_err()
    }

    #[test]
    fn what_was_proven_comes_back_and_ends_after_five_minutes() {
        let minted = mint(&signer(), ISSUER, &proven(), NOW).unwrap();
        assert!(has_form(&minted.text) && minted.expires_at == NOW + 300);
        for now in [NOW - LEEWAY, NOW, NOW + LIFE - 1] {
            let grant = open_with(&minted.text, &keys(), ISSUER, now).unwrap();
            assert_eq!(grant.subject().as_str(), "dns:example.com");
            assert_eq!(grant.namespaces(), proven().namespaces);
            assert_eq!(grant.kid().as_str(), signer().kid());
            assert_eq!(grant.expires_at(), Timestamp::from_seconds(NOW + LIFE));
        }
        let early = open_with(&minted.text, &keys(), ISSUER, NOW - LEEWAY - 1);
        assert_eq!(early.unwrap_err(), Refusal::NotYetValid.into());
        assert_eq!(
            open_with(&minted.text, &keys(), ISSUER, NOW + LIFE).unwrap_err(),
            Refusal::Expired.into()
        );
    }

    #[test]
    fn no_other_statement_of_the_same_key_is_a_publisher_token_nor_the_other_way_round() {
        for typ in [Typ::Descriptor, Typ::Revocations, Typ::AuditHead] {
            let text = signer().sign_as(typ, &claims()).unwrap();
            assert_eq!(open_with(&text, &keys(), ISSUER, NOW).unwrap_err(), Refusal::Type.into());
            assert!(!has_form(&text));
            let minted = mint(&signer(), ISSUER, &proven(), NOW).unwrap().text;
            assert_eq!(open(&minted, typ, &keys()), Err(Refusal::Type));
        }
    }

    #[test]
    fn a_token_is_of_this_cluster_and_says_what_it_must() {
        let with = |claim: &str, value: Value| {
            let mut claims = claims();
            claims[claim] = value;
            claims
        };
        assert_eq!(fault(&with("iss", json!("https://other.example")), NOW), Refusal::Issuer.into());
        assert_eq!(fault(&with("aud", json!("https://mcp.example")), NOW), Refusal::Issuer.into());
        assert_eq!(fault(&with("exp", json!(NOW + LIFE + 1)), NOW), Refusal::Lifetime.into());
        assert_eq!(fault(&with("iat", json!(NOW + LIFE + 9)), NOW), Refusal::NotYetValid.into());
        assert_eq!(fault(&with("sub", json!("two words")), NOW), Fault::Claims);
        assert_eq!(fault(&with("namespaces", json!([])), NOW), Fault::Claims);
        assert_eq!(fault(&with("namespaces", json!(["com example"])), NOW), Fault::Claims);
        assert_eq!(fault(&with("namespaces", json!(vec!["a"; 65])), NOW), Fault::Claims);
        let stranger = Signer::from_seed([7; 32].into());
        let forged = stranger.sign_as(Typ::Publisher, &claims()).unwrap();
        let fault = open_with(&forged, &keys(), ISSUER, NOW).unwrap_err();
        assert!(fault.is_ignorance(), "{fault}");
    }

    #[test]
    fn what_does_not_fit_into_a_token_is_left_out() {
        let globs = |count: usize, length: usize| {
            (0..count).map(move |number| format!("{number:0>length$}").parse().unwrap())
        };
        assert_eq!(Proven::new("github", "x", globs(100, 10)).unwrap().namespaces.len(), 64);
        assert_eq!(Proven::new("github", "x", globs(100, 200)).unwrap().namespaces.len(), 20);
        assert_eq!(
            Proven::new("github", "x", ["a", "b", "a"].map(|g| g.parse().unwrap())).unwrap().namespaces.len(),
            2
        );
        assert_eq!(Proven::new("github", "x", []), None);
        let largest =
            mint(&signer(), ISSUER, &Proven::new("x", &"é".repeat(300), globs(20, 200)).unwrap(), NOW);
        assert!(largest.unwrap().text.len() < Typ::Publisher.max_bytes());
    }

    #[test]
    fn a_subject_is_one_word_whatever_the_issuer_calls_its_people() {
        let subject = |who: &str| subject("oidc", who).unwrap().to_string();
        assert_eq!(subject("repo:octo/x:ref:refs/heads/main"), "oidc:repo:octo/x:ref:refs/heads/main");
        assert_eq!(subject("a b\n%é"), "oidc:a%20b%0A%25%C3%A9");
        assert_eq!(subject(&"x".repeat(400)).len(), 300);
    }
}
