//! What nodes have answered, as far as the rules look at it.
//!
//! Nodes of another version may leave fields out: what is absent is not judged.

use serde::Deserialize;

/// Everything that was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Views {
    /// One for each node that was asked, by the URL at which it was.
    pub(super) nodes: Vec<(String, Result<View, String>)>,
    /// The signing keys, as one of the nodes lists them.
    pub(super) keys: Vec<Key>,
}

/// What one node says.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) status: Status,
    /// By how many milliseconds its wall clock is ahead of the one here.
    pub(super) ahead_ms: i64,
    /// How long the answer took, in milliseconds: so much is unknown of the difference.
    pub(super) took_ms: i64,
}

/// `GET /v1/cluster`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) cluster_id: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) lease_duration_ms: Option<u64>,
    pub(super) node: Node,
    pub(super) leader: Option<String>,
    pub(super) leader_session: Option<Session>,
    pub(super) members: Vec<Member>,
    pub(super) secrets: Option<Secrets>,
}

/// The node that answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) version: String,
    pub(super) time: Option<String>,
    pub(super) lease: Lease,
    pub(super) disk: Option<Disk>,
    pub(super) unfit: Option<String>,
}

/// Its serving lease.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lease {
    pub(super) valid: bool,
    pub(super) clock_source: String,
    pub(super) clock_trusted: Option<bool>,
}

/// Its disk.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Disk {
    pub(super) free_bytes: u64,
    pub(super) reserve_bytes: u64,
}

/// What the leader knows of leases.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Session {
    pub(super) open: bool,
    pub(super) pending_seals: Vec<u64>,
}

/// A member, as the node that answered knows it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) http: String,
    pub(super) role: String,
    pub(super) state: String,
    pub(super) lag: Option<u64>,
}

/// The cluster secrets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Secrets {
    pub(super) in_force: Vec<String>,
    pub(super) due: bool,
    pub(super) next: String,
}

/// A signing key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Key {
    pub(super) node: String,
    pub(super) state: String,
    pub(super) changed_at: String,
}
