//! The decision alone: no clock, no network, no HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hapi_descriptor::{
    Expectations, KeySet, LEEWAY_SECONDS, Refusal, Revocations, Stale, Typ, verify, verify_signed_revocations,
};

use crate::cache::{Cache, Fingerprint, Verified};
use crate::clock::Moment;
use crate::config::{Config, FEED_STALE_AFTER, FeedPolicy};
use crate::denial::Denial;
use crate::feed::{Feed, Question};

/// Decides on descriptors, from the keys and revocations that it was given.
///
/// The layer drives one; benches and whoever has another transport can drive one too.
#[derive(Debug)]
pub struct Gate {
    issuer: String,
    audience: String,
    server: String,
    policy: FeedPolicy,
    keys: RwLock<Arc<KeySet>>,
    feed: RwLock<Feed>,
    /// Held while a message is verified and taken over, one after the other: a key that one of them revokes must not
    /// speak in the next.
    turn: Mutex<()>,
    /// Grows when something that was alive may have died. Begins at 1: nothing was found alive at 0.
    changes: AtomicU64,
    cache: Cache,
}

/// A descriptor that was let in.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) verified: Verified,
    pub(crate) fingerprint: Fingerprint,
}

impl Admitted {
    /// Whether it is the very same descriptor. What can be no descriptor is not hashed.
    pub(crate) fn is(&self, descriptor: &str) -> bool {
        descriptor.len() <= Typ::Descriptor.max_bytes() && Fingerprint::of(descriptor) == self.fingerprint
    }
}

impl Gate {
    /// A gate that lets nobody in yet: it has no keys.
    pub fn new(config: &Config) -> Self {
        Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            server: config.server.clone(),
            policy: config.feed,
            keys: RwLock::default(),
            feed: RwLock::default(),
            turn: Mutex::default(),
            changes: AtomicU64::new(1),
            cache: Cache::new(config.max_cached),
        }
    }

    /// Decides on a descriptor.
    ///
    /// # Errors
    ///
    /// The first reason why not.
    pub fn check(&self, descriptor: &str, now: Moment) -> Result<Verified, Denial> {
        self.admit(descriptor, now).map(|admitted| admitted.verified)
    }

    pub(crate) fn admit(&self, descriptor: &str, now: Moment) -> Result<Admitted, Denial> {
        // Before hashing: a stranger must not make us hash what can be no descriptor.
        if descriptor.len() > Typ::Descriptor.max_bytes() {
            return Err(Denial::Refused(Refusal::Oversize));
        }
        let fingerprint = Fingerprint::of(descriptor);
        if let Some(verified) = self.cache.get(&fingerprint) {
            self.recheck(&verified, now).inspect_err(|denial| self.forget(&fingerprint, *denial))?;
            return Ok(Admitted { verified, fingerprint });
        }
        let verified = self.verify(descriptor, now)?;
        self.check_revoked(&verified)?;
        self.check_silence(now)?;
        self.cache.put(fingerprint, verified.clone());
        Ok(Admitted { verified, fingerprint })
    }

    /// A silent feed is no reason to verify anew when it speaks again.
    fn forget(&self, fingerprint: &Fingerprint, denial: Denial) {
        if denial != Denial::FeedStale {
            self.cache.remove(fingerprint);
        }
    }

    fn verify(&self, descriptor: &str, now: Moment) -> Result<Verified, Denial> {
        let keys = self.keys();
        if keys.is_empty() {
            return Err(Denial::NoKeys);
        }
        let expected =
            Expectations { issuer: &self.issuer, audience: &self.audience, server: Some(&self.server) };
        let verified = verify(descriptor, &keys, &expected, now.unix_seconds).map_err(Denial::Refused)?;
        Ok(verified.into())
    }

    /// Whether a descriptor that was let in before still may: what can have changed is the time, the key set and the
    /// feed.
    pub(crate) fn recheck(&self, verified: &Verified, now: Moment) -> Result<(), Denial> {
        if now.unix_seconds >= verified.claims.exp + LEEWAY_SECONDS {
            return Err(Denial::Refused(Refusal::Expired));
        }
        self.check_revoked(verified)?;
        self.check_silence(now)
    }

    /// Whether a descriptor was revoked, by the feed or by the removal of its key. The answer is remembered until
    /// something changes: to look for a descriptor's subjects costs more than all the rest.
    pub(crate) fn check_revoked(&self, verified: &Verified) -> Result<(), Denial> {
        // Read first: what changes while we look is looked at next time.
        let changes = self.changes();
        if verified.was_alive_at(changes) {
            return Ok(());
        }
        self.check_key(verified)?;
        let feed = self.feed.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(dead) = feed.floors().is_dead(verified) {
            return Err(Denial::Revoked(dead));
        }
        verified.is_alive_at(changes);
        Ok(())
    }

    /// Whether a stream may go on that was opened with this descriptor, as far as time can tell: until its end, and
    /// beyond while the feed speaks, which would tell if it were revoked.
    pub(crate) fn vouches(&self, verified: &Verified, now: Moment) -> bool {
        let feed = self.feed.read().unwrap_or_else(PoisonError::into_inner);
        now.unix_seconds < verified.claims.exp + LEEWAY_SECONDS || !feed.is_older_than(FEED_STALE_AFTER, now)
    }

    fn check_key(&self, verified: &Verified) -> Result<(), Denial> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&verified.kid).map(|_| ()).ok_or(Denial::Refused(Refusal::UnknownKey))
    }

    fn check_silence(&self, now: Moment) -> Result<(), Denial> {
        let FeedPolicy::Strict { stale_after } = self.policy else { return Ok(()) };
        let feed = self.feed.read().unwrap_or_else(PoisonError::into_inner);
        if feed.is_older_than(stale_after, now) { Err(Denial::FeedStale) } else { Ok(()) }
    }

    /// Replaces the key set. An empty one is not taken: its issuer cannot have meant it. If the newest message of the
    /// feed was signed by a key that is gone, the feed begins anew; whether it does.
    pub fn set_keys(&self, keys: KeySet) -> bool {
        if keys.is_empty() {
            return false;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = Arc::new(keys);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        let mut feed = self.feed.write().unwrap_or_else(PoisonError::into_inner);
        let begins_anew = feed.forget_unless(|kid| keys.get(kid).is_some());
        self.changes.fetch_add(1, Ordering::Release);
        begins_anew
    }

    /// The key set.
    pub fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a question to the feed, to be sent now.
    pub fn ask(&self, now: Moment) -> Question {
        self.feed.read().unwrap_or_else(PoisonError::into_inner).ask(now)
    }

    /// Takes over the answer to a question. It is what shows that the feed is alive.
    ///
    /// # Errors
    ///
    /// [`FeedError`], when it does not show that.
    pub fn answer(&self, message: &str, question: &Question, now: Moment) -> Result<(), FeedError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (message, by) = self.verify_feed(message, now)?;
        self.take_over(&message, |feed| feed.answer(&message, &by, question))
    }

    /// Takes over a message that came on a stream. What it revokes is dead at once; how long it was on its way nobody
    /// can say, so it does not show that the feed is alive.
    ///
    /// # Errors
    ///
    /// [`FeedError`], when nothing, or not everything, was taken over: what is missing must be asked for.
    pub fn hear(&self, message: &str, now: Moment) -> Result<(), FeedError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (message, by) = self.verify_feed(message, now)?;
        self.take_over(&message, |feed| feed.hear(&message, &by))
    }

    fn verify_feed(&self, message: &str, now: Moment) -> Result<(Revocations, String), Refusal> {
        verify_signed_revocations(message, &self.feed_keys(), &self.issuer, now.unix_seconds)
    }

    /// The keys without those that the feed has revoked: they must not speak for it.
    fn feed_keys(&self) -> KeySet {
        let feed = self.feed.read().unwrap_or_else(PoisonError::into_inner);
        self.keys().iter().filter(|key| !feed.floors().is_key_revoked(key.kid())).cloned().collect()
    }

    fn take_over(
        &self,
        message: &Revocations,
        merge: impl FnOnce(&mut Feed) -> Result<(), Stale>,
    ) -> Result<(), FeedError> {
        let mut feed = self.feed.write().unwrap_or_else(PoisonError::into_inner);
        let before = feed.floors().seq();
        let merged = merge(&mut feed);
        // A key is revoked at some position too, so a list of keys that differs comes with another one.
        if !message.min_seq.is_empty() || feed.floors().seq() != before {
            self.changes.fetch_add(1, Ordering::Release);
        }
        Ok(merged?)
    }

    /// How long the feed has been silent; `None` when it has never been heard.
    pub fn feed_age(&self, now: Moment) -> Option<Duration> {
        self.feed.read().unwrap_or_else(PoisonError::into_inner).age(now)
    }

    /// A number that grows when something that was alive may have died.
    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn cached(&self) -> usize {
        self.cache.len()
    }
}

/// Why a message of the feed is no sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// It does not verify, and nothing of it was taken over.
    #[error("the message does not verify: {0}")]
    Refused(#[from] Refusal),
    /// It is old news; what it revokes was taken over.
    #[error(transparent)]
    Stale(#[from] Stale),
}

#[cfg(test)]
mod tests;
