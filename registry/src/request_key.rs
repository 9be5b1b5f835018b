//! Requests that carry a name of their own: repeated, they are done once.

use crate::{Entry, Outcome, Principal, Registry, Rejection, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long a name is remembered, in seconds.
const LIFE: u64 = 86_400;

/// The most names that are remembered at a time, of all callers: each takes memory on every replica.
const MAX_KEYS: usize = 100_000;

/// The longest name, in bytes.
const MAX_KEY: usize = 255;

/// A caller's own name for a request (`Idempotency-Key`), and the hash of what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestKey {
    /// The name: visible ASCII, at most 255 bytes.
    pub name: Arc<str>,
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
}

/// Who named a request, and how.
pub(crate) type Asked = (TokenId, Arc<str>);

/// What came of a named request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) fingerprint: [u8; 32],
    pub(crate) at: Timestamp,
    pub(crate) index: u64,
    /// The entry that made it so, if the request changed nothing.
    pub(crate) since: Option<u64>,
}

impl Registry {
    /// The answer to a named request that was answered before, and what forbids a new one of that name.
    pub(crate) fn repeated(&self, entry: &Entry) -> Option<Outcome> {
        let (asked, key) = named(entry)?;
        if let Err(rejection) = self.acting(&entry.by) {
            return Some(Outcome::Rejected(rejection));
        }
        if let Some(known) = self.requests.get(&asked).filter(|known| !self.is_over(known)) {
            return Some(if known.fingerprint == key.fingerprint {
                Outcome::Repeated { index: known.index, since: known.since }
            } else {
                Outcome::Rejected(Rejection::IdempotencyKeyReused)
            });
        }
        let wrong = |text: String| Some(Outcome::Rejected(Rejection::Invalid(text)));
        if key.name.is_empty() || key.name.len() > MAX_KEY || !key.name.bytes().all(|b| b.is_ascii_graphic())
        {
            return wrong(format!("an idempotency key is 1 to {MAX_KEY} visible ASCII characters"));
        }
        let full = self.requests_by_index.len() >= MAX_KEYS && !self.oldest_is_over();
        full.then(|| wrong(format!("{MAX_KEYS} idempotency keys of the last day are in use"))).flatten()
    }

    /// Remembers what came of a named request. A rejection is not remembered: the caller mends and repeats.
    pub(crate) fn remember(&mut self, entry: &Entry, outcome: &Outcome) {
        self.forget_requests();
        let Some((asked, key)) = named(entry) else { return };
        if matches!(outcome, Outcome::Rejected(_)) {
            return;
        }
        let since = outcome.since();
        let (at, index) = (self.at, self.applied);
        let answered = Answered { fingerprint: key.fingerprint, at, index, since };
        self.restore_request(asked, Arc::new(answered));
    }

    pub(crate) fn restore_request(&mut self, asked: Asked, answered: Arc<Answered>) {
        if let Some(former) = self.requests.get(&asked) {
            self.requests_by_index.remove(&former.index);
        }
        self.requests_by_index.insert(answered.index, asked.clone());
        self.requests.insert(asked, answered);
    }

    /// A few at a time, so that no entry has to pay for all of a busy day.
    fn forget_requests(&mut self) {
        for _ in 0..4 {
            if !self.oldest_is_over() {
                return;
            }
            if let Some((index, asked)) = self.requests_by_index.get_min().cloned() {
                self.requests_by_index.remove(&index);
                self.requests.remove(&asked);
            }
        }
    }

    fn oldest_is_over(&self) -> bool {
        let oldest = self.requests_by_index.get_min().and_then(|(_, asked)| self.requests.get(asked));
        oldest.is_some_and(|oldest| self.is_over(oldest))
    }

    fn is_over(&self, answered: &Answered) -> bool {
        self.at >= answered.at.plus_seconds(LIFE)
    }
}

/// Only the bearer of an API token names requests: it has an id by which the name is remembered. Nodes repeat themselves
/// as they like, and a publisher token is another one each time.
fn named(entry: &Entry) -> Option<(Asked, &RequestKey)> {
    match (&entry.by, &entry.key) {
        (Principal::Token(token), Some(key)) => Some(((token.clone(), key.name.clone()), key)),
        _ => None,
    }
}
