//! JWS in compact serialisation (RFC 7515 §3.1), with the one header that this system knows.

use crate::base64url;
use crate::json::{self, Object};
use crate::key_set::KeySet;
use crate::refusal::Refusal;

/// The kinds of statement that the cluster's keys sign. A statement of one kind never verifies as another
/// (RFC 8725 §3.11), although the keys are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Typ {
    /// A Connect Descriptor.
    Descriptor,
    /// A message of the revocation feed.
    Revocations,
    /// The signed head of the audit chain.
    AuditHead,
    /// What a publisher has proven, for minutes.
    Publisher,
}

impl Typ {
    /// The value of the header member `typ`. The descriptor's is that of OAuth access tokens (RFC 9068 §2.1),
    /// so that stock verifiers take it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Descriptor => "at+jwt",
            Self::Revocations => "mcp-revocations+jwt",
            Self::AuditHead => "hapi-audit-head+jwt",
            Self::Publisher => "hapi-publisher+jwt",
        }
    }

    /// The longest statement that is read, in bytes: nothing is decoded before this is known, so it bounds
    /// the work that a stranger can cause.
    ///
    /// A descriptor travels in an HTTP header, as a publisher token does, and common servers stop reading headers at 8 KiB. The feed is
    /// a response body from the issuer, and grows with the revocations in force.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Descriptor | Self::AuditHead | Self::Publisher => 8 * 1024,
            Self::Revocations => 4 * 1024 * 1024,
        }
    }

    /// The header of a statement that `kid` signs. A thumbprint is base64url, so it needs no escaping in
    /// JSON.
    #[cfg(feature = "signer")]
    pub(crate) fn header(self, kid: &str) -> String {
        format!(r#"{{"alg":"EdDSA","typ":"{}","kid":"{kid}"}}"#, self.as_str())
    }
}

/// A statement whose signature verified. Its claims are authentic; whether they suit is for the reader to
/// judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The thumbprint of the key that signed it.
    pub kid: String,
    /// The claim set.
    pub payload: Object,
}

/// Authenticates a statement of one kind.
///
/// The header is checked before the key is looked up and the signature before the payload is parsed: neither
/// the algorithm nor the key comes from what an attacker writes, and the JSON parser for claims sees signed
/// bytes only.
pub fn open(statement: &str, typ: Typ, keys: &KeySet) -> Result<Opened, Refusal> {
    if statement.len() > typ.max_bytes() {
        return Err(Refusal::Oversize);
    }
    let parts = Parts::split(statement)?;
    let header = base64url::decode(parts.header).ok_or(Refusal::Base64url)?;
    let payload = base64url::decode(parts.payload).ok_or(Refusal::Base64url)?;
    let signature = base64url::decode(parts.signature).ok_or(Refusal::Base64url)?;

    let kid = check_header(&json::object(&header)?, typ)?;
    let key = keys.get(&kid).ok_or(Refusal::UnknownKey)?;
    let signature = signature.try_into().map_err(|_| Refusal::Signature)?;
    if !key.verifies(parts.signing_input.as_bytes(), &signature) {
        return Err(Refusal::Signature);
    }
    Ok(Opened { payload: json::object(&payload)?, kid })
}

struct Parts<'a> {
    signing_input: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(statement: &'a str) -> Result<Self, Refusal> {
        let (signing_input, signature) = statement.rsplit_once('.').ok_or(Refusal::Parts)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Refusal::Parts)?;
        if payload.contains('.') {
            return Err(Refusal::Parts);
        }
        Ok(Self { signing_input, header, payload, signature })
    }
}

/// Checks that the header says `alg`, `typ` and `kid` and nothing else, and gives the `kid`.
///
/// A list of what is allowed, not of what is forbidden: `jwk`, `jku`, `x5u` and `x5c` would let an attacker
/// bring the key along, `crit` would change what the rest means, and no later member can slip past.
fn check_header(header: &Object, typ: Typ) -> Result<String, Refusal> {
    if header.keys().any(|member| !["alg", "typ", "kid"].contains(&member.as_str())) {
        return Err(Refusal::Header);
    }
    let says = |member: &str| header.get(member).and_then(|value| value.as_str());
    if says("alg") != Some("EdDSA") {
        return Err(Refusal::Algorithm);
    }
    if says("typ") != Some(typ.as_str()) {
        return Err(Refusal::Type);
    }
    says("kid").map(str::to_owned).ok_or(Refusal::Header)
}
