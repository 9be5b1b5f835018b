//! The roster: which nodes may issue descriptors.

use crate::{Outcome, Principal, Registry, Rejection, Right, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, num::ParseIntError, str::FromStr, sync::Arc};

/// A node of the cluster: a random non-zero number, shown as 16 hexadecimal digits, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// Whether a member issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Issues descriptors.
    Active,
    /// Is being removed: issues nothing any more.
    Draining,
}

/// A node on the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Base URL of the node's public API, for clients that look for another node.
    pub http: String,
    /// The version of its software when it last joined.
    pub version: String,
    /// When it came onto the roster.
    pub joined_at: Timestamp,
    /// Whether it issues.
    pub state: MemberState,
    /// The index of the entry that brought it into this state.
    pub since: u64,
}

/// The longest base URL and the longest version of a member, in bytes.
const MAX_TEXT: usize = 2_048;

impl Registry {
    pub(crate) fn join_roster(
        &mut self,
        by: &Principal,
        http: &str,
        version: &str,
    ) -> Result<Outcome, Rejection> {
        let node = self.require_node(by)?;
        let known = self.roster.get(&node);
        if known.is_some_and(|member| member.state == MemberState::Draining) {
            return Err(Rejection::NodeDraining(node));
        }
        if self.departed.contains(&node) {
            return Err(Rejection::NodeRemoved(node));
        }
        if http.len() > MAX_TEXT || version.len() > MAX_TEXT {
            return Err(Rejection::Invalid(format!("a member's texts have at most {MAX_TEXT} bytes")));
        }
        let joined_at = known.map_or(self.at, |member| member.joined_at);
        let since = known.map_or(self.applied, |member| member.since);
        let (http, version) = (http.into(), version.into());
        let member = Member { http, version, joined_at, state: MemberState::Active, since };
        self.roster.insert(node, Arc::new(member));
        Ok(Outcome::Done)
    }

    pub(crate) fn drain_node(&mut self, by: &Principal, node: NodeId) -> Result<Outcome, Rejection> {
        self.require_remover(by)?;
        let member = self.roster.get(&node).ok_or(Rejection::NodeNotFound(node))?;
        if member.state == MemberState::Draining {
            return Ok(Outcome::Unchanged { since: member.since });
        }
        let since = self.applied;
        let draining = Member { state: MemberState::Draining, since, ..(**member).clone() };
        self.roster.insert(node, Arc::new(draining));
        Ok(Outcome::Done)
    }

    /// Operators remove nodes, and the cluster itself those that are dead.
    fn require_remover(&self, by: &Principal) -> Result<(), Rejection> {
        if *by == Principal::System { Ok(()) } else { self.require(by, Right::Operate) }
    }

    /// Takes a drained node off the roster, once its draining is sealed: later seals do not ask it any more.
    /// Its keys go with it, since it can retire none itself.
    pub(crate) fn leave_roster(&mut self, by: &Principal, node: NodeId) -> Result<Outcome, Rejection> {
        self.require_remover(by)?;
        match self.roster.get(&node).map(|member| (member.state, member.since)) {
            None if self.departed.contains(&node) => return Ok(Outcome::Unchanged { since: self.applied }),
            None => return Err(Rejection::NodeNotFound(node)),
            Some((MemberState::Active, _)) => return Err(Rejection::NodeNotDraining(node)),
            Some((MemberState::Draining, index)) if index > self.sealed => {
                return Err(Rejection::NodeNotSealed { node, index });
            }
            Some((MemberState::Draining, _)) => {}
        }
        self.roster.remove(&node);
        self.departed.insert(node);
        self.revoke_keys_of(node);
        Ok(Outcome::Done)
    }

    /// Whether a node of this id was removed.
    pub fn has_departed(&self, node: NodeId) -> bool {
        self.departed.contains(&node)
    }

    /// The members, by id.
    pub fn roster(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.roster.iter().map(|(id, member)| (*id, &**member))
    }

    /// The member with this id.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.roster.get(&node).map(|member| &**member)
    }

    /// Whether the node is one of those that issue: neither being removed nor suspended.
    pub fn is_active_member(&self, node: NodeId) -> bool {
        let is_active = |member: &Arc<Member>| member.state == MemberState::Active;
        self.roster.get(&node).is_some_and(is_active) && !self.is_suspended_node(node)
    }
}
