//! RFC 9728: which authorization server protects this resource.

use bytes::Bytes;
use hapi_descriptor::SCOPE_CONNECT;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::uri::Uri;
use http::{HeaderValue, Response};
use http_body_util::Full;
use serde_json::json;

use crate::denial::Denial;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The metadata of an MCP server that this registry protects, for MCP clients that speak OAuth only. Serve
/// [`ProtectedResource::response`] at [`ProtectedResource::path`], outside the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedResource {
    path: String,
    url: String,
    json: String,
}

impl ProtectedResource {
    /// The metadata of the endpoint `audience`. RFC 9728 §3.1 puts the well-known part between its host and its path.
    pub(crate) fn new(audience: &Uri, resource: &str, issuer: &str) -> Self {
        let path_and_query = audience.path_and_query().map_or("", |path| path.as_str());
        let path = format!("{WELL_KNOWN}{}", path_and_query.strip_suffix('/').unwrap_or(path_and_query));
        let scheme = audience.scheme_str().unwrap_or("https");
        let authority = audience.authority().map_or("", |authority| authority.as_str());
        let document = json!({
            "resource": resource,
            "authorization_servers": [issuer],
            "scopes_supported": [SCOPE_CONNECT],
            "bearer_methods_supported": ["header"],
        });
        Self { url: format!("{scheme}://{authority}{path}"), path, json: document.to_string() }
    }

    /// Where to serve it, below the server's own host.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its full URL, as the guard's 401s name it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The document.
    pub fn to_json(&self) -> &str {
        &self.json
    }

    /// The answer to a `GET` of it.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.json.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        response
    }

    /// The value of `WWW-Authenticate` that goes with a 401 (RFC 9728 §5.1, RFC 6750 §3.1).
    pub(crate) fn challenge(&self, denial: Denial) -> Option<HeaderValue> {
        let error = if denial == Denial::Missing { "" } else { r#", error="invalid_token""# };
        HeaderValue::try_from(format!(r#"Bearer resource_metadata="{}"{error}"#, self.url)).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn resource(audience: &str) -> ProtectedResource {
        ProtectedResource::new(&audience.parse().unwrap(), audience, "https://registry.example")
    }

    #[test]
    fn the_well_known_part_stands_between_host_and_path() {
        for (audience, url) in [
            ("https://a.example/mcp", "https://a.example/.well-known/oauth-protected-resource/mcp"),
            ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource"),
            ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
            ("http://a:81/x/y?z=1", "http://a:81/.well-known/oauth-protected-resource/x/y?z=1"),
        ] {
            assert_eq!(resource(audience).url(), url);
        }
    }

    #[test]
    fn the_document_names_resource_and_issuer() {
        let document: serde_json::Value =
            serde_json::from_str(resource("https://a.example/mcp").to_json()).unwrap();
        assert_eq!(document["resource"], "https://a.example/mcp");
        assert_eq!(document["authorization_servers"], json!(["https://registry.example"]));
    }

    #[test]
    fn a_challenge_names_the_metadata() {
        let challenge = resource("https://a.example/mcp").challenge(Denial::Missing).unwrap();
        let expected =
            r#"Bearer resource_metadata="https://a.example/.well-known/oauth-protected-resource/mcp""#;
        assert_eq!(challenge, expected);
    }
}
