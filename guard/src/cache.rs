//! Descriptors that were verified a moment ago.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// A descriptor that was let in, as a request extension: cheap to clone.
#[derive(Debug, Clone)]
pub struct Verified(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    verified: hapi_descriptor::Verified,
    /// The gate's count of changes when it was last found to be alive: while nothing changes, it is.
    alive_at: AtomicU64,
}

impl Verified {
    pub(crate) fn was_alive_at(&self, changes: u64) -> bool {
        self.0.alive_at.load(Ordering::Relaxed) == changes
    }

    pub(crate) fn is_alive_at(&self, changes: u64) {
        self.0.alive_at.store(changes, Ordering::Relaxed);
    }
}

impl PartialEq for Verified {
    fn eq(&self, other: &Self) -> bool {
        self.0.verified == other.0.verified
    }
}

impl Eq for Verified {}

impl Deref for Verified {
    type Target = hapi_descriptor::Verified;

    fn deref(&self) -> &Self::Target {
        &self.0.verified
    }
}

impl From<hapi_descriptor::Verified> for Verified {
    fn from(verified: hapi_descriptor::Verified) -> Self {
        Self(Arc::new(Inner { verified, alive_at: AtomicU64::new(0) }))
    }
}

/// The SHA-256 of a descriptor: who reads the memory of a guard finds nothing to board with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

/// Remembers what verified, and nothing else: forged descriptors take no room.
///
/// Two generations of half the capacity each. When the young one is full, it becomes the old one, whose rest is
/// forgotten; what is used moves back to the young one. So the memory is bounded, nothing needs a timer, and what is
/// in use stays. Whether an entry still holds is for the gate to say: it asks on every hit.
#[derive(Debug)]
pub(crate) struct Cache {
    generations: Mutex<Generations>,
    half: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Fingerprint, Verified>,
    old: HashMap<Fingerprint, Verified>,
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { generations: Mutex::default(), half: capacity / 2 }
    }

    pub(crate) fn get(&self, fingerprint: &Fingerprint) -> Option<Verified> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verified) = generations.young.get(fingerprint) {
            return Some(verified.clone());
        }
        let verified = generations.old.remove(fingerprint)?;
        generations.put(*fingerprint, verified.clone(), self.half);
        Some(verified)
    }

    pub(crate) fn put(&self, fingerprint: Fingerprint, verified: Verified) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.put(fingerprint, verified, self.half);
    }

    pub(crate) fn remove(&self, fingerprint: &Fingerprint) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.remove(fingerprint);
        generations.old.remove(fingerprint);
    }

    pub(crate) fn len(&self) -> usize {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.len() + generations.old.len()
    }
}

impl Generations {
    fn put(&mut self, fingerprint: Fingerprint, verified: Verified, half: usize) {
        if half == 0 {
            return;
        }
        if self.young.len() >= half {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn cache(capacity: usize, puts: usize) -> Cache {
        let cache = Cache::new(capacity);
        for n in 0..puts {
            cache.put(Fingerprint::of(&n.to_string()), testing::verified(60));
        }
        cache
    }

    fn has(cache: &Cache, n: usize) -> bool {
        cache.get(&Fingerprint::of(&n.to_string())).is_some()
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let cache = cache(10, 1000);
        assert!(cache.len() <= 10 && has(&cache, 999));
        assert!(!has(&cache, 900));
    }

    #[test]
    fn what_is_used_stays() {
        let cache = cache(10, 1);
        for n in 1..100 {
            assert!(has(&cache, 0), "{n}");
            cache.put(Fingerprint::of(&n.to_string()), testing::verified(60));
        }
    }

    #[test]
    fn without_room_nothing_is_remembered() {
        assert_eq!(cache(0, 5).len(), 0);
    }

    #[test]
    fn what_was_removed_is_gone() {
        let cache = cache(4, 3);
        for n in 0..3 {
            cache.remove(&Fingerprint::of(&n.to_string()));
        }
        assert_eq!(cache.len(), 0);
    }
}
