//! The highest floors that any node ever sent.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Revocations, subject};
use crate::claims::Claims;
use crate::seq::Seq;
use crate::verifier::Verified;

/// How many floors are kept one by one: about as many as one message can hold, in some 10 MB.
///
/// Beyond, the lower half is folded into one floor for everybody. That is safe whatever happens (it can only kill
/// more), and harms nobody in practice: the lowest floors are the oldest, and a descriptor below them has ended.
pub const MAX_FLOORS: usize = 65_536;

/// What is dead, learned from the messages of the feed. Pure: instants stay with the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floors {
    /// By subject hash, the position below which descriptors are dead.
    min_seq: BTreeMap<String, u64>,
    /// The floor for everybody.
    general: u64,
    /// The highest of all floors. A descriptor at or above it needs no hashing, and nearly all are.
    highest: u64,
    revoked_keys: BTreeSet<String>,
    /// The position and `iat` of the newest message.
    newest: Option<(Seq, u64)>,
    /// The index up to which no floor is missing.
    complete_to: Option<u64>,
}

/// Why a message does not show that the feed is alive, although what it revokes was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Stale {
    /// It is older than one that was merged before: of a node that lags, or a repetition.
    #[error("the message is older than one before")]
    GoesBack,
    /// It begins after the last index that is known completely. Ask again from [`Floors::cursor`].
    #[error("messages before this one are missing")]
    Gap,
}

/// Why a descriptor that verifies is dead all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Dead {
    /// The key that signed it is revoked.
    #[error("its key is revoked")]
    Key,
    /// Its server was moderated after the decision.
    #[error("its server was revoked after it was issued")]
    Server,
    /// The version was withdrawn after the decision.
    #[error("its version was revoked after it was issued")]
    Version,
    /// The server's namespace was moderated after the decision.
    #[error("its namespace was revoked after it was issued")]
    Namespace,
    /// The client was changed, suspended, or lost a token after the decision.
    #[error("its client was revoked after it was issued")]
    Client,
    /// The tenant's rules were tightened after the decision.
    #[error("its tenant's rules were tightened after it was issued")]
    Tenant,
    /// It is older than all that is remembered one by one.
    #[error("it is older than the oldest revocation that is remembered")]
    Old,
}

impl Dead {
    /// One word, for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Server => "server",
            Self::Version => "version",
            Self::Namespace => "namespace",
            Self::Client => "client",
            Self::Tenant => "tenant",
            Self::Old => "old",
        }
    }
}

impl Floors {
    /// Takes over a verified message. Floors only rise and keys stay revoked, whatever the order in which
    /// messages arrive; only a higher incarnation starts anew, since its cluster has another history.
    ///
    /// # Errors
    ///
    /// [`Stale`], when the message must not count as a sign of life. What it revokes counts nevertheless, unless
    /// it comes from an earlier incarnation.
    pub fn merge(&mut self, message: &Revocations) -> Result<(), Stale> {
        let incarnation = self.newest.map(|(seq, _)| seq.incarnation());
        if incarnation > Some(message.seq.incarnation()) {
            return Err(Stale::GoesBack);
        }
        if incarnation.is_some_and(|incarnation| incarnation < message.seq.incarnation()) {
            *self = Self::default();
        }
        self.raise(message);
        self.place(message)
    }

    fn raise(&mut self, message: &Revocations) {
        for (subject, &floor) in message.min_seq.iter().filter(|(_, floor)| **floor > self.general) {
            let known = self.min_seq.entry(subject.clone()).or_default();
            *known = floor.max(*known);
            self.highest = self.highest.max(floor);
        }
        self.revoked_keys.extend(message.revoked_keys.iter().cloned());
        if self.min_seq.len() > MAX_FLOORS {
            self.fold();
        }
    }

    fn fold(&mut self) {
        let mut floors: Vec<u64> = self.min_seq.values().copied().collect();
        let middle = floors.len() / 2;
        let general = *floors.select_nth_unstable(middle).1;
        self.min_seq.retain(|_, floor| *floor > general);
        self.general = general;
    }

    /// Records how far the messages reach, and whether this one is a sign of life.
    fn place(&mut self, message: &Revocations) -> Result<(), Stale> {
        let place = (message.seq, message.iat);
        if self.newest.is_some_and(|newest| place < newest) {
            return Err(Stale::GoesBack);
        }
        self.newest = Some(place);
        if !message.full && message.since > self.cursor() {
            return Err(Stale::Gap);
        }
        self.complete_to = Some(message.seq.index());
        Ok(())
    }

    /// The index to ask the feed from: nothing up to it is missing. 0 asks for everything.
    pub fn cursor(&self) -> u64 {
        self.complete_to.unwrap_or(0)
    }

    /// The position of the newest message; `None` before the first.
    pub fn seq(&self) -> Option<Seq> {
        self.newest.map(|(seq, _)| seq)
    }

    /// Whether a key is revoked. Do not verify the feed itself with such a key: a thief could bring back to life what
    /// is dead, by a higher incarnation.
    pub fn is_key_revoked(&self, kid: &str) -> bool {
        self.revoked_keys.contains(kid)
    }

    /// How many floors are kept one by one.
    pub fn len(&self) -> usize {
        self.min_seq.len()
    }

    /// Whether no subject has a floor.
    pub fn is_empty(&self) -> bool {
        self.min_seq.is_empty()
    }

    /// Whether a verified descriptor is dead, and of what: its key is revoked, whatever its `seq`, or its `seq` is
    /// below a floor that applies.
    pub fn is_dead(&self, descriptor: &Verified) -> Option<Dead> {
        if self.is_key_revoked(&descriptor.kid) {
            return Some(Dead::Key);
        }
        let seq = descriptor.claims.seq.get();
        if seq >= self.highest {
            return None;
        }
        if seq < self.general {
            return Some(Dead::Old);
        }
        self.below_a_floor(&descriptor.claims)
    }

    fn below_a_floor(&self, claims: &Claims) -> Option<Dead> {
        let Claims { server, client, .. } = claims;
        let namespace = server.id.split('/').next();
        let tenant = client.tenant.as_deref();
        // Where there is no tenant, the hash is that of an empty id, which no subject has.
        let subjects: [(Dead, &str, &[&str]); 5] = [
            (Dead::Server, "server", &[&server.id]),
            (Dead::Version, "version", &[&server.id, "@", &server.version]),
            (Dead::Namespace, "namespace", namespace.as_slice()),
            (Dead::Client, "client", &[&client.id]),
            (Dead::Tenant, "tenant", tenant.as_slice()),
        ];
        let below = |kind, id| {
            let floor = self.min_seq.get(&subject::hash(&claims.iss, kind, id));
            floor.is_some_and(|floor| claims.seq.get() < *floor)
        };
        subjects.into_iter().find(|(_, kind, id)| below(kind, id)).map(|(dead, ..)| dead)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::claims::{ClientClaim, Jti, ServerClaim};
    use crate::revocations::subject_hash;

    const ISS: &str = "https://registry.example";

    fn seq(incarnation: u64, index: u64) -> Seq {
        Seq::from_parts(incarnation, index).unwrap()
    }

    /// A delta since `since` up to `seq`, with nothing in it.
    fn message(since: u64, seq: Seq) -> Revocations {
        Revocations {
            iss: ISS.into(),
            iat: seq.index(),
            exp: seq.index() + 10,
            incarnation: seq.incarnation(),
            seq,
            since,
            full: since == 0,
            min_seq: BTreeMap::new(),
            revoked_keys: BTreeSet::new(),
        }
    }

    fn revoking(kind: &str, id: &str, at: Seq) -> Revocations {
        let min_seq = [(subject_hash(ISS, kind, id), at.get())].into();
        Revocations { min_seq, ..message(0, at) }
    }

    fn descriptor(at: Seq) -> Verified {
        let server = ServerClaim {
            id: "ai.acme/payments".into(),
            version: "2.1.0".into(),
            verified: true,
            jwks_uri: None,
            tls_pin_sha256: None,
        };
        let claims = Claims {
            iss: ISS.into(),
            aud: "https://payments.example/mcp".into(),
            iat: 0,
            exp: 60,
            jti: Jti::new([0; 16]),
            scope: "mcp:connect".into(),
            server,
            client: ClientClaim { id: "agent-7".into(), tenant: Some("acme".into()) },
            seq: at,
        };
        Verified { claims, kid: "kid".into() }
    }

    fn merged(messages: &[Revocations]) -> Floors {
        let mut floors = Floors::default();
        for message in messages {
            let _ = floors.merge(message);
        }
        floors
    }

    #[test]
    fn a_floor_of_any_of_its_subjects_kills_what_was_issued_before() {
        for (kind, id, dead) in [
            ("server", "ai.acme/payments", Dead::Server),
            ("version", "ai.acme/payments@2.1.0", Dead::Version),
            ("namespace", "ai.acme", Dead::Namespace),
            ("client", "agent-7", Dead::Client),
            ("tenant", "acme", Dead::Tenant),
        ] {
            let floors = merged(&[revoking(kind, id, seq(1, 500))]);
            assert_eq!(floors.is_dead(&descriptor(seq(1, 499))), Some(dead));
            assert_eq!(floors.is_dead(&descriptor(seq(1, 500))), None, "what is decided there has seen it");
        }
    }

    #[test]
    fn floors_of_others_kill_nothing() {
        for (kind, id) in [
            ("server", "ai.acme/pay"),
            ("version", "ai.acme/payments@2.1.1"),
            ("namespace", "ai"),
            ("client", "acme"),
            ("tenant", "agent-7"),
            ("key", "kid"),
        ] {
            assert_eq!(merged(&[revoking(kind, id, seq(1, 500))]).is_dead(&descriptor(seq(1, 1))), None);
        }
    }

    #[test]
    fn a_revoked_key_is_dead_whatever_the_seq_and_stays_so() {
        let revoked = Revocations { revoked_keys: ["kid".into()].into(), ..message(0, seq(1, 1)) };
        let floors = merged(&[revoked, message(1, seq(1, 2))]);
        assert_eq!(floors.is_dead(&descriptor(Seq::MAX)), Some(Dead::Key));
    }

    #[test]
    fn floors_never_fall() {
        let (low, high) = (seq(1, 400), seq(1, 500));
        for order in [[low, high], [high, low]] {
            let floors = merged(&order.map(|at| revoking("client", "agent-7", at)));
            assert_eq!(floors.is_dead(&descriptor(seq(1, 450))), Some(Dead::Client));
        }
    }

    #[test]
    fn an_older_message_raises_floors_and_is_no_sign_of_life() {
        let mut floors = merged(&[message(0, seq(1, 500))]);
        assert_eq!(floors.merge(&revoking("client", "agent-7", seq(1, 400))), Err(Stale::GoesBack));
        assert_eq!(floors.is_dead(&descriptor(seq(1, 399))), Some(Dead::Client));
        assert_eq!((floors.cursor(), floors.seq()), (500, Some(seq(1, 500))));
    }

    #[test]
    fn a_message_may_come_twice_and_not_after_a_newer_one_of_its_position() {
        let (first, second) = (message(0, seq(1, 5)), Revocations { iat: 6, ..message(5, seq(1, 5)) });
        let mut floors = Floors::default();
        assert_eq!(floors.merge(&first), Ok(()));
        assert_eq!(floors.merge(&first), Ok(()));
        assert_eq!(floors.merge(&second), Ok(()));
        assert_eq!(floors.merge(&first), Err(Stale::GoesBack));
    }

    #[test]
    fn after_a_gap_everything_unknown_is_asked_for_again() {
        let mut floors = merged(&[message(0, seq(1, 5))]);
        let late = Revocations { since: 7, full: false, ..revoking("client", "agent-7", seq(1, 9)) };
        assert_eq!(floors.merge(&late), Err(Stale::Gap));
        assert_eq!(floors.is_dead(&descriptor(seq(1, 8))), Some(Dead::Client));
        assert_eq!(floors.cursor(), 5);
        assert_eq!(floors.merge(&message(5, seq(1, 9))), Ok(()));
        assert_eq!(floors.cursor(), 9);
    }

    #[test]
    fn the_first_message_must_hold_everything() {
        let mut floors = Floors::default();
        assert_eq!(floors.merge(&message(3, seq(1, 5))), Err(Stale::Gap));
        assert_eq!(floors.cursor(), 0);
        assert_eq!(floors.merge(&message(0, seq(1, 5))), Ok(()));
    }

    #[test]
    fn only_a_higher_incarnation_starts_anew() {
        let before =
            Revocations { revoked_keys: ["kid".into()].into(), ..revoking("client", "agent-7", seq(1, 500)) };
        let mut floors = merged(&[before.clone(), message(0, seq(2, 3))]);
        assert_eq!(floors.is_dead(&descriptor(seq(1, 1))), None);
        assert_eq!(floors.merge(&before), Err(Stale::GoesBack));
        assert_eq!(floors.is_dead(&descriptor(seq(1, 1))), None, "another history");
        assert_eq!(floors.cursor(), 3);
    }

    #[test]
    fn a_delta_of_a_higher_incarnation_is_a_gap() {
        let mut floors = merged(&[message(0, seq(1, 500))]);
        assert_eq!(floors.merge(&message(500, seq(2, 501))), Err(Stale::Gap));
        assert_eq!(floors.cursor(), 0);
    }

    #[test]
    fn more_floors_than_are_kept_fold_into_one_for_everybody() {
        let subjects =
            (1..=MAX_FLOORS as u64 + 1).map(|id| (subject_hash(ISS, "client", &id.to_string()), id));
        let at = Seq::new(MAX_FLOORS as u64 + 1).unwrap();
        let floors = merged(&[Revocations { min_seq: subjects.collect(), ..message(0, at) }]);
        assert!(floors.len() <= MAX_FLOORS / 2 + 1 && !floors.is_empty());
        assert_eq!(floors.is_dead(&descriptor(seq(0, 1))), Some(Dead::Old));
        assert_eq!(floors.is_dead(&descriptor(seq(0, 60_000))), None);
    }
}
