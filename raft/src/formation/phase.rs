//! Where a node stands on its way into a cluster.

use crate::{
    config::ClusterFacts,
    directory::Roll,
    types::{Members, PeerNode},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An inviter's word: these nodes, and no others, are to form the cluster with this id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    /// Made by the inviter; the id of the cluster if it comes to be. Never used a second time.
    pub(crate) cluster_id: u128,
    /// The lowest id among the members.
    pub(crate) inviter: u64,
    /// The members with the keys that will be pinned.
    pub(crate) members: Members,
    /// What they agree on.
    pub(crate) facts: ClusterFacts,
}

/// The durable part of formation. It is written down before anybody is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Bound by nothing.
    #[default]
    Searching,
    /// Invited others; may still withdraw.
    Inviting { invitation: Invitation, accepted: BTreeSet<u64> },
    /// Gave its word to an inviter; refuses every other invitation.
    Accepted { invitation: Invitation },
    /// All have accepted: the cluster will be formed, there is no way back.
    Initializing { invitation: Invitation },
    /// Admitted by an existing cluster, whose voters these are.
    Joining { cluster_id: u128, roll: Roll },
    /// Part of the cluster.
    Member { cluster_id: u128 },
}

impl Phase {
    /// The cluster that this node belongs to or is about to belong to for certain.
    pub(crate) fn cluster_id(&self) -> Option<u128> {
        match self {
            Self::Initializing { invitation } => Some(invitation.cluster_id),
            Self::Joining { cluster_id, .. } | Self::Member { cluster_id } => Some(*cluster_id),
            Self::Searching | Self::Inviting { .. } | Self::Accepted { .. } => None,
        }
    }

    /// Whose keys are pinned before Raft has a membership.
    pub(crate) fn roll(&self) -> Roll {
        match self {
            Self::Searching | Self::Member { .. } => Roll::default(),
            Self::Inviting { invitation, .. }
            | Self::Accepted { invitation }
            | Self::Initializing { invitation } => Roll { at: None, members: invitation.members.clone() },
            Self::Joining { roll, .. } => roll.clone(),
        }
    }

    /// What others are told.
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Searching => Stage::Searching,
            Self::Inviting { invitation, .. } => Stage::Inviting { cluster_id: invitation.cluster_id },
            Self::Accepted { invitation } => {
                Stage::Accepted { inviter: invitation.inviter, cluster_id: invitation.cluster_id }
            }
            Self::Initializing { invitation } => Stage::Initializing { cluster_id: invitation.cluster_id },
            Self::Joining { cluster_id, .. } => Stage::Joining { cluster_id: *cluster_id },
            Self::Member { cluster_id } => Stage::Member { cluster_id: *cluster_id },
        }
    }
}

/// How far a node has come on its way into a cluster, as others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Looks for a cluster, or for enough nodes to form one.
    Searching,
    /// Has invited others to form this cluster.
    Inviting {
        /// The cluster to be.
        cluster_id: u128,
    },
    /// Has accepted an invitation and waits for the inviter.
    Accepted {
        /// Whose invitation.
        inviter: u64,
        /// The cluster to be.
        cluster_id: u128,
    },
    /// Is forming this cluster now.
    Initializing {
        /// The cluster.
        cluster_id: u128,
    },
    /// Was admitted and receives the log.
    Joining {
        /// The cluster.
        cluster_id: u128,
    },
    /// Is a member.
    Member {
        /// The cluster.
        cluster_id: u128,
    },
}

impl Stage {
    /// The cluster that a node of this stage has not given up, if it is the one who invites to it.
    pub(crate) fn stands_by(&self, id: u128) -> bool {
        matches!(self, Self::Inviting { cluster_id } | Self::Initializing { cluster_id } | Self::Member { cluster_id }
            if *cluster_id == id)
    }

    /// Whether a cluster may still be formed with this node.
    pub(crate) fn is_unbound(&self) -> bool {
        matches!(self, Self::Searching | Self::Inviting { .. } | Self::Accepted { .. })
    }
}

/// What one node learned of another by asking it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sighting {
    pub(crate) node: u64,
    pub(crate) record: PeerNode,
    pub(crate) facts: ClusterFacts,
    /// How many nodes it wants to form a cluster with; `None` if it only joins.
    pub(crate) expect: Option<u16>,
    pub(crate) stage: Stage,
}

/// The answer to an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum InviteAnswer {
    /// Written down.
    Accepted,
    /// Bound elsewhere, perhaps only for now.
    Busy(Stage),
    /// Never, for this reason.
    Unfit(String),
}
