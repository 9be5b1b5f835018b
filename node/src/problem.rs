//! The only map from our errors to HTTP: RFC 9457 problem details, with `code` and `error` beside.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hapi_raft::{ProposeError, ReadError, TransferError, Unfit};
use hapi_registry_state::{Refusal, Rejection};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

mod oauth;

pub(crate) use oauth::{OAuthBody, OAuthProblem};

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    index: Option<u64>,
    retry_after: Option<u32>,
    /// The index whose seal is to be followed.
    seal: Option<u64>,
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always `about:blank`: `code` tells what happened.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A sentence for people.
    detail: String,
    /// A word for programs.
    code: &'static str,
    /// The same word, where clients of the official registry look for it.
    error: &'static str,
    /// The index of the state that decided, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    /// Seconds to wait before another try.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    /// Where to follow a write that is committed and does not bind every node yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), index: None, retry_after: None, seal: None }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail)
    }

    pub(crate) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// Missing, unknown, wrong, ended and revoked credentials are answered alike.
    pub(crate) fn unauthenticated() -> Self {
        let detail = "a valid token is needed: send `Authorization: Bearer …`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// A proof that proves nothing. The detail says what a good one is made of, whichever part was wrong.
    pub(crate) fn unproven(detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }

    /// This node cannot answer now; another one may.
    pub(crate) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        Self { retry_after: Some(1), ..problem }
    }

    /// Too many connects for a budget, or proofs of publishers. Whole seconds, so that whoever waits for them is not early again.
    pub(crate) fn rate_limited(detail: impl Into<String>, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let retry_after = u32::try_from(seconds.max(1)).unwrap_or(u32::MAX);
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        Self { retry_after: Some(retry_after), ..problem }
    }

    /// This node may not decide connects now, and no other one was found that may.
    pub(crate) fn no_serving_lease() -> Self {
        Self::unavailable(
            "no_serving_lease",
            "this node has no serving lease, and no leader answered: ask another one",
        )
    }

    /// This node's memory may lack what others have known for long.
    pub(crate) fn not_caught_up() -> Self {
        let detail = "this node has had no word from a majority since it started: ask another one";
        Self::unavailable("not_caught_up", detail)
    }

    /// A node signs nothing before its key was published for a while.
    pub(crate) fn no_signing_key() -> Self {
        Self::unavailable("no_signing_key", "this node has no key that signs yet: ask another one")
    }

    /// The keys of the token's issuer are not to be had, so that nobody can tell whether it is good.
    pub(crate) fn identity_provider_unavailable() -> Self {
        let detail = "the keys of this token's issuer could not be got: try again";
        Self::unavailable("identity_provider_unavailable", detail)
    }

    /// A decision that is not written down is not answered.
    pub(crate) fn issuance_log_unavailable() -> Self {
        Self::unavailable(
            "issuance_log_unavailable",
            "this node cannot write its issuance log: ask another one",
        )
    }

    /// Committed, but some node may still decide without it. Not an error, and no success yet.
    pub(crate) fn not_sealed(index: u64) -> Self {
        let detail =
            format!("committed at index {index}, and not yet known to bind every node: follow `seal`");
        let problem = Self::new(StatusCode::ACCEPTED, "not_sealed", detail);
        Self { index: Some(index), retry_after: Some(1), seal: Some(index), ..problem }
    }

    pub(crate) fn at(self, index: u64) -> Self {
        Self { index: Some(index), ..self }
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// A sentence for people.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The index whose seal is to be followed, if that is all that is missing.
    pub(crate) fn seal(&self) -> Option<u64> {
        self.seal
    }

    /// The machine code, for metrics.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, detail) = (refusal.code(), refusal.to_string());
        let status = match refusal {
            Refusal::Unauthenticated => return Self::unauthenticated(),
            Refusal::NoServingLease | Refusal::OnHold => return Self::unavailable(code, detail),
            Refusal::ServerUnavailable { retry_after, .. } => {
                return Self { retry_after: Some(retry_after), ..Self::unavailable(code, detail) };
            }
            Refusal::Forbidden
            | Refusal::PolicyBlocked(_)
            | Refusal::ServerRevoked(_)
            | Refusal::ServerUnverified(_)
            | Refusal::TransportNotSupported(..) => StatusCode::FORBIDDEN,
            Refusal::ServerNotFound(_) | Refusal::VersionNotFound(..) => StatusCode::NOT_FOUND,
            Refusal::VariableRequired(_) | Refusal::InvalidRequest(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, code, detail)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let status = match &rejection {
            Rejection::Unauthenticated => return Self::unauthenticated(),
            Rejection::Forbidden(_) | Rejection::NamespaceForbidden(_) | Rejection::SamePerson(_) => {
                StatusCode::FORBIDDEN
            }
            Rejection::VersionExists { .. }
            | Rejection::RemoteUrlTaken { .. }
            | Rejection::TooManyVersions { .. }
            | Rejection::StatusUnchanged(_)
            | Rejection::ActNotApplicable(..)
            | Rejection::TooManySubjects { .. }
            | Rejection::Invalid(_) => StatusCode::BAD_REQUEST,
            Rejection::ServerNotFound(_)
            | Rejection::VersionNotFound { .. }
            | Rejection::SubjectNotFound(_)
            | Rejection::NothingFits(_)
            | Rejection::RequestNotFound(_)
            | Rejection::TokenNotFound(_)
            | Rejection::TenantNotFound(_)
            | Rejection::KeyNotFound(_)
            | Rejection::MirrorNotFound(_)
            | Rejection::WebhookNotFound(_)
            | Rejection::IdentityProviderNotFound(_)
            | Rejection::NodeNotFound(_) => StatusCode::NOT_FOUND,
            Rejection::Revoked
            | Rejection::NotModerated
            | Rejection::NotInReview
            | Rejection::LastOperator
            | Rejection::RequesterGone(_)
            | Rejection::AlreadyAsked(_)
            | Rejection::ModerationChanged(_)
            | Rejection::NotYetDue { .. }
            | Rejection::AlreadyBootstrapped
            | Rejection::TokenExists(_)
            | Rejection::TenantMismatch(_)
            | Rejection::KeyExists(_)
            | Rejection::TooManyKeys { .. }
            | Rejection::WrongKeyState(..)
            | Rejection::KeyTooYoung { .. }
            | Rejection::KeyStillNeeded { .. }
            | Rejection::NoSpareKey(_)
            | Rejection::Immutable { .. }
            | Rejection::WebhookExists(_)
            | Rejection::NodeDraining(_)
            | Rejection::NodeNotDraining(_)
            | Rejection::NodeNotSealed { .. }
            | Rejection::NodeRemoved(_)
            | Rejection::CertificateTaken { .. }
            | Rejection::NotOnHold
            | Rejection::HoldNotOver { .. } => StatusCode::CONFLICT,
            Rejection::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, rejection.code(), rejection.to_string())
    }
}

impl From<ProposeError> for Problem {
    fn from(error: ProposeError) -> Self {
        match &error {
            // The leader says so once; here it would be said for each write.
            ProposeError::Unfit(_) | ProposeError::Ending => {
                tracing::debug!(%error, "a write did not go through")
            }
            _ => tracing::warn!(%error, "a write did not go through"),
        }
        let detail = error.to_string();
        match error {
            ProposeError::Refused(_) => Self::invalid(detail),
            ProposeError::NoLeader | ProposeError::Stopped => Self::unavailable("no_leader", detail),
            ProposeError::Unfit(unfit) => Self::from(unfit),
            ProposeError::Unknown(_) | ProposeError::Ending | ProposeError::Lagging(_) => {
                Self::unavailable("outcome_unknown", detail)
            }
        }
    }
}

/// Every node would say the same, since the leader decides: somebody has to mend something first.
impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        let detail = unfit.to_string();
        match unfit {
            Unfit::Disk { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", detail),
            Unfit::Clock { .. } => Self::unavailable("clock_jumped", detail),
            Unfit::Upgrade(_) => Self::new(StatusCode::CONFLICT, "upgrade_unfinished", detail),
        }
    }
}

impl From<TransferError> for Problem {
    fn from(error: TransferError) -> Self {
        let detail = error.to_string();
        match error {
            TransferError::NotAVoter(_) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            TransferError::NoLeader => Self::unavailable("no_leader", detail),
            TransferError::NotTaken => Self::unavailable("outcome_unknown", detail),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::debug!(%error, "no quorum answered a read");
        Self::unavailable("no_serving_lease", "this node has no word from a majority: ask another one")
    }
}

impl Problem {
    /// Status, seconds to wait, and body, for an answer that goes out elsewhere.
    pub(crate) fn parts(self) -> (u16, Option<u32>, ProblemBody) {
        (self.status.as_u16(), self.retry_after, self.body())
    }

    fn body(self) -> ProblemBody {
        ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            error: self.code,
            index: self.index,
            retry_after: self.retry_after,
            seal: self.seal.map(seal_path),
        }
    }
}

fn seal_path(index: u64) -> String {
    format!("/v1/seals/{index}")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let location = self.seal.and_then(|index| HeaderValue::from_str(&seal_path(index)).ok());
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(location) = location {
            headers.insert(header::LOCATION, location);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        for (wait, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            let problem = Problem::rate_limited("too many", Duration::from_millis(wait));
            assert_eq!(problem.retry_after, Some(seconds), "{wait} ms");
        }
    }
}
