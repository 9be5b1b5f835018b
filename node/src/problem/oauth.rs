//! The same problems in the shape of OAuth's token endpoint (RFC 6749 §5.2), with our `code` beside.

use super::Problem;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// An error of an OAuth endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OAuthProblem {
    status: StatusCode,
    error: &'static str,
    code: String,
    description: String,
    index: Option<u64>,
    retry_after: Option<u32>,
}

/// The body of an error of an OAuth endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = OAuthProblem)]
pub(crate) struct OAuthBody {
    /// A word of OAuth's.
    error: &'static str,
    /// A sentence for people.
    error_description: String,
    /// Our own word, which is finer: that of `/v1/connect` where a connect was refused.
    code: String,
    /// The index of the state that decided, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    /// Seconds to wait before another try.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

impl OAuthProblem {
    fn new(status: StatusCode, error: &'static str, code: &str, description: impl Into<String>) -> Self {
        let (code, description) = (code.into(), description.into());
        Self { status, error, code, description, index: None, retry_after: None }
    }

    pub(crate) fn invalid(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "invalid_request", description)
    }

    /// Unknown clients, wrong secrets and signatures of others are answered alike.
    pub(crate) fn invalid_client() -> Self {
        Self::rejected_client("client authentication failed, or there was none")
    }

    /// The same for what only the holder of the client's key can hear.
    pub(crate) fn rejected_client(description: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", "unauthenticated", description)
    }

    pub(crate) fn unsupported_grant() -> Self {
        let description = "only grant_type=client_credentials is served here";
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", "invalid_request", description)
    }

    pub(crate) fn unsupported_response() -> Self {
        let description = "nobody is sent here: machines use the token endpoint with client_credentials";
        Self::new(StatusCode::BAD_REQUEST, "unsupported_response_type", "invalid_request", description)
    }

    pub(crate) fn invalid_scope(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", "invalid_request", description)
    }

    pub(crate) fn invalid_resource(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_target", "invalid_request", description)
    }

    /// Absent and invisible servers are answered alike, by this text and without an index.
    pub(crate) fn unknown_resource() -> Self {
        let description = "no server that this client can reach has just this resource as its endpoint";
        Self::new(StatusCode::BAD_REQUEST, "invalid_target", "server_not_found", description)
    }

    pub(crate) fn forbidden(description: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "unauthorized_client", "forbidden", description)
    }

    /// What a decision was refused with, here or on the leader.
    pub(crate) fn refused(code: &str, detail: &str, index: Option<u64>, retry_after: Option<u32>) -> Self {
        let (status, error) = word(code);
        match code {
            "server_not_found" | "version_not_found" => Self::unknown_resource(),
            "unauthenticated" => Self::invalid_client(),
            _ => Self { index, retry_after, ..Self::new(status, error, code, detail) },
        }
    }
}

/// OAuth's word for one of ours. A refusal of the decision is `access_denied`: the client is who it says it is, and
/// asks for something that exists.
fn word(code: &str) -> (StatusCode, &'static str) {
    match code {
        "invalid_request" => (StatusCode::BAD_REQUEST, "invalid_request"),
        "payload_too_large" => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
        "timeout" => (StatusCode::REQUEST_TIMEOUT, "invalid_request"),
        "unauthenticated" => (StatusCode::UNAUTHORIZED, "invalid_client"),
        "forbidden" => (StatusCode::BAD_REQUEST, "unauthorized_client"),
        "server_revoked" | "server_unverified" | "policy_blocked" => {
            (StatusCode::BAD_REQUEST, "access_denied")
        }
        "server_not_found" | "version_not_found" | "transport_not_supported" | "variable_required" => {
            (StatusCode::BAD_REQUEST, "invalid_target")
        }
        "rate_limited" => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        "no_serving_lease"
        | "issuance_log_unavailable"
        | "server_unavailable"
        | "identity_provider_unavailable"
        | "no_leader"
        | "outcome_unknown" => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

impl From<Problem> for OAuthProblem {
    fn from(problem: Problem) -> Self {
        Self::refused(problem.code, &problem.detail, problem.index, problem.retry_after)
    }
}

/// The characters that RFC 6749 §5.2 allows: a moderator's reason may hold others.
fn plain(description: &str) -> String {
    let allowed = |character| match character {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => character,
        _ => '?',
    };
    description.chars().map(allowed).collect()
}

impl IntoResponse for OAuthProblem {
    fn into_response(self) -> Response {
        let Self { status, error, code, description, index, retry_after } = self;
        let body = OAuthBody { error, error_description: plain(&description), code, index, retry_after };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oauth2\""));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_connect_has_a_word_of_oauth() {
        for code in [
            "unauthenticated",
            "forbidden",
            "no_serving_lease",
            "policy_blocked",
            "server_not_found",
            "version_not_found",
            "server_revoked",
            "server_unverified",
            "transport_not_supported",
            "variable_required",
            "invalid_request",
            "issuance_log_unavailable",
            "rate_limited",
            "server_unavailable",
        ] {
            assert_ne!(OAuthProblem::refused(code, "", None, None).error, "server_error", "{code}");
        }
    }

    #[test]
    fn a_name_that_is_not_for_this_client_is_not_told() {
        let detail = "ai.secret/payments is not in the catalog";
        assert_eq!(
            OAuthProblem::refused("server_not_found", detail, Some(7), None),
            OAuthProblem::unknown_resource()
        );
    }

    #[test]
    fn a_description_has_the_characters_that_oauth_allows() {
        assert_eq!(plain("a \"b\" \\ é\n"), "a 'b' / ??");
    }
}
