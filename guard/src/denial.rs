//! Why a request does not come in, and how that is said.

use hapi_descriptor::{Dead, Refusal};
use http::StatusCode;
use serde_json::json;
use thiserror::Error;

/// Why a request does not come in. The text is for logs; the caller learns [`Denial::code`] and no more, so that
/// probing teaches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Denial {
    /// It brings no descriptor.
    #[error("no descriptor")]
    Missing,
    /// Its descriptor does not verify.
    #[error("the descriptor does not verify: {0}")]
    Refused(Refusal),
    /// Its descriptor verifies and was revoked.
    #[error("the descriptor is revoked: {0}")]
    Revoked(Dead),
    /// Its descriptor belongs to another client or tenant than its session.
    #[error("the descriptor belongs to another client than the session")]
    OtherParty,
    /// Its session has ended, or never was.
    #[error("the session has ended")]
    SessionEnded,
    /// There are too many sessions to open another.
    #[error("there are too many sessions")]
    TooManySessions,
    /// Its client, or all of them, have too many open streams.
    #[error("there are too many open streams")]
    TooManyStreams,
    /// Strict mode, and the feed has been silent for too long.
    #[error("the revocation feed is silent")]
    FeedStale,
    /// No key set could be fetched so far.
    #[error("no key set could be fetched yet")]
    NoKeys,
}

impl Denial {
    /// One of each, by code: what metrics count by.
    pub(crate) const CODES: [&'static str; 11] = [
        "descriptor_missing",
        "descriptor_invalid",
        "descriptor_expired",
        "descriptor_wrong_audience",
        "descriptor_revoked",
        "session_mismatch",
        "session_ended",
        "too_many_sessions",
        "too_many_streams",
        "revocations_stale",
        "keys_unavailable",
    ];

    /// The machine code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "descriptor_missing",
            Self::Refused(refusal) => refusal.code(),
            Self::Revoked(_) => "descriptor_revoked",
            Self::OtherParty => "session_mismatch",
            Self::SessionEnded => "session_ended",
            Self::TooManySessions => "too_many_sessions",
            Self::TooManyStreams => "too_many_streams",
            Self::FeedStale => "revocations_stale",
            Self::NoKeys => "keys_unavailable",
        }
    }

    /// The HTTP status: 401 asks for another descriptor, 403 says that none will help, 404 is how MCP says that a
    /// session is over, and 503 speaks of the guard rather than of the client.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Missing => StatusCode::UNAUTHORIZED,
            Self::Refused(refusal) => {
                StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::UNAUTHORIZED)
            }
            Self::Revoked(_) | Self::OtherParty => StatusCode::FORBIDDEN,
            Self::SessionEnded => StatusCode::NOT_FOUND,
            Self::TooManySessions | Self::TooManyStreams | Self::FeedStale | Self::NoKeys => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn detail(self) -> &'static str {
        match self.code() {
            "descriptor_missing" => "send a connect descriptor in the header `MCP-Connect`",
            "descriptor_expired" => "the descriptor has ended: ask the registry for another one",
            "descriptor_wrong_audience" => "the descriptor is for another server",
            "descriptor_revoked" => "the descriptor was revoked",
            "session_mismatch" => "the session belongs to another client",
            "session_ended" => "there is no such session: initialize a new one",
            "too_many_sessions" => "there are too many sessions: try again later",
            "too_many_streams" => "there are too many open streams: close some, or try again later",
            "revocations_stale" => "the revocation feed is silent, so nobody can be let in: try again later",
            "keys_unavailable" => "the registry's keys are not known yet: try again later",
            _ => "the descriptor is not valid",
        }
    }

    /// The body, in the registry's envelope (RFC 9457).
    pub(crate) fn to_json(self) -> String {
        let status = self.status();
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": self.detail(),
            "code": self.code(),
            "error": self.code(),
        });
        problem.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [Denial; 12] = [
        Denial::Missing,
        Denial::Refused(Refusal::Signature),
        Denial::Refused(Refusal::Expired),
        Denial::Refused(Refusal::Audience),
        Denial::Refused(Refusal::Server),
        Denial::Revoked(Dead::Key),
        Denial::OtherParty,
        Denial::SessionEnded,
        Denial::TooManySessions,
        Denial::TooManyStreams,
        Denial::FeedStale,
        Denial::NoKeys,
    ];

    #[test]
    fn every_code_is_counted() {
        for denial in EVERY {
            assert!(Denial::CODES.contains(&denial.code()), "{denial}");
        }
        for code in Denial::CODES {
            assert!(EVERY.iter().any(|denial| denial.code() == code), "{code}");
        }
    }

    #[test]
    fn the_table_of_the_contract_holds() {
        let table = EVERY[..6].iter().map(|denial| (denial.status().as_u16(), denial.code()));
        assert_eq!(
            table.collect::<Vec<_>>(),
            [
                (401, "descriptor_missing"),
                (401, "descriptor_invalid"),
                (401, "descriptor_expired"),
                (403, "descriptor_wrong_audience"),
                (403, "descriptor_wrong_audience"),
                (403, "descriptor_revoked"),
            ]
        );
    }

    #[test]
    fn the_caller_does_not_learn_which_check_failed() {
        let (signature, typ) = (Denial::Refused(Refusal::Signature), Denial::Refused(Refusal::Type));
        assert_eq!(signature.to_json(), typ.to_json());
    }
}
