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
    /// Of one chunk, with the upper bits of its servers' numbers.
    Few(u32, Arc<[Posting]>),
    /// By the upper bits of the servers' numbers.
    Many(OrdMap<u32, Arc<[Posting]>>),
}

/// The lower bits of a server's number, and behind them its place: there is one for each word of each server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posting(u32);

impl Posting {
    fn new(server: u32, place: Place) -> Self {
        Self(lower(server) << 16 | u32::from(place.bits()))
    }

    fn lower(self) -> u32 {
        self.0 >> 16
    }

    fn place(self) -> Place {
        Place::of_bits(self.0 as u16)
    }
}

/// What tells a server from the others of its chunk.
fn lower(server: u32) -> u32 {
    server & ((1 << CHUNK_BITS) - 1)
}

impl Default for Postings {
    fn default() -> Self {
        Self::Few(0, [].into())
    }
}

impl Postings {
    pub(super) fn len(&self) -> usize {
        self.chunks().map(|(_, chunk)| chunk.len()).sum()
    }

    fn chunks(&self) -> impl Iterator<Item = (u32, &Arc<[Posting]>)> {
        let (few, many) = match self {
            Self::Few(key, few) => (Some((*key, few)), None),
            Self::Many(many) => (None, Some(many.iter().map(|(key, chunk)| (*key, chunk)))),
        };
        few.into_iter().chain(many.into_iter().flatten())
    }

    pub(super) fn insert(&mut self, server: u32, place: Place) {
        let posting = Posting::new(server, place);
        self.change(server, |chunk| match chunk.binary_search_by_key(&posting.lower(), |it| it.lower()) {
            Ok(at) => chunk[at] = posting,
            Err(at) => chunk.insert(at, posting),
        });
    }

    pub(super) fn remove(&mut self, server: u32) {
        self.change(server, |chunk| chunk.retain(|posting| posting.lower() != lower(server)));
    }

    fn change(&mut self, server: u32, change: impl FnOnce(&mut Vec<Posting>)) {
        let key = server >> CHUNK_BITS;
        if let Self::Few(only, few) = self {
            if few.is_empty() || *only == key {
                *self = Self::Few(key, changed(few, change));
                return;
            }
            *self = Self::Many([(*only, few.clone())].into_iter().collect());
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
        for (key, chunk) in self.chunks() {
            chunk.iter().for_each(|posting| each(key << CHUNK_BITS | posting.lower(), posting.place()));
        }
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
        assert!(matches!(postings, Postings::Few(..)));
    }
}
