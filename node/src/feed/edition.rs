//! What one signing makes: everything, and what is recent.

use hapi_descriptor::{REVOCATIONS_LIFETIME_SECONDS, Revocations, Seq, Signer, subject_hash};
use hapi_registry_state::Registry;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// How many seconds back the recent message reaches at least; twice that at most. Whoever follows the feed asks every
/// second or two, and is served by it; others get everything.
const WINDOW: u64 = 60;

/// Two messages of one instant.
#[derive(Debug)]
pub(crate) struct Edition {
    /// The index of the state that it was read from.
    pub(crate) index: u64,
    /// The last denial that it knows of.
    pub(crate) denied: u64,
    /// When it was signed.
    pub(crate) signed_at: Instant,
    whole: String,
    recent: String,
    recent_since: u64,
}

impl Edition {
    /// The message for somebody who knows everything up to the index `since`. Everyone who asked not long ago gets
    /// the same, which begins before any of them needs it to: a message for each would be a signature for each.
    pub(crate) fn since(&self, since: u64) -> &str {
        let knows_enough = (self.recent_since..=self.index).contains(&since) && since > 0;
        if knows_enough { &self.recent } else { &self.whole }
    }
}

/// What is to be signed, kept from one signing to the next.
#[derive(Debug, Default)]
pub(super) struct Content {
    denied: u64,
    incarnation: u64,
    min_seq: BTreeMap<String, u64>,
    revoked_keys: BTreeSet<String>,
    window: Window,
}

/// The index at the beginning of the present window, and of the one before.
#[derive(Debug, Default)]
struct Window {
    begun: u64,
    index: u64,
    former: u64,
}

impl Content {
    /// Reads what `state` has, unless nothing was denied since the last time.
    pub(super) fn read(&mut self, state: &Registry, issuer: &str) {
        self.incarnation = state.incarnation();
        if self.denied == state.denied() {
            return;
        }
        let floors = state.floors_above(0).filter_map(|(subject, index)| {
            let seq = Seq::from_parts(state.incarnation(), index)?;
            Some((subject_hash(issuer, subject.kind(), &subject.id()), seq.get()))
        });
        self.min_seq = floors.collect();
        self.revoked_keys = state.dead_keys().map(ToString::to_string).collect();
        self.denied = state.denied();
    }

    /// `None` beyond the last index that can be written.
    pub(super) fn sign(&mut self, signer: &Signer, issuer: &str, index: u64, now: u64) -> Option<Edition> {
        let since = self.window.since(index, now);
        let seq = Seq::from_parts(self.incarnation, index)?;
        let above = Seq::from_parts(self.incarnation, since)?.get();
        let mut message = Revocations {
            iss: issuer.to_owned(),
            iat: now,
            exp: now + REVOCATIONS_LIFETIME_SECONDS,
            incarnation: self.incarnation,
            seq,
            since: 0,
            full: true,
            min_seq: self.min_seq.clone(),
            revoked_keys: self.revoked_keys.clone(),
        };
        let whole = signer.sign_revocations(&message);
        message.min_seq.retain(|_, floor| *floor > above);
        (message.since, message.full) = (since, false);
        let recent = signer.sign_revocations(&message);
        let signed_at = Instant::now();
        Some(Edition { index, denied: self.denied, signed_at, whole, recent, recent_since: since })
    }
}

impl Window {
    fn since(&mut self, index: u64, now: u64) -> u64 {
        if self.begun == 0 {
            *self = Self { begun: now, index, former: index };
        } else if now >= self.begun + WINDOW {
            *self = Self { begun: now, index, former: self.index };
        }
        self.former
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use hapi_descriptor::{KeySet, verify_revocations};

    const ISSUER: &str = "https://registry.example";
    const NOW: u64 = 1_800_000_000;
    const INCARNATION: u64 = 2;

    fn signer() -> Signer {
        Signer::from_seed([42; 32].into())
    }

    fn read(message: &str, now: u64) -> Revocations {
        let keys: KeySet = [signer().public_jwk().clone()].into_iter().collect();
        verify_revocations(message, &keys, ISSUER, now).unwrap()
    }

    fn content(floors: impl IntoIterator<Item = u64>) -> Content {
        let floor = |index| {
            let seq = Seq::from_parts(INCARNATION, index).unwrap();
            (subject_hash(ISSUER, "server", &format!("a/s{index}")), seq.get())
        };
        let min_seq = floors.into_iter().map(floor).collect();
        Content { incarnation: INCARNATION, min_seq, ..Content::default() }
    }

    #[test]
    fn who_knows_nothing_or_too_little_or_more_than_there_is_gets_everything() {
        let mut content = content([5, 15]);
        content.sign(&signer(), ISSUER, 10, NOW).unwrap();
        let edition = content.sign(&signer(), ISSUER, 20, NOW + 1).unwrap();
        for since in [0, 9, 21] {
            let message = read(edition.since(since), NOW + 1);
            assert_eq!((message.full, message.since, message.min_seq.len()), (true, 0, 2), "{since}");
        }
        for since in [10, 20] {
            let message = read(edition.since(since), NOW + 1);
            assert_eq!((message.full, message.since, message.min_seq.len()), (false, 10, 1), "{since}");
        }
    }

    #[test]
    fn the_window_moves_on_and_always_reaches_back_a_minute() {
        let mut window = Window::default();
        let sinces: Vec<_> = (0..200).map(|second| window.since(1_000 + second, NOW + second)).collect();
        for (second, since) in (0_u64..).zip(sinces) {
            let reach = 1_000 + second - since;
            assert!(reach < 2 * WINDOW, "{reach} seconds back at {second}");
            assert!(reach >= WINDOW.min(second), "{reach} seconds back at {second}");
        }
    }

    #[test]
    fn a_message_is_of_its_state_and_lives_ten_seconds() {
        let edition = content([]).sign(&signer(), ISSUER, 20, NOW).unwrap();
        let message = read(edition.since(0), NOW);
        assert_eq!((message.seq.index(), message.incarnation), (20, INCARNATION));
        assert_eq!((message.iat, message.exp), (NOW, NOW + 10));
    }
}
