//! The types that Raft carries.

use hapi_registry_state::{Entry, Outcome};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

openraft::declare_raft_types!(
    /// The type configuration of the registry's Raft.
    pub TypeConfig:
        D = Logged,
        R = Applied,
        NodeId = u64,
        Node = PeerNode,
);

/// The Raft of this node.
pub(crate) type Raft = openraft::Raft<TypeConfig, crate::machine::Machine>;
/// A leadership: the term, and who leads in it.
pub(crate) type Leadership = openraft::alias::CommittedLeaderIdOf<TypeConfig>;
/// A place in the log: who led, and the index.
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
/// A vote for a leader, or of one.
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
/// What a snapshot says of itself: its last log id and the membership.
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
/// A membership together with the place of its entry.
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
/// Members by node id.
pub(crate) type Members = BTreeMap<u64, PeerNode>;

/// What the state machine makes of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Its answer.
    pub outcome: Outcome,
    /// Whether some descriptor may not be issued any more since this entry: it is to be sealed.
    pub denies: bool,
}

/// An entry of the registry as Raft carries it.
///
/// The wrapper exists because Raft demands a `Display` for its traces. It prints the act alone: the
/// command may hold a document or the hash of a token, which do not belong into a log line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Logged(pub Entry);

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.0.command.act(), self.0.by)
    }
}

/// A member as the membership records it.
///
/// The hash pins the member's key: once the record is committed, only that key speaks for the node id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerNode {
    /// Where its peer plane listens, `host:port`.
    pub peer: String,
    /// The base URL of its public API.
    pub http: String,
    /// SHA-256 of the SubjectPublicKeyInfo (DER) of its peer certificate.
    pub key_sha256: [u8; 32],
    /// The version of the program it runs.
    pub version: String,
}

impl PeerNode {
    /// Whether the texts have a sane length. They are committed with every change of the membership and sent
    /// with every hello, so a member must not make them as long as it likes.
    pub(crate) fn is_modest(&self) -> bool {
        // A DNS name has at most 253 characters; 2 KiB is what the registry takes for a base URL.
        self.peer.len() <= 300 && self.http.len() <= 2_048 && self.version.len() <= 100
    }
}

impl fmt::Debug for PeerNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.key_sha256;
        write!(f, "{} (http {}, key {a:02x}{b:02x}{c:02x}{d:02x}…, {})", self.peer, self.http, self.version)
    }
}
