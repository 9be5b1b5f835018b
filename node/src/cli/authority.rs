//! Who signs, as a node publishes it.

use super::Failure;
use super::session::Session;
use hapi_descriptor::KeySet;

/// The issuer of the cluster.
pub(super) async fn issuer(session: &Session) -> Result<String, Failure> {
    let metadata = session.get("/.well-known/mcp-connect-authority").await?;
    let issuer = metadata["issuer"].as_str().map(str::to_owned);
    issuer.ok_or_else(|| Failure::refused("the node does not say who issues"))
}

/// The keys that the cluster signs with.
pub(super) async fn keys(session: &Session) -> Result<KeySet, Failure> {
    parse(session.get("/.well-known/jwks.json").await?.to_string().as_bytes())
}

/// A key set from its document.
pub(super) fn parse(document: &[u8]) -> Result<KeySet, Failure> {
    KeySet::from_jwks(document).map_err(|error| Failure::usage(error.to_string()))
}
