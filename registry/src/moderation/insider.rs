//! Moderating what the cluster itself goes by: tokens, signing keys and nodes. Their own records say how they stand;
//! that of moderation says why, and holds them down.

use super::{Act, Standing, Subject};
use crate::{KeyState, NodeId, Registry, Rejection, Role, TokenId};

impl Subject {
    /// Whether moderators may do this to such a subject.
    pub(super) fn takes(&self, act: Act) -> bool {
        match self {
            Self::Namespace(_) | Self::Server(_) | Self::Version(..) => true,
            Self::Client(_) | Self::Tenant(_) | Self::Token(_) => {
                matches!(act, Act::Suspend | Act::Revoke | Act::Reinstate)
            }
            // A key that is suspected is worth nothing any more, even if the suspicion was wrong: verifiers may have
            // been told, and the node has a spare.
            Self::Key(_) => act == Act::Revoke,
            // Removing a node is more than denying it something: operators do that.
            Self::Node(_) => matches!(act, Act::Suspend | Act::Reinstate),
        }
    }
}

/// What would be right instead of an act that does not go with a kind of subject.
pub(crate) fn instead(act: Act, kind: &str) -> &'static str {
    match (kind, act) {
        ("client" | "tenant" | "token", _) => "suspend, revoke or reinstate it",
        ("key", _) => "revoke it, or let an operator retire it",
        ("node", Act::Revoke) => "suspend it, or let an operator remove it from the cluster",
        ("node", _) => "suspend or reinstate it",
        _ => "name another subject",
    }
}

impl Registry {
    /// How a subject stands, by whoever's word: operators end tokens and keys too.
    pub(super) fn stands(&self, subject: &Subject) -> Standing {
        let is_over = match subject {
            Subject::Token(id) => self.token(id).is_some_and(|token| token.revoked_at.is_some()),
            Subject::Key(kid) => self.key(kid).is_some_and(|key| key.state == KeyState::Revoked),
            _ => false,
        };
        let record = self.moderation(subject).map_or(Standing::None, |record| record.standing);
        if is_over { Standing::Revoked } else { record }
    }

    /// Somebody has to be able to make tokens.
    pub(super) fn require_another_operator(&self, subject: &Subject, act: Act) -> Result<(), Rejection> {
        let (Subject::Token(id), Act::Revoke) = (subject, act) else { return Ok(()) };
        let operates = |id: &TokenId| self.live_token(id).is_some_and(|token| token.role == Role::Operator);
        let others = self.tokens.keys().filter(|other| *other != id);
        if operates(id) && !others.into_iter().any(operates) {
            return Err(Rejection::LastOperator);
        }
        Ok(())
    }

    /// Does to the subject's own record what the act means there, and raises the floors of those who lose by it.
    pub(super) fn take_from(&mut self, act: Act, subject: &Subject) {
        self.denied = self.applied;
        match subject {
            Subject::Token(id) => {
                let bearer = self.bearer(id);
                if act == Act::Revoke {
                    self.end_token(id);
                }
                bearer.into_iter().for_each(|bearer| self.revoke(bearer));
            }
            // What it signed is dead by the key's name, whatever index it states.
            Subject::Key(kid) => self.end_key(kid),
            Subject::Node(node) => self.end_keys_in_use(*node),
            subject => self.revoke(subject.clone()),
        }
    }

    /// Whether moderators keep a node from issuing.
    pub(crate) fn is_suspended_node(&self, node: NodeId) -> bool {
        self.is_barred(&Subject::Node(node))
    }
}
