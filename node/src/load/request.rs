//! What is sent: the bytes of whole HTTP/1.1 requests.

use crate::cli::Failure;
use hapi_registry_state::{ServerName, ServerRef};
use serde_json::json;
use std::sync::Arc;
use url::Url;

/// Versions of one server before the next one is begun: the registry has a limit, and a long history is slow
/// to read.
const VERSIONS_PER_SERVER: u64 = 1_000;

/// A node, and what every request to it repeats.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// `host:port` to connect to.
    pub(super) address: Arc<str>,
    headers: Arc<str>,
}

impl Target {
    /// # Errors
    /// Only plain `http` is spoken: encrypting would cost this machine more than all the rest.
    pub(super) fn parse(url: &str, token: Option<&str>) -> Result<Self, Failure> {
        let refused = |why: &str| Failure::usage(format!("--node {url}: {why}"));
        let parsed = Url::parse(url).map_err(|error| refused(&error.to_string()))?;
        if parsed.scheme() != "http" {
            return Err(refused("the load generator speaks plain http only"));
        }
        let host = parsed.host_str().ok_or_else(|| refused("no host"))?;
        let address = format!("{host}:{}", parsed.port_or_known_default().unwrap_or(80));
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let headers = format!("host: {address}\r\n{authorization}content-type: application/json\r\n");
        Ok(Self { address: address.into(), headers: headers.into() })
    }

    fn post(&self, path: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\n{}content-length: {length}\r\n\r\n{body}", self.headers).into_bytes()
    }
}

/// Where the next request of one connection comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// Ready-made requests, one after the other, again and again.
    Cycle {
        /// The requests.
        requests: Vec<Vec<u8>>,
        /// Which one is next.
        next: usize,
    },
    /// A version that nobody published before.
    Versions {
        /// The beginning of the server's name, distinct for each run and connection.
        prefix: String,
        /// How many were made.
        made: u64,
    },
}

impl Source {
    /// Connects to each of `servers` in turn; every connection begins with another one.
    pub(super) fn connects(target: &Target, path: &str, servers: &[ServerRef], connection: u32) -> Self {
        let body = |server: &ServerRef| json!({"server_ref": server.to_string()}).to_string();
        let requests = servers.iter().map(|server| target.post(path, &body(server))).collect();
        Self::Cycle { requests, next: connection as usize % servers.len() }
    }

    /// Publishes new versions of new servers whose names begin with `name`.
    pub(super) fn publishes(name: &ServerName, run: u64, connection: u32) -> Self {
        Self::Versions { prefix: format!("{name}-{run}-{connection}"), made: 0 }
    }

    /// Fills `buffer` with the next request.
    pub(super) fn next(&mut self, target: &Target, buffer: &mut Vec<u8>) {
        buffer.clear();
        match self {
            Self::Cycle { requests, next } => {
                buffer.extend_from_slice(&requests[*next]);
                *next = (*next + 1) % requests.len();
            }
            Self::Versions { prefix, made } => {
                buffer.extend_from_slice(&target.post("/v0.1/publish", &document(prefix, *made)));
                *made += 1;
            }
        }
    }
}

/// A small, valid `server.json`, the `number`th of its connection.
fn document(prefix: &str, number: u64) -> String {
    let name = format!("{prefix}-{}", number / VERSIONS_PER_SERVER);
    let host = name
        .rsplit_once('/')
        .map_or(name.as_str(), |(_, server)| server)
        .replace(['.', '_'], "-")
        .to_lowercase();
    json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": name,
        "description": "Published by a load generator, to measure how fast writes are committed.",
        "version": format!("1.0.{}", number % VERSIONS_PER_SERVER),
        "remotes": [{"type": "streamable-http", "url": format!("https://{host}.load.example/mcp")}],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use hapi_registry_state::{Rules, ServerJson, Strictness};
    use std::collections::BTreeSet;

    fn target() -> Target {
        Target::parse("http://127.0.0.1:7401", Some("hapi_x")).unwrap()
    }

    fn text(source: &mut Source) -> String {
        let mut buffer = Vec::new();
        source.next(&target(), &mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn a_request_is_whole() {
        let mut source = Source::connects(&target(), "/v1/connect", &["a.b/c".parse().unwrap()], 0);
        insta::assert_snapshot!(text(&mut source).replace('\r', ""), @r#"
        POST /v1/connect HTTP/1.1
        host: 127.0.0.1:7401
        authorization: Bearer hapi_x
        content-type: application/json
        content-length: 22

        {"server_ref":"a.b/c"}
        "#);
    }

    #[test]
    fn connections_begin_with_different_servers_and_go_round() {
        let servers = ["a.b/c".parse().unwrap(), "a.b/d".parse().unwrap()];
        let mut source = Source::connects(&target(), "/v1/connect", &servers, 1);
        let asked: Vec<_> = (0..3).map(|_| text(&mut source).contains("a.b/d")).collect();
        assert_eq!(asked, [true, false, true]);
    }

    #[test]
    fn published_documents_are_valid_and_distinct() {
        let rules = Rules { strictness: Strictness::Publish, allow_insecure_endpoints: false };
        let identities: BTreeSet<_> = [0, 1, VERSIONS_PER_SERVER - 1, VERSIONS_PER_SERVER]
            .into_iter()
            .map(|number| {
                let parsed =
                    ServerJson::parse(document("com.example/Load_x-1-2", number).as_bytes(), rules).unwrap();
                (parsed.server.name().to_string(), parsed.server.version().to_string())
            })
            .collect();
        assert_eq!(identities.len(), 4);
    }

    #[test]
    fn tls_is_refused_with_the_reason() {
        let failure = Target::parse("https://n1.example", None).unwrap_err();
        assert_eq!(failure.message, "--node https://n1.example: the load generator speaks plain http only");
    }
}
