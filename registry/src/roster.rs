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
        if http.len() > MAX_TEXT || version.len() > MAX_TEXT {
            return Err(Rejection::Invalid(format!("a member's texts have at most {MAX_TEXT} bytes")));
        }
        let joined_at = known.map_or(self.at, |member| member.joined_at);
        let member =
            Member { http: http.into(), version: version.into(), joined_at, state: MemberState::Active };
        self.roster.insert(node, Arc::new(member));
        Ok(Outcome::Done)
    }

    pub(crate) fn drain_node(&mut self, by: &Principal, node: NodeId) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        let member = self.roster.get(&node).ok_or(Rejection::NodeNotFound(node))?;
        let draining = Member { state: MemberState::Draining, ..(**member).clone() };
        self.roster.insert(node, Arc::new(draining));
        Ok(Outcome::Done)
    }

    /// Takes a drained node off the roster; its keys go with it, since it can retire none itself.
    pub(crate) fn leave_roster(&mut self, by: &Principal, node: NodeId) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        match self.roster.get(&node).map(|member| member.state) {
            None => return Err(Rejection::NodeNotFound(node)),
            Some(MemberState::Active) => return Err(Rejection::NodeNotDraining(node)),
            Some(MemberState::Draining) => {}
        }
        self.roster.remove(&node);
        self.revoke_keys_of(node);
        Ok(Outcome::Done)
    }

    /// The members, by id.
    pub fn roster(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.roster.iter().map(|(id, member)| (*id, &**member))
    }

    /// The member with this id.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.roster.get(&node).map(|member| &**member)
    }

    pub(crate) fn is_active_member(&self, node: NodeId) -> bool {
        self.roster.get(&node).is_some_and(|member| member.state == MemberState::Active)
    }
}
