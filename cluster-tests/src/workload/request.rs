//! One request to connect, as its client saw it.

use super::Aim;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use std::{borrow::Cow, sync::Arc};

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Before its first byte was sent, `CLOCK_BOOTTIME` in nanoseconds.
    pub start: u64,
    /// After the last byte of the answer had arrived, or when it was known that none would.
    pub end: u64,
    /// The node that was asked.
    pub place: usize,
    /// The server that was asked for.
    pub server: Arc<str>,
    /// The client that asked.
    pub client: Arc<str>,
    /// The HTTP status, or [`Self::NO_ANSWER`].
    pub status: u16,
    /// `ok`, the code of the problem, or why there was no answer.
    pub code: Cow<'static, str>,
    /// What the descriptor says of itself.
    pub given: Option<Given>,
}

/// A descriptor that a client was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its own id.
    pub jti: Box<str>,
    /// The key that signed it.
    pub kid: Box<str>,
}

impl Request {
    /// The status of a request without an answer.
    pub const NO_ANSWER: u16 = 0;

    /// Whether a descriptor was given.
    pub fn is_given(&self) -> bool {
        self.status == 200
    }
}

/// The bytes of a request.
pub(super) fn text(address: &str, aim: &Aim) -> Vec<u8> {
    let body = format!("{{\"server_ref\":\"{}\"}}", aim.server);
    let (token, length) = (&aim.token, body.len());
    format!(
        "POST /v1/connect HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// `ok`, or the code of the problem.
pub(super) fn code(status: u16, body: &[u8]) -> Cow<'static, str> {
    if status == 200 {
        return "ok".into();
    }
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    problem["code"].as_str().unwrap_or("none").to_owned().into()
}

/// The descriptor in an answer, if there is one.
pub(super) fn given(body: &[u8]) -> Option<Given> {
    let text = std::str::from_utf8(body).ok()?;
    let mut parts = quoted(text, "descriptor")?.split('.');
    let (head, claims) = (decoded(parts.next()?)?, decoded(parts.next()?)?);
    Some(Given { jti: quoted(&claims, "jti")?.into(), kid: quoted(&head, "kid")?.into() })
}

fn decoded(part: &str) -> Option<String> {
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The text that follows a key. Our nodes write no blanks, and what is looked for here has no escapes.
fn quoted<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{key}\":\""))?;
    rest.split_once('"').map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_recognised() {
        let [head, claims] = [r#"{"alg":"EdDSA","kid":"k-1"}"#, r#"{"iss":"x","jti":"AbC-_0"}"#]
            .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        let body = format!(r#"{{"descriptor":"{head}.{claims}.c2ln","expires_in":60}}"#);
        let expected = Given { jti: "AbC-_0".into(), kid: "k-1".into() };
        assert_eq!(given(body.as_bytes()), Some(expected));
        assert_eq!(given(b"{\"code\":\"server_revoked\"}"), None);
    }

    #[test]
    fn a_refusal_is_named() {
        assert_eq!(code(403, br#"{"code":"server_revoked"}"#), "server_revoked");
        assert_eq!(code(502, b"<html>"), "none");
        assert_eq!(code(200, b""), "ok");
    }
}
