//! In which servers a word stands.

use super::words::Place;
use imbl::OrdMap;
use std::sync::Arc;

/// The most entries that are kept as one piece of memory, copied for each change. Most words are rare, and a map of its
/// own would take half a kilobyte for each.
const FEW: usize = 64;

/// The servers in which a word stands, by their numbers in the index, each with its place there.
#[derive(Clone, Debug)]
pub(super) enum Postings {
    Few(Arc<[(u32, Place)]>),
    Many(OrdMap<u32, Place>),
}

impl Default for Postings {
    fn default() -> Self {
        Self::Few([].into())
    }
}

impl Postings {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn insert(&mut self, server: u32, place: Place) {
        match self {
            Self::Many(many) => drop(many.insert(server, place)),
            Self::Few(few) => {
                let mut entries = few.to_vec();
                match entries.binary_search_by_key(&server, |entry| entry.0) {
                    Ok(at) => entries[at].1 = place,
                    Err(at) => entries.insert(at, (server, place)),
                }
                *self = Self::of(entries);
            }
        }
    }

    pub(super) fn remove(&mut self, server: u32) {
        match self {
            Self::Few(few) => *few = few.iter().filter(|entry| entry.0 != server).copied().collect(),
            Self::Many(many) => {
                many.remove(&server);
                if many.len() <= FEW / 2 {
                    *self = Self::of(many.iter().map(|(server, place)| (*server, *place)).collect());
                }
            }
        }
    }

    fn of(entries: Vec<(u32, Place)>) -> Self {
        if entries.len() <= FEW {
            Self::Few(entries.into())
        } else {
            Self::Many(entries.into_iter().collect())
        }
    }

    /// Calls `each` for every server, in the order of their numbers.
    pub(super) fn for_each(&self, mut each: impl FnMut(u32, Place)) {
        match self {
            Self::Few(few) => few.iter().for_each(|(server, place)| each(*server, *place)),
            Self::Many(many) => many.iter().for_each(|(server, place)| each(*server, *place)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(postings: &Postings) -> Vec<u32> {
        let mut servers = Vec::new();
        postings.for_each(|server, _| servers.push(server));
        servers
    }

    #[test]
    fn few_and_many_hold_the_same() {
        let mut postings = Postings::default();
        let numbers: Vec<u32> = (0..500).map(|number| number * 7 % 500).collect();
        for number in &numbers {
            postings.insert(*number, Place::default());
        }
        assert!(matches!(postings, Postings::Many(_)));
        assert_eq!(servers(&postings), (0..500).collect::<Vec<_>>());
        for number in &numbers[..490] {
            postings.remove(*number);
        }
        assert!(matches!(postings, Postings::Few(_)));
        let mut left = numbers[490..].to_vec();
        left.sort_unstable();
        assert_eq!(servers(&postings), left);
        assert_eq!(postings.len(), 10);
    }
}
