//! Messages in flight. The network may lose, repeat and reorder them, and be cut in one direction.

use super::{
    MOST_NODES,
    log::{Leadership, Log},
};
use crate::lease::holder::Grant;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a network holds before it loses its oldest message.
const MOST_IN_FLIGHT: usize = 48;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Body {
    /// A candidate asks for a vote; `reach` is how far its log goes.
    Stand { term: u64, reach: (u64, u64) },
    /// A vote.
    Vote { term: u64 },
    /// The leader's whole log, its commit index, and the last round with a quorum that it began.
    Append { leadership: Leadership, log: Log, commit: u64, round: u64 },
    /// The answer: how far the logs agree. A higher term deposes the leader.
    Appended { term: u64, matched: u64, round: u64 },
    /// A holder asks for a lease.
    Ask { nonce: u64 },
    /// A lease.
    Granted(Grant),
    /// The sender's issuers see every entry up to the index.
    Confirm { applied: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Message {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) body: Body,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Network {
    flying: Vec<Message>,
    cut: [[bool; MOST_NODES]; MOST_NODES],
}

impl Network {
    /// What is sent over a cut link is lost; what was in flight before the cut is only held up.
    pub(super) fn send(&mut self, from: usize, to: usize, body: Body) {
        if self.cut[from][to] {
            return;
        }
        if self.flying.len() == MOST_IN_FLIGHT {
            self.flying.remove(0);
        }
        self.flying.push(Message { from, to, body });
    }

    pub(super) fn in_flight(&self) -> &[Message] {
        &self.flying
    }

    /// Whether the message at `place` can arrive now.
    pub(super) fn passes(&self, place: usize) -> bool {
        self.flying.get(place).is_some_and(|message| !self.cut[message.from][message.to])
    }

    pub(super) fn take(&mut self, place: usize) -> Message {
        self.flying.remove(place)
    }

    /// Forgets in which order messages were sent, and how often: who may deliver each at any time and as often
    /// as he likes sees no difference.
    pub(super) fn forget_order(&mut self) {
        self.flying.sort_by_cached_key(fingerprint);
        self.flying.dedup();
    }

    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.cut[from][to] = from != to;
    }

    pub(super) fn heal(&mut self) {
        self.cut = Default::default();
    }
}

fn fingerprint(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}
