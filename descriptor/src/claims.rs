//! What a descriptor says.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::base64url;
use crate::seq::Seq;
use crate::wire::Wire;

/// The scope that every descriptor contains.
pub const SCOPE_CONNECT: &str = "mcp:connect";

/// The one transport that a descriptor can be issued for.
pub const TRANSPORT: &str = "streamable_http";

/// The claim set of a descriptor, without its redundancies.
///
/// On the wire some facts stand twice, because OAuth's readers look for one name and MCP's for another: `sub`
/// and `client_id` repeat `client.id`, `mcp.endpoint` repeats `aud`, and `nbf` follows from `iat`. Here each
/// stands once, so that no claim set can contradict itself; serialising adds the rest, and verifying refuses
/// a contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The cluster's issuer URL, the same from every node.
    pub iss: String,
    /// The endpoint URL of the MCP server, byte-equal to its RFC 9728 `resource`.
    pub aud: String,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: u64,
    /// From when on it is no longer valid, in seconds since the Unix epoch.
    pub exp: u64,
    /// Its identity, for audit lines and replay caches.
    pub jti: Jti,
    /// Scopes separated by spaces, [`SCOPE_CONNECT`] among them.
    pub scope: String,
    /// The server that the client may connect to.
    pub server: ServerClaim,
    /// The client that may connect.
    pub client: ClientClaim,
    /// The position of the decision, compared with the revocation feed.
    pub seq: Seq,
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire::from(self).serialize(serializer)
    }
}

/// The claim `mcp.server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerClaim {
    /// `namespace/name`.
    pub id: String,
    /// The version that the decision was about.
    pub version: String,
    /// Whether an operator had verified the server.
    pub verified: bool,
    /// Where the server publishes keys of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The SHA-256 of the server's public key, for clients that pin it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_pin_sha256: Option<String>,
}

/// The claim `client`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientClaim {
    /// The client's id; `sub` is `client:` and this.
    pub id: String,
    /// The tenant that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A descriptor's identity: 128 random bits, 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Jti([u8; 16]);

impl Jti {
    /// Takes the random bits from the caller: this crate has no source of chance.
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// Reads it back; `None` unless it is exactly 128 bits.
    pub fn parse(text: &str) -> Option<Self> {
        base64url::decode_array(text).map(Self)
    }
}

impl fmt::Display for Jti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(self.0))
    }
}

impl fmt::Debug for Jti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jti({self})")
    }
}

impl Serialize for Jti {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
