//! What moderators act on, as they name it.

use crate::{ClientId, Kid, Namespace, NodeId, ServerName, TenantId, TokenId, Version};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest name of a key, in bytes: a thumbprint has 43.
const MAX_KID: usize = 100;

/// What a moderator acts on. New kinds are added at the end: the order is the form in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// All servers of a namespace, present and future.
    Namespace(Namespace),
    /// All versions of a server, present and future.
    Server(ServerName),
    /// One version.
    Version(ServerName, Version),
    /// A client.
    Client(ClientId),
    /// All clients of a tenant.
    Tenant(TenantId),
    /// An API token.
    Token(TokenId),
    /// A node's signing key.
    Key(Kid),
    /// A node of the cluster.
    Node(NodeId),
}

impl Subject {
    /// Parses what the API calls `subject.kind` and `subject.id`.
    pub fn parse(kind: &str, id: &str) -> Result<Self, String> {
        fn as_id<T: FromStr<Err: fmt::Display>>(kind: &str, id: &str) -> Result<T, String> {
            id.parse().map_err(|error| format!("`{id}` is no {kind} id: {error}"))
        }
        match kind {
            "namespace" => as_id(kind, id).map(Self::Namespace),
            "server" => as_id(kind, id).map(Self::Server),
            "client" => as_id(kind, id).map(Self::Client),
            "tenant" => as_id(kind, id).map(Self::Tenant),
            "token" => as_id(kind, id).map(Self::Token),
            "node" => as_id(kind, id).map(Self::Node),
            "key" if id.len() <= MAX_KID => Ok(Self::Key(Kid::from(id))),
            "key" => Err(format!("a key id has at most {MAX_KID} bytes")),
            "version" => {
                let (name, version) = id
                    .split_once('@')
                    .ok_or_else(|| format!("`{id}` is no version id: write namespace/name@version"))?;
                let version = Version::parse_imported(version).map_err(|error| error.to_string())?;
                Ok(Self::Version(as_id("server", name)?, version))
            }
            _ => Err(format!(
                "unknown subject kind `{kind}`: use server, version, namespace, client, tenant, token, key or node"
            )),
        }
    }

    /// The kind's name in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "namespace",
            Self::Server(_) => "server",
            Self::Version(..) => "version",
            Self::Client(_) => "client",
            Self::Tenant(_) => "tenant",
            Self::Token(_) => "token",
            Self::Key(_) => "key",
            Self::Node(_) => "node",
        }
    }

    /// The id, without the kind.
    pub fn id(&self) -> String {
        match self {
            Self::Namespace(namespace) => namespace.to_string(),
            Self::Server(name) => name.to_string(),
            Self::Version(name, version) => format!("{name}@{version}"),
            Self::Client(id) => id.to_string(),
            Self::Tenant(id) => id.to_string(),
            Self::Token(id) => id.to_string(),
            Self::Key(kid) => kid.to_string(),
            Self::Node(node) => node.to_string(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.id())
    }
}
