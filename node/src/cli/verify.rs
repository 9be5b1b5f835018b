//! `verify`: what a descriptor says, and whether it holds.

use super::presented::Presented;
use super::session::Session;
use super::{Failure, Remote, authority, remote, table};
use crate::clock;
use hapi_descriptor::{Expectations, KeySet, Typ, Verified, open, verify};
use serde_json::{Value, json};
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

impl Verify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let presented = Presented::read(&self.descriptor)?;
        let keys = self.keys(&session).await?;
        let issuer = match &self.issuer {
            Some(issuer) => issuer.clone(),
            None => authority::issuer(&session).await?,
        };
        let verified = self.judge(&presented, &keys, &issuer)?;
        session.show(&shown(&verified), |answer| format!("{}valid", table::fields(FIELDS, answer)))
    }

    async fn keys(&self, session: &Session) -> Result<KeySet, Failure> {
        let document = match &self.jwks {
            None => return authority::keys(session).await,
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => self.fetch(url).await?,
            Some(file) => super::publish::read(file.as_ref())?,
        };
        authority::parse(&document)
    }

    async fn fetch(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let url = Url::parse(url).map_err(|error| Failure::usage(format!("{url}: {error}")))?;
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let builder = remote::trusting(self.remote.ca.as_deref())?;
        let client = builder.nodes([url.origin().ascii_serialization()]).build()?;
        Ok(client.request(hapi_client::Method::GET, path, None).await?.to_string().into_bytes())
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

fn shown(verified: &Verified) -> Value {
    let left = verified.claims.exp.saturating_sub(clock::now().seconds());
    json!({"valid": true, "claims": verified.claims, "kid": verified.kid, "expires_in": left})
}
