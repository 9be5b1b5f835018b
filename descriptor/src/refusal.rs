//! Why a descriptor was not accepted.

use thiserror::Error;

use crate::json::JsonError;

/// The first check that a descriptor failed.
///
/// The text is for logs. A caller on the network gets [`Refusal::code`] only, so that probing with forged
/// descriptors teaches nothing about how far they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// It is longer than a statement of its type may be.
    #[error("too long")]
    Oversize,
    /// It is not three parts with a dot between them.
    #[error("not three parts")]
    Parts,
    /// A part is not canonical base64url without padding.
    #[error("a part is not canonical base64url")]
    Base64url,
    /// The header or the payload is not one JSON object.
    #[error("the header or the payload is not one JSON object")]
    Json,
    /// An object in the header or the payload has a key twice.
    #[error("a key stands twice")]
    DuplicateKey,
    /// The header has no `kid`, or has a member beside `alg`, `typ` and `kid`: `crit`, `jwk`, `jku`, `x5u`,
    /// `x5c` or any other.
    #[error("the header is not exactly `alg`, `typ` and `kid`")]
    Header,
    /// `alg` is not `EdDSA`.
    #[error("`alg` is not `EdDSA`")]
    Algorithm,
    /// `typ` is not the expected one.
    #[error("`typ` is not the expected one")]
    Type,
    /// `kid` names no key of the set. The set may be old: fetch it again, at most every
    /// [`KEY_REFETCH_SECONDS`](crate::KEY_REFETCH_SECONDS), and verify once more.
    #[error("`kid` names no known key")]
    UnknownKey,
    /// The signature does not verify, or is not the one canonical signature.
    #[error("the signature does not verify")]
    Signature,
    /// A required claim is absent.
    #[error("claim `{0}` is missing")]
    ClaimMissing(&'static str),
    /// A claim has the wrong type, or lies outside its range.
    #[error("claim `{0}` is malformed")]
    ClaimMalformed(&'static str),
    /// A claim contradicts another one that repeats it, or lacks what every descriptor says.
    #[error("claim `{0}` contradicts the rest")]
    ClaimConflict(&'static str),
    /// Another issuer.
    #[error("another issuer")]
    Issuer,
    /// For another endpoint.
    #[error("for another audience")]
    Audience,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// `nbf` or `iat` lies in the future, by more than the leeway.
    #[error("not valid yet")]
    NotYetValid,
    /// `exp - iat` is not between 1 s and [`MAX_LIFETIME_SECONDS`](crate::MAX_LIFETIME_SECONDS).
    #[error("its lifetime is out of range")]
    Lifetime,
    /// For another server behind the same endpoint.
    #[error("for another server")]
    Server,
}

impl Refusal {
    /// The HTTP status to answer with: 401 asks for another descriptor, 403 says that this one is for
    /// elsewhere.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Audience | Self::Server => 403,
            _ => 401,
        }
    }

    /// The machine code to answer with.
    pub fn code(self) -> &'static str {
        match self {
            Self::Audience | Self::Server => "descriptor_wrong_audience",
            Self::Expired => "descriptor_expired",
            _ => "descriptor_invalid",
        }
    }

    /// The check that failed, by the name that the test vectors use.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Oversize => "oversize",
            Self::Parts => "parts",
            Self::Base64url => "base64url",
            Self::Json => "json",
            Self::DuplicateKey => "duplicate_key",
            Self::Header => "header",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::ClaimMissing(_) => "claim_missing",
            Self::ClaimMalformed(_) => "claim_malformed",
            Self::ClaimConflict(_) => "claim_conflict",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Lifetime => "lifetime",
            Self::Server => "server",
        }
    }

    /// The full name of the claim that failed (`mcp.server.id`), where one did.
    pub fn claim(self) -> Option<&'static str> {
        match self {
            Self::ClaimMissing(claim) | Self::ClaimMalformed(claim) | Self::ClaimConflict(claim) => {
                Some(claim)
            }
            _ => None,
        }
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Malformed => Self::Json,
            JsonError::DuplicateKey => Self::DuplicateKey,
        }
    }
}
