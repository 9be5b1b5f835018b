//! From a question to servers, the best match first.

use super::{
    Rank, SearchIndex,
    index::{Indexed, initials},
    postings::Postings,
    words::{self, Place},
};
use crate::ServerName;
use imbl::Vector;
use std::{cmp::Reverse, collections::BinaryHeap};

/// The most words of a question; the rest is not looked at.
const MOST: usize = 16;

/// Words that are shorter are looked for at the beginning of others only.
const SHORTEST_INNER: usize = 3;

/// The bits of a rank below those that say how the name matches.
const SCORE_BITS: u32 = 28;

/// How a word of a server matches one of the question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner = 2,
    Prefix = 4,
    Exact = 8,
}

/// What is known of a server while the question is gone through, word by word.
#[derive(Clone, Copy, Default)]
struct Candidate {
    /// The number of the word that is gone through, counted from 1.
    term: u8,
    /// What that word is worth so far, and in which ways it matches.
    value: u32,
    ways: u8,
    /// The sum over all words.
    score: u32,
    /// How many of the words match, and how many in each of the ways.
    covered: u8,
    core: u8,
    name: u8,
    title: u8,
    near: u8,
    begins: bool,
    core_words: u8,
    name_words: u8,
    title_words: u8,
}

/// Ways in which a word can match.
const CORE: u8 = 1;
const NAME: u8 = 2;
const TITLE: u8 = 4;
const NEAR: u8 = 8;

/// A server that was found. The order is that of the answer: the best first, and equals by what stands behind the slash of
/// their names, then by the names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) rank: Reverse<Rank>,
    initials: u64,
    pub(crate) name: ServerName,
}

impl Found {
    pub(crate) fn new(rank: Rank, name: ServerName) -> Self {
        Self { rank: Reverse(rank), initials: initials(&name), name }
    }
}

impl SearchIndex {
    /// The servers that match `question` best: all that have each of its words, or, if there are none, those that have
    /// the most of them. Words that say little do not count beside others. Yields one at a time, the best first; of
    /// equals, the first by name behind the slash.
    pub(crate) fn find(&self, question: &str) -> impl Iterator<Item = Found> + use<> {
        let asked = words::words(question);
        let terms = terms(&asked);
        let mut candidates = vec![Candidate::default(); self.servers.len()];
        for (number, word) in (1..).zip(&terms) {
            self.weigh(word, number, &mut candidates);
        }
        let wanted = terms.len();
        let most = candidates.iter().map(|candidate| candidate.covered).max().unwrap_or(0);
        let found = self.servers.iter().zip(&candidates).zip(0..);
        let found = found.filter(|((_, candidate), _)| candidate.covered == most && most > 0);
        let order = |((indexed, candidate), server): ((&Indexed, &Candidate), u32)| {
            Reverse((Reverse(candidate.rank(wanted)), indexed.initials, server))
        };
        Ranked { found: found.map(order).collect(), servers: self.servers.clone(), ready: BinaryHeap::new() }
    }

    /// Adds what one word of the question is worth to every server that has it.
    fn weigh(&self, word: &str, number: u8, candidates: &mut [Candidate]) {
        let matches = self.matches(word);
        let servers: usize = matches.iter().map(|(_, postings)| postings.len()).sum();
        let rarity = rarity(self.servers.len(), servers);
        for (kind, postings) in matches {
            postings.for_each(|server, place| {
                candidates[server as usize].take(number, kind, place, rarity);
            });
        }
    }

    /// The words of servers that match one of the question.
    fn matches(&self, word: &str) -> Vec<(Kind, &Postings)> {
        let mut matches = Vec::new();
        let mut add = |kind, number: u32| {
            let postings = self.postings.get(number as usize).filter(|postings| postings.len() > 0);
            matches.extend(postings.map(|postings| (kind, postings)));
        };
        if word.len() < SHORTEST_INNER {
            let beginning = self.vocabulary.beginning(word);
            beginning.for_each(|(other, number)| add(kind_at_start(other, word), number));
        } else {
            // Whatever contains the word contains its stem.
            let stem = singular(word);
            self.vocabulary.containing(stem, |other, number| {
                if let Some(kind) = kind(other, word, stem) {
                    add(kind, number);
                }
            });
        }
        matches
    }
}

/// The words of a question, each once. Those that say little count only in a question that has no others.
fn terms(asked: &[String]) -> Vec<&str> {
    let has_strong = asked.iter().any(|word| !words::is_weak(word));
    let mut terms: Vec<&str> = Vec::new();
    for word in asked.iter().filter(|word| !has_strong || !words::is_weak(word)) {
        if terms.len() < MOST && !terms.contains(&word.as_str()) {
            terms.push(word);
        }
    }
    terms
}

/// `word` without the ending of a plural, in the only way that is nearly always right.
fn singular(word: &str) -> &str {
    word.strip_suffix('s').filter(|stem| stem.len() > 2 && !stem.ends_with('s')).unwrap_or(word)
}

fn kind(other: &str, word: &str, stem: &str) -> Option<Kind> {
    if other.starts_with(word) {
        return Some(kind_at_start(other, word));
    }
    if other == stem {
        return Some(Kind::Prefix);
    }
    other.contains(word).then_some(Kind::Inner)
}

fn kind_at_start(other: &str, word: &str) -> Kind {
    if other.len() == word.len() { Kind::Exact } else { Kind::Prefix }
}

/// How much it says that a server has a word: eight times the binary logarithm of how few have it, and one more.
fn rarity(all: usize, with: usize) -> u32 {
    let with = with.max(1);
    let ratio = (all.max(with) as u64 * 256) / with as u64;
    let whole = ratio.ilog2();
    let eighths = (ratio >> (whole - 3)) & 7;
    (whole - 8) * 8 + u32::try_from(eighths).unwrap_or(0) + 8
}

/// What a word is worth for where it stands: the more, the fewer others stand beside it in a name or title.
fn worth(place: Place) -> u32 {
    let part = |at: u16, worth: u32| if place.is(at) { worth } else { 0 };
    part(Place::CORE, 48 / (2 + u32::from(place.core_words())))
        + part(Place::TITLE, 32 / (2 + u32::from(place.title_words())))
        + part(Place::NAMESPACE, 6)
        + part(Place::DESCRIPTION, 4)
}

impl Candidate {
    fn take(&mut self, number: u8, kind: Kind, place: Place, rarity: u32) {
        if self.term != number {
            *self = Self { term: number, value: 0, ways: 0, ..*self };
            self.covered += 1;
            self.core_words = place.core_words() as u8;
            self.name_words = place.name_words() as u8;
            self.title_words = place.title_words() as u8;
        }
        let value = worth(place) * kind as u32 * rarity;
        if value > self.value {
            self.score += value - self.value;
            self.value = value;
        }
        self.count(kind, place);
    }

    fn count(&mut self, kind: Kind, place: Place) {
        let exact = kind == Kind::Exact;
        let way = |is: bool, way: u8| if is { way } else { 0 };
        let ways = way(exact && place.is(Place::CORE), CORE)
            | way(exact && place.flags() & (Place::CORE | Place::NAMESPACE) != 0, NAME)
            | way(exact && place.is(Place::TITLE), TITLE)
            | way(place.flags() & (Place::CORE | Place::TITLE) != 0, NEAR);
        let new = ways & !self.ways;
        self.ways |= ways;
        self.core += u8::from(new & CORE != 0);
        self.name += u8::from(new & NAME != 0);
        self.title += u8::from(new & TITLE != 0);
        self.near += u8::from(new & NEAR != 0);
        self.begins |= self.covered == 1 && kind != Kind::Inner && place.is(Place::FIRST);
    }

    /// How well the server matches a question of `wanted` words.
    fn rank(&self, wanted: usize) -> Rank {
        let wanted = u8::try_from(wanted).unwrap_or(u8::MAX);
        let all = |count: u8, words: u8| count == wanted && words == wanted;
        let tier = if all(self.name, self.name_words) && self.core_words > 0 {
            5
        } else if all(self.core, self.core_words) {
            4
        } else if all(self.title, self.title_words) {
            3
        } else if self.near == wanted && self.begins {
            2
        } else {
            u32::from(self.near == wanted)
        };
        tier << SCORE_BITS | self.score.min((1 << SCORE_BITS) - 1)
    }
}

/// Servers in their order. Names are looked up only as far as somebody asks.
struct Ranked {
    found: BinaryHeap<Reverse<(Reverse<Rank>, u64, u32)>>,
    servers: Vector<Indexed>,
    /// Those that only their names tell apart, the next ones.
    ready: BinaryHeap<Reverse<Found>>,
}

impl Iterator for Ranked {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if self.ready.is_empty() {
            let Reverse((rank, initials, _)) = *self.found.peek()?;
            while let Some(Reverse((_, _, server))) =
                self.found.peek().copied().filter(|Reverse(next)| (next.0, next.1) == (rank, initials))
            {
                self.found.pop();
                let name = self.servers.get(server as usize).map(|indexed| indexed.name.clone());
                self.ready.extend(name.map(|name| Reverse(Found { rank, initials, name })));
            }
        }
        self.ready.pop().map(|Reverse(found)| found)
    }
}
