//! Incarnations: a registry that goes on from a backup, or from what one node has left, is another registry under
//! the same name.
//!
//! Nobody knows what its former incarnation has decided since. So no node and no signing key of it counts any more,
//! and nothing is issued until whatever it may have issued has ended *and* an operator has said that the moderation
//! state is right: a suspension that came after the backup is not in it.

use crate::{Outcome, Principal, Registry, Rejection, Right, Timestamp};
use serde::{Deserialize, Serialize};

/// The incarnation of a registry that was never restored.
pub const FIRST_INCARNATION: u64 = 1;

/// The highest: positions (`seq`) leave 13 bits for it.
pub const LAST_INCARNATION: u64 = (1 << 13) - 1;

/// Why nothing is issued, and until when that cannot change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Before this instant a descriptor of the former incarnation may still be valid.
    pub until: Timestamp,
}

impl Registry {
    /// How often this registry began, the first time included.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Why nothing is issued, if nothing is.
    pub fn hold(&self) -> Option<Hold> {
        self.hold
    }

    /// Makes this the next incarnation. Whoever holds the new cluster secret may make an operator token, once more:
    /// those who could confirm the state may have been lost with the rest.
    pub(crate) fn begin_incarnation(
        &mut self,
        by: &Principal,
        incarnation: u64,
        until: Timestamp,
    ) -> Result<Outcome, Rejection> {
        self.require_system(by)?;
        if incarnation <= self.incarnation || incarnation > LAST_INCARNATION {
            return Err(Rejection::Invalid(format!(
                "incarnation {incarnation} is not between {} and {LAST_INCARNATION}",
                self.incarnation + 1
            )));
        }
        let nodes: Vec<_> = self.roster.keys().copied().collect();
        for node in nodes {
            self.roster.remove(&node);
            self.departed.insert(node);
        }
        self.revoke_all_keys();
        self.bootstrapped = false;
        self.incarnation = incarnation;
        self.hold = Some(Hold { until });
        Ok(Outcome::Done)
    }

    /// Lets descriptors be issued again.
    pub(crate) fn confirm_restore(&mut self, by: &Principal) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        let Some(Hold { until }) = self.hold else { return Err(Rejection::NotOnHold) };
        if self.at < until {
            return Err(Rejection::HoldNotOver { until });
        }
        self.hold = None;
        Ok(Outcome::Done)
    }
}
