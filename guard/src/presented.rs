//! Where a request carries its descriptor, and where its session's id.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

/// The descriptor, beside the user's own `Authorization`.
pub(crate) const MCP_CONNECT: HeaderName = HeaderName::from_static("mcp-connect");

/// The session's id, of MCP 2025-06-18 and 2025-11-25.
pub(crate) const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// In responses: when the session's descriptor ends, once it is time to renew it.
pub(crate) const MCP_CONNECT_REFRESH: HeaderName = HeaderName::from_static("mcp-connect-refresh");

/// What a request presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    Nothing,
    /// In `MCP-Connect`: meant for the guard.
    Header(&'a str),
    /// As the bearer token: a descriptor, or something of the user's that is none of our business.
    Bearer(&'a str),
    /// `MCP-Connect` is there and cannot be read, or is there twice.
    Unreadable,
}

impl<'a> Presented<'a> {
    /// `MCP-Connect` goes first.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(MCP_CONNECT).iter();
        match (values.next(), values.next()) {
            (None, _) => bearer(headers).map_or(Self::Nothing, Self::Bearer),
            (Some(value), None) => value.to_str().map_or(Self::Unreadable, |text| Self::Header(text.trim())),
            (Some(_), Some(_)) => Self::Unreadable,
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The session that a request says it belongs to.
pub(crate) fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(MCP_SESSION_ID)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn mcp_connect_goes_before_the_bearer_token() {
        let both = headers(&[(AUTHORIZATION, "Bearer user"), (MCP_CONNECT, "descriptor")]);
        assert_eq!(Presented::of(&both), Presented::Header("descriptor"));
        let bearer = headers(&[(AUTHORIZATION, "bearer  token ")]);
        assert_eq!(Presented::of(&bearer), Presented::Bearer("token"));
    }

    #[test]
    fn other_schemes_present_nothing() {
        for value in ["Basic dXNlcg==", "Bearer", "Bearertoken", ""] {
            assert_eq!(Presented::of(&headers(&[(AUTHORIZATION, value)])), Presented::Nothing, "{value}");
        }
    }

    #[test]
    fn two_descriptors_are_none() {
        let twice = headers(&[(MCP_CONNECT, "a"), (MCP_CONNECT, "a")]);
        assert_eq!(Presented::of(&twice), Presented::Unreadable);
        assert_eq!(Presented::of(&headers(&[(MCP_CONNECT, "é")])), Presented::Unreadable);
    }
}
