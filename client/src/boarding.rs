//! Leave to connect.

use std::fmt;

use hapi_descriptor::{Claims, Verified};

/// How long before its end a descriptor is to be replaced, in seconds: enough for a fail-over and a second
/// try.
pub const REFRESH_BEFORE_SECONDS: u64 = 20;

/// A verified descriptor, and where to go with it. Its `Debug` leaves the descriptor out: whoever has it may
/// board.
#[derive(Clone, PartialEq, Eq)]
pub struct Boarding {
    /// For the header `MCP-Connect` of every request to the endpoint.
    pub descriptor: String,
    /// What the descriptor says.
    pub claims: Claims,
    /// The thumbprint of the key that signed it.
    pub kid: String,
    /// The MCP server's URL, equal to the descriptor's `aud`.
    pub endpoint: String,
    /// The log index of the decision. Pass it as `min_index` to read nothing older, from any node.
    pub index: Option<u64>,
    /// What the cluster wants a human to know, such as a deprecated version.
    pub warnings: Vec<String>,
}

impl Boarding {
    pub(crate) fn new(
        descriptor: String,
        verified: Verified,
        index: Option<u64>,
        warnings: Vec<String>,
    ) -> Self {
        let Verified { claims, kid } = verified;
        Self { descriptor, kid, endpoint: claims.aud.clone(), index, warnings, claims }
    }

    /// When it ends, in seconds since the Unix epoch.
    pub fn expires_at(&self) -> u64 {
        self.claims.exp
    }

    /// When to connect anew so that a session goes on, in seconds since the Unix epoch:
    /// [`REFRESH_BEFORE_SECONDS`] before its end.
    pub fn refresh_at(&self) -> u64 {
        self.claims.exp.saturating_sub(REFRESH_BEFORE_SECONDS)
    }
}

impl fmt::Debug for Boarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boarding")
            .field("claims", &self.claims)
            .field("kid", &self.kid)
            .field("index", &self.index)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}
