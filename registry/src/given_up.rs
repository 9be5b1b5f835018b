//! Cluster secrets that somebody outside knows, because a node was removed as compromised.
//!
//! Which secrets are in force is no part of the state: each node is given its own. What stands here is which must not
//! be, for as long as the cluster lives: a secret that has been given up once is never good again.

use crate::{NodeId, Outcome, Principal, Registry, Rejection, Right, SecretFingerprint, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why a cluster secret is not to be used any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// The node that was removed, and knows it.
    pub node: NodeId,
    /// When.
    pub at: Timestamp,
    /// The index of the entry that says so.
    pub index: u64,
}

/// The most secrets of one entry: a change has two in force, and a third is there by mistake.
const MOST_AT_ONCE: usize = 8;

/// The most secrets that are given up ever: each is an incident.
const MOST: usize = 1_000;

impl Registry {
    pub(crate) fn give_up_secrets(
        &mut self,
        by: &Principal,
        node: NodeId,
        secrets: &[SecretFingerprint],
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        if self.member(node).is_none() && !self.has_departed(node) {
            return Err(Rejection::NodeNotFound(node));
        }
        if secrets.is_empty() || secrets.len() > MOST_AT_ONCE {
            return Err(Rejection::Invalid(format!("1 to {MOST_AT_ONCE} secrets are given up at once")));
        }
        let known =
            secrets.iter().filter_map(|secret| self.given_up.get(secret)).map(|given_up| given_up.index);
        if known.clone().count() == secrets.len() {
            return Ok(Outcome::Unchanged { since: known.max().unwrap_or(self.applied) });
        }
        if self.given_up.len() + secrets.len() > MOST {
            return Err(Rejection::Invalid(format!("{MOST} secrets are given up at most")));
        }
        let given_up = Arc::new(GivenUp { node, at: self.at, index: self.applied });
        for secret in secrets {
            self.given_up.entry(*secret).or_insert_with(|| given_up.clone());
        }
        Ok(Outcome::Done)
    }

    /// The cluster secrets that somebody outside knows.
    pub fn given_up(&self) -> impl Iterator<Item = (SecretFingerprint, &GivenUp)> {
        self.given_up.iter().map(|(secret, given_up)| (*secret, &**given_up))
    }

    /// Why `secret` is not to be used any more, if it is not.
    pub fn is_given_up(&self, secret: SecretFingerprint) -> Option<&GivenUp> {
        self.given_up.get(&secret).map(|given_up| &**given_up)
    }
}
