//! In which servers a word stands.

use super::words::Place;
use imbl::OrdMap;
use std::sync::Arc;

/// How many numbers of servers share a chunk, as a power of two. A chunk is one piece of memory, gone through without a
/// jump, and copied when a server in it changes. Most words are rare and have one chunk with little in it.
const CHUNK_BITS: u32 = 9;

/// The servers in which a word stands, by their numbers in the index, each with its place there.
#[derive(Clone, Debug)]
pub(super) enum Postings {
    /// Of one chunk.
    Few(Arc<[Posting]>),
    /// By the upper bits of the servers' numbers.
    Many(OrdMap<u32, Arc<[Posting]>>),
}

type Posting = (u32, Place);

impl Default for Postings {
    fn default() -> Self {
        Self::Few([].into())
    }
}

impl Postings {
    pub(super) fn len(&self) -> usize {
        self.chunks().map(|chunk| chunk.len()).sum()
    }

    fn chunks(&self) -> impl Iterator<Item = &Arc<[Posting]>> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many.values())),
        };
        few.into_iter().chain(many.into_iter().flatten())
    }

    pub(super) fn insert(&mut self, server: u32, place: Place) {
        self.change(server, |chunk| match chunk.binary_search_by_key(&server, |posting| posting.0) {
            Ok(at) => chunk[at].1 = place,
            Err(at) => chunk.insert(at, (server, place)),
        });
    }

    pub(super) fn remove(&mut self, server: u32) {
        self.change(server, |chunk| chunk.retain(|posting| posting.0 != server));
    }

    fn change(&mut self, server: u32, change: impl FnOnce(&mut Vec<Posting>)) {
        let key = server >> CHUNK_BITS;
        if let Self::Few(few) = self {
            let spans = few.first().is_some_and(|first| first.0 >> CHUNK_BITS != key);
            if !spans {
                *few = changed(few, change);
                return;
            }
            *self = Self::Many(
                few.first().map(|first| (first.0 >> CHUNK_BITS, few.clone())).into_iter().collect(),
            );
        }
        let Self::Many(many) = self else { return };
        let chunk = changed(many.get(&key).map_or(&[], |chunk| chunk), change);
        if chunk.is_empty() {
            many.remove(&key);
        } else {
            many.insert(key, chunk);
        }
    }

    /// Calls `each` for every server, in the order of their numbers.
    pub(super) fn for_each(&self, mut each: impl FnMut(u32, Place)) {
        self.chunks().flat_map(|chunk| chunk.iter()).for_each(|(server, place)| each(*server, *place));
    }
}

fn changed(chunk: &[Posting], change: impl FnOnce(&mut Vec<Posting>)) -> Arc<[Posting]> {
    let mut chunk = chunk.to_vec();
    change(&mut chunk);
    chunk.into()
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
    fn few_and_many_hold_what_was_put_in() {
        let mut postings = Postings::default();
        let numbers: Vec<u32> = (0..5_000).map(|number| number * 7 % 5_000).collect();
        for number in &numbers {
            postings.insert(*number, Place::default());
            postings.insert(*number, Place::default());
        }
        assert!(matches!(postings, Postings::Many(_)));
        assert_eq!(servers(&postings), (0..5_000).collect::<Vec<_>>());
        for number in &numbers[..4_990] {
            postings.remove(*number);
        }
        let mut left = numbers[4_990..].to_vec();
        left.sort_unstable();
        assert_eq!(servers(&postings), left);
        assert_eq!(postings.len(), 10);
    }

    #[test]
    fn what_is_taken_out_of_few_leaves_nothing() {
        let mut postings = Postings::default();
        postings.insert(7, Place::default());
        postings.remove(8);
        assert_eq!(servers(&postings), [7]);
        postings.remove(7);
        assert_eq!(postings.len(), 0);
        postings.insert(70_000, Place::default());
        assert!(matches!(postings, Postings::Few(_)));
    }
}
