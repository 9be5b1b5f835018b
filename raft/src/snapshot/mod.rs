//! Snapshots: built from the registry, kept in files, sent to members that fell behind.

pub(crate) mod arrival;
mod restore;
pub(crate) mod shelf;
pub(crate) mod transfer;

use crate::types::SnapshotMeta;
use hapi_storage::{Incoming, SnapshotError, SnapshotFile};
use serde::{Deserialize, Serialize};

/// What stands at the head of a snapshot file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The last log id in it, and the membership.
    pub(crate) meta: SnapshotMeta,
    /// The form of the registry's records.
    pub(crate) records: u16,
}

/// A snapshot as Raft hands it around.
pub(crate) enum Image {
    /// A file of this node.
    Kept(SnapshotFile),
    /// All of a file that another node sent. It takes its place among the files only when Raft installs it:
    /// by then Raft has truncated what contradicts it, so that log and snapshot agree after any crash.
    Arrived { incoming: Incoming, sha256: [u8; 32] },
}

impl Image {
    /// The file, in its place.
    pub(crate) fn settle(self) -> Result<SnapshotFile, SnapshotError> {
        match self {
            Self::Kept(file) => Ok(file),
            Self::Arrived { incoming, sha256 } => incoming.finish(sha256),
        }
    }
}
