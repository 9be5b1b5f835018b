//! Who the members are, which key speaks for each, and where each is reached.

use crate::{
    certificate::{Peer, Subject},
    types::{LogId, Members, PeerNode},
};
use serde::{Deserialize, Serialize};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A list of members and the place in the log at which it was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roll {
    /// The log id of the membership; `None` before a cluster exists.
    pub(crate) at: Option<LogId>,
    pub(crate) members: Members,
}

/// Whether a key may speak for a node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A member with its own key.
    Pinned,
    /// A member's id with another key.
    WrongKey,
    /// No member that this node knows of.
    Unknown,
}

/// All knowledge about members.
///
/// Pins come from the membership in this node's own log and, as far as it knows nothing of a member, from a
/// later list that a pinned member told. That matters to a node that was away: the leader may have become a
/// member meanwhile, and the log that says so can only come from that leader.
///
/// Addresses move more often than keys (a restarted container gets a new one), so what a member announces
/// of itself, proven by its pinned key, goes before what the membership says.
#[derive(Debug, Default)]
pub(crate) struct Directory(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    own: Roll,
    told: Roll,
    announced: Members,
}

impl Inner {
    fn own_is_newer(&self) -> bool {
        self.own.at >= self.told.at && !self.own.members.is_empty()
    }

    /// A member by this node's own log or, where that is older, by what was told. A word of others may add
    /// members but never changes a pin that this node has committed itself.
    fn member(&self, node: u64) -> Option<&PeerNode> {
        let told = || self.told.members.get(&node).filter(|_| !self.own_is_newer());
        self.own.members.get(&node).or_else(told)
    }

    fn members(&self) -> Members {
        let told = if self.own_is_newer() { Members::new() } else { self.told.members.clone() };
        told.into_iter().chain(self.own.members.clone()).collect()
    }
}

impl Directory {
    /// Takes the membership of this node's own log.
    pub(crate) fn set_own(&self, roll: Roll) {
        self.write().own = roll;
    }

    /// Takes a list that a pinned member, an admission or an invitation told, unless an older one.
    pub(crate) fn tell(&self, roll: Roll) {
        let mut inner = self.write();
        if roll.at >= inner.told.at && !roll.members.is_empty() {
            inner.told = roll;
        }
    }

    /// Forgets what an invitation told, once it is void.
    pub(crate) fn forget_told(&self) {
        self.write().told = Roll::default();
    }

    pub(crate) fn standing(&self, node: u64, key_sha256: &[u8; 32]) -> Standing {
        match self.read().member(node) {
            Some(member) if member.key_sha256 == *key_sha256 => Standing::Pinned,
            Some(_) => Standing::WrongKey,
            None => Standing::Unknown,
        }
    }

    /// Whether a member speaks, with the key that is pinned to it.
    pub(crate) fn vouches(&self, peer: &Peer) -> bool {
        matches!(peer.subject, Subject::Node(node) if self.standing(node, &peer.key_sha256) == Standing::Pinned)
    }

    /// Takes what a member says of itself. Ignored unless it holds the member's pinned key.
    pub(crate) fn announce(&self, node: u64, record: PeerNode) {
        let mut inner = self.write();
        if inner.member(node).is_some_and(|member| member.key_sha256 == record.key_sha256) {
            inner.announced.insert(node, record);
        }
    }

    /// Where `node` is reached, `host:port`.
    pub(crate) fn address(&self, node: u64) -> Option<String> {
        let inner = self.read();
        let record = inner.announced.get(&node).or_else(|| inner.member(node));
        record.map(|record| record.peer.clone())
    }

    pub(crate) fn members(&self) -> Members {
        self.read().members()
    }

    /// Members that announced something else of themselves than the membership says.
    pub(crate) fn outdated(&self) -> Members {
        let inner = self.read();
        let differs = |(node, record): &(&u64, &PeerNode)| {
            inner
                .own
                .members
                .get(*node)
                .is_some_and(|member| member.key_sha256 == record.key_sha256 && member != *record)
        };
        inner.announced.iter().filter(differs).map(|(node, record)| (*node, record.clone())).collect()
    }

    // Nothing panics while the lock is held; a poisoned one still holds a whole value.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use openraft::vote::RaftLeaderId;

    fn member(key: u8, peer: &str) -> PeerNode {
        PeerNode { peer: peer.into(), http: "http://x".into(), key_sha256: [key; 32], version: "1".into() }
    }

    fn roll(index: u64, members: &[(u64, PeerNode)]) -> Roll {
        let leader = openraft::impls::leader_id_adv::LeaderId::new(1, 1).to_committed();
        Roll { at: Some(LogId::new(leader, index)), members: members.iter().cloned().collect() }
    }

    #[test]
    fn the_list_decided_last_pins() {
        let directory = Directory::default();
        directory.set_own(roll(1, &[(1, member(1, "a"))]));
        assert_eq!(directory.standing(2, &[2; 32]), Standing::Unknown);
        directory.tell(roll(5, &[(1, member(1, "a")), (2, member(2, "b"))]));
        assert_eq!(directory.standing(2, &[2; 32]), Standing::Pinned);
        assert_eq!(directory.standing(2, &[3; 32]), Standing::WrongKey);
        directory.set_own(roll(9, &[(1, member(1, "a"))]));
        assert_eq!(directory.standing(2, &[2; 32]), Standing::Unknown);
    }

    #[test]
    fn what_is_told_never_changes_a_committed_pin() {
        let directory = Directory::default();
        directory.set_own(roll(1, &[(1, member(1, "a"))]));
        directory.tell(roll(5, &[(1, member(9, "evil")), (2, member(2, "b"))]));
        assert_eq!(directory.standing(1, &[1; 32]), Standing::Pinned);
        assert_eq!(directory.standing(1, &[9; 32]), Standing::WrongKey);
        assert_eq!(directory.standing(2, &[2; 32]), Standing::Pinned);
    }

    #[test]
    fn an_older_list_that_is_told_changes_nothing() {
        let directory = Directory::default();
        directory.tell(roll(5, &[(2, member(2, "b"))]));
        directory.tell(roll(4, &[(3, member(3, "c"))]));
        assert_eq!(directory.standing(3, &[3; 32]), Standing::Unknown);
    }

    #[test]
    fn only_the_pinned_key_announces_a_new_address() {
        let directory = Directory::default();
        directory.set_own(roll(1, &[(1, member(1, "a"))]));
        directory.announce(1, member(9, "evil"));
        assert_eq!(directory.address(1).as_deref(), Some("a"));
        directory.announce(1, member(1, "b"));
        assert_eq!(directory.address(1).as_deref(), Some("b"));
        assert_eq!(directory.outdated().len(), 1);
    }
}
