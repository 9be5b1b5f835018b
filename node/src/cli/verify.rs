//! `verify`: what a descriptor says, and whether it holds.

use super::session::Session;
use super::{Failure, Remote, table};
use crate::clock;
use hapi_client::Client;
use hapi_descriptor::{Expectations, KeySet, Typ, Verified, open, verify};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Read;
use url::Url;

const FIELDS: &[table::Column] = &[
    ("server", "/claims/mcp/server/id"),
    ("version", "/claims/mcp/server/version"),
    ("verified server", "/claims/mcp/server/verified"),
    ("client", "/claims/client/id"),
    ("tenant", "/claims/client/tenant"),
    ("audience", "/claims/aud"),
    ("issuer", "/claims/iss"),
    ("ends in (s)", "/expires_in"),
    ("sequence", "/claims/seq"),
    ("key", "/kid"),
];

/// The longest text that is read from stdin, in bytes: a descriptor has at most 8 KiB.
const MAX_INPUT: u64 = 64 * 1024;

/// Verify a descriptor, and show what it says.
///
/// With --jwks and --issuer it happens offline. Otherwise a node is asked for the issuer and its keys; the
/// descriptor itself is sent nowhere.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry connect ai.acme/weather --output json | hapi-registry verify -
      Verifies what was issued: signature, issuer, audience, times and server.")]
pub(crate) struct Verify {
    /// The descriptor, or `-` to read it from stdin; what `connect --output json` prints will do, and is
    /// checked against the endpoint and the server that it names
    descriptor: String,
    /// The key set: a file, or the URL of a JWK set
    #[arg(long, value_name = "FILE|URL", requires = "issuer")]
    jwks: Option<String>,
    /// The issuer that must have signed it
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The endpoint that it must be for; without this, the one that it names itself is shown and not judged
    #[arg(long, value_name = "URL")]
    audience: Option<String>,
    /// The server that it must be for, NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// A descriptor, with what was told beside it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Presented {
    descriptor: String,
    endpoint: Option<String>,
    server: Option<PresentedServer>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct PresentedServer {
    id: String,
}

impl Verify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let presented = Presented::parse(&self.input()?)?;
        let keys = self.keys(&session).await?;
        let issuer = match &self.issuer {
            Some(issuer) => issuer.clone(),
            None => issuer(&session).await?,
        };
        let verified = self.judge(&presented, &keys, &issuer)?;
        session.show(&shown(&verified), |answer| format!("{}valid", table::fields(FIELDS, answer)))
    }

    fn input(&self) -> Result<String, Failure> {
        if self.descriptor != "-" {
            return Ok(self.descriptor.clone());
        }
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text);
        read.map_err(|error| Failure::usage(format!("cannot read the descriptor: {error}")))?;
        Ok(text)
    }

    async fn keys(&self, session: &Session) -> Result<KeySet, Failure> {
        let document = match &self.jwks {
            None => session.get("/.well-known/jwks.json").await?.to_string().into_bytes(),
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => fetch(url).await?,
            Some(file) => super::publish::read(file.as_ref())?,
        };
        KeySet::from_jwks(&document).map_err(|error| Failure::usage(error.to_string()))
    }

    fn judge(&self, presented: &Presented, keys: &KeySet, issuer: &str) -> Result<Verified, Failure> {
        let refused = |refusal: hapi_descriptor::Refusal| {
            Failure::refused(format!("the descriptor does not hold: {refusal} ({})", refusal.code()))
        };
        let named = self.audience.as_ref().or(presented.endpoint.as_ref());
        let audience = match named {
            Some(audience) => audience.clone(),
            None => {
                let opened = open(&presented.descriptor, Typ::Descriptor, keys).map_err(refused)?;
                opened.payload.get("aud").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
        };
        let server = self.server.as_deref().or(presented.server.as_ref().map(|server| server.id.as_str()));
        let expected = Expectations { issuer, audience: &audience, server };
        verify(&presented.descriptor, keys, &expected, clock::now().seconds()).map_err(refused)
    }
}

impl Presented {
    fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if text.starts_with('{') {
            return serde_json::from_str(text)
                .map_err(|error| Failure::usage(format!("the answer of `connect` cannot be read: {error}")));
        }
        Ok(Self { descriptor: text.to_owned(), endpoint: None, server: None })
    }
}

async fn issuer(session: &Session) -> Result<String, Failure> {
    let metadata = session.get("/.well-known/mcp-connect-authority").await?;
    let issuer = metadata["issuer"].as_str().map(str::to_owned);
    issuer.ok_or_else(|| Failure::refused("the node does not say who issues").hint("give --issuer URL"))
}

async fn fetch(url: &str) -> Result<Vec<u8>, Failure> {
    let url = Url::parse(url).map_err(|error| Failure::usage(format!("{url}: {error}")))?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let client = Client::builder().nodes([url.origin().ascii_serialization()]).build()?;
    Ok(client.request(hapi_client::Method::GET, path, None).await?.to_string().into_bytes())
}

fn shown(verified: &Verified) -> Value {
    let left = verified.claims.exp.saturating_sub(clock::now().seconds());
    json!({"valid": true, "claims": verified.claims, "kid": verified.kid, "expires_in": left})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_bare_descriptor_and_the_answer_of_connect_are_both_read() {
        assert_eq!(Presented::parse(" a.b.c\n").unwrap().descriptor, "a.b.c");
        let answer =
            r#"{"descriptor":"a.b.c","endpoint":"https://x.example/","server":{"id":"a/b","version":"1"}}"#;
        let presented = Presented::parse(answer).unwrap();
        assert_eq!(presented.endpoint.as_deref(), Some("https://x.example/"));
        assert_eq!(presented.server, Some(PresentedServer { id: "a/b".into() }));
        assert!(Presented::parse("{}").is_err());
    }
}
