//! Refusals as the API words them (RFC 9457).

use std::time::Duration;

use serde_json::Value;

use crate::transport::Answer;

/// The codes after which a client must not ask again by itself: the answer will not change until a human
/// changes it.
pub const HARD_STOPS: [&str; 4] =
    ["server_revoked", "server_unverified", "policy_blocked", "transport_not_supported"];

/// How long to wait when a node asks for patience and does not say how much.
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The machine code; `unknown` when the answer has none, as from a proxy in between.
    pub code: String,
    /// The sentence for humans.
    pub detail: String,
    /// How long to wait, where the node says so.
    pub retry_after: Option<Duration>,
    /// The whole body, `null` when it is not JSON.
    pub body: Value,
}

impl Problem {
    pub(crate) fn parse(answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |member: &str| body[member].as_str().map(str::to_owned);
        let seconds = answer.retry_after.or_else(|| body["retry_after"].as_u64());
        Self {
            status: answer.status,
            code: text("code").or_else(|| text("error")).unwrap_or_else(|| "unknown".to_owned()),
            detail: text("detail")
                .or_else(|| text("title"))
                .unwrap_or_else(|| "no explanation was given".to_owned()),
            retry_after: seconds.map(Duration::from_secs),
            body,
        }
    }

    /// Whether the client must not ask again by itself.
    pub fn is_hard_stop(&self) -> bool {
        self.status == 403 && HARD_STOPS.contains(&self.code.as_str())
    }

    /// Whether the matter lies with this one node (or a proxy before it), so that another may well answer.
    ///
    /// `server_unavailable` is a 503 too, but it speaks of the MCP server, and every node would say the same.
    pub fn is_node_failure(&self) -> bool {
        matches!(self.status, 502..=504) && self.code != "server_unavailable"
    }

    pub(crate) fn wait(&self) -> Duration {
        self.retry_after.unwrap_or(DEFAULT_RETRY_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, body: &str) -> Problem {
        Problem::parse(&Answer { status, retry_after: None, body: body.into() })
    }

    #[test]
    fn the_envelope_is_read() {
        let problem = problem(403, r#"{"code":"server_revoked","detail":"It was revoked.","retry_after":7}"#);
        assert_eq!((problem.code.as_str(), problem.detail.as_str()), ("server_revoked", "It was revoked."));
        assert_eq!(problem.retry_after, Some(Duration::from_secs(7)));
        assert!(problem.is_hard_stop());
    }

    #[test]
    fn a_proxys_page_is_a_problem_too() {
        let problem = problem(502, "<html>Bad Gateway</html>");
        assert_eq!((problem.code.as_str(), problem.retry_after), ("unknown", None));
        assert!(problem.is_node_failure());
    }

    #[test]
    fn a_403_of_another_kind_is_no_hard_stop() {
        assert!(!problem(403, r#"{"code":"forbidden"}"#).is_hard_stop());
        assert!(!problem(404, r#"{"code":"server_revoked"}"#).is_hard_stop());
    }

    #[test]
    fn an_mcp_server_that_is_down_is_no_nodes_failure() {
        assert!(!problem(503, r#"{"code":"server_unavailable"}"#).is_node_failure());
        assert!(problem(503, r#"{"code":"no_serving_lease"}"#).is_node_failure());
    }
}
