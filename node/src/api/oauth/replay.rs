//! Which assertions this node has seen.
//!
//! An assertion is good for one use *at each node*, until the node starts anew or has seen very many others. So a
//! replay is bounded in any case by the assertion's own end, five minutes at most, and within that only whoever can
//! read the client's requests could try it elsewhere; it would gain descriptors for that client, which live as long as
//! the client's standing lets them. A memory that all nodes share would make each authentication a committed write.

use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// The most assertions that are remembered. Beyond, those that end first are forgotten: a client with many requests
/// must not be able to keep all others out.
const MOST: usize = 100_000;

type Name = [u8; 32];

/// The assertions that were used here and have not ended.
#[derive(Default)]
pub(crate) struct Replays(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    names: BTreeSet<Name>,
    /// The same by their end, in seconds since the Unix epoch.
    by_end: BTreeSet<(u64, Name)>,
}

impl Replays {
    /// Whether this is the first use of the assertion `jti` of `client`, which ends at `end`. From then on it is not.
    pub(crate) fn is_first(&self, client: &str, jti: &str, end: u64, now: u64) -> bool {
        let name = Sha256::new().chain_update(client).chain_update([0]).chain_update(jti).finalize().into();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(now);
        seen.by_end.insert((end, name));
        seen.names.insert(name)
    }
}

impl Seen {
    fn forget(&mut self, now: u64) {
        while let Some(&(end, name)) = self.by_end.first() {
            if end > now && self.by_end.len() < MOST {
                return;
            }
            self.by_end.pop_first();
            self.names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_used_once_and_each_client_names_its_own() {
        let replays = Replays::default();
        assert!(replays.is_first("a", "1", 300, 0));
        assert!(!replays.is_first("a", "1", 300, 299));
        assert!(replays.is_first("b", "1", 300, 0));
        assert!(replays.is_first("a", "2", 300, 0));
    }

    #[test]
    fn what_has_ended_takes_no_memory() {
        let replays = Replays::default();
        (0..100).for_each(|number| assert!(replays.is_first("a", &number.to_string(), 10, 0)));
        assert!(replays.is_first("a", "last", 20, 10));
        assert_eq!(replays.0.lock().unwrap_or_else(PoisonError::into_inner).by_end.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_ends_first_goes_first() {
        let mut seen = Seen::default();
        for number in 0..MOST as u64 {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&number.to_le_bytes());
            seen.by_end.insert((1_000 + number, name));
            seen.names.insert(name);
        }
        seen.forget(0);
        assert_eq!((seen.by_end.len(), seen.names.len()), (MOST - 1, MOST - 1));
        assert_eq!(seen.by_end.first().map(|(end, _)| *end), Some(1_001));
    }
}
