//! Who acts, and what each role may do.

use crate::{ClientId, Glob, Namespace, NodeId, OidcGrant, PublisherGrant, TenantId, TokenId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Who stands behind an entry of the log. New kinds are added at the end: the order is the form in the log.
///
/// The state machine judges the principal at the entry's own place in the log, so that a token revoked
/// one entry earlier moves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Principal {
    /// The bearer of an API token.
    Token(TokenId),
    /// A member of the cluster, speaking for itself over the peer plane.
    Node(NodeId),
    /// Someone who proved the cluster secret over the peer plane.
    ClusterSecret,
    /// The leader's own housekeeping.
    System,
    /// The bearer of a publisher token, which a node has signed for minutes.
    Publisher(PublisherGrant),
    /// Whom an identity provider's token names.
    Oidc(OidcGrant),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "token/{id}"),
            Self::Node(id) => write!(f, "node/{id}"),
            Self::ClusterSecret => f.write_str("cluster-secret"),
            Self::System => f.write_str("system"),
            Self::Publisher(grant) => write!(f, "publisher/{}", grant.subject()),
            Self::Oidc(grant) => write!(f, "{}", grant.subject),
        }
    }
}

/// What an API token makes its bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads the catalog and connects.
    Client,
    /// Publishes within its namespaces.
    Publisher,
    /// Suspends, quarantines, revokes, reinstates, verifies.
    Moderator,
    /// Reads everything, changes nothing.
    Auditor,
    /// Runs the cluster: members, keys, tokens, tenants, settings.
    Operator,
}

/// One thing that a route or a command may demand of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Right {
    /// Read the part of the catalog that the caller may see.
    ReadCatalog,
    /// Ask for a descriptor.
    Connect,
    /// Publish a version, change its status.
    Publish,
    /// Act on servers, versions, namespaces, clients and tenants.
    Moderate,
    /// Read moderation records, tokens, the cluster's members, the audit chain.
    ReadGovernance,
    /// Change members, keys, tokens, clients, tenants, settings; import.
    Operate,
}

impl Role {
    /// Every role, in the order in which documentation lists them.
    pub const ALL: [Self; 5] =
        [Self::Client, Self::Publisher, Self::Moderator, Self::Auditor, Self::Operator];

    /// Whether this role includes `right`. An operator is deliberately no moderator, and nobody but a
    /// client connects: a leaked operator token must not be a boarding pass to every server.
    pub fn may(self, right: Right) -> bool {
        match right {
            Right::ReadCatalog => true,
            Right::Connect => self == Self::Client,
            Right::Publish => self == Self::Publisher,
            Right::Moderate => self == Self::Moderator,
            Right::ReadGovernance => matches!(self, Self::Moderator | Self::Auditor | Self::Operator),
            Right::Operate => self == Self::Operator,
        }
    }

    /// The role's name as it stands in a token and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Publisher => "publisher",
            Self::Moderator => "moderator",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            format!("unknown role `{text}`: use client, publisher, moderator, auditor or operator")
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadCatalog => "read the catalog",
            Self::Connect => "connect (role client)",
            Self::Publish => "publish (role publisher)",
            Self::Moderate => "moderate (role moderator)",
            Self::ReadGovernance => "read governance data (role moderator, auditor or operator)",
            Self::Operate => "operate the cluster (role operator)",
        })
    }
}

/// An authenticated caller, as one captured state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What its credential makes it.
    pub role: Role,
    /// The client that the credential stands for (role client only).
    pub client: Option<ClientId>,
    /// The tenant of that client.
    pub tenant: Option<TenantId>,
    /// Namespaces in which it may publish (role publisher only).
    pub namespaces: Vec<Glob>,
}

impl Caller {
    /// Whether the caller may publish under `namespace`.
    pub fn publishes(&self, namespace: &Namespace) -> bool {
        self.role.may(Right::Publish) && self.namespaces.iter().any(|glob| glob.matches(namespace.as_str()))
    }
}
