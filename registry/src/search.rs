//! Search: which servers have to do with some words, the best match first.
//!
//! The index is a part of the state and changes with it, entry by entry, so that at the same index every replica
//! answers alike. It is derived: a snapshot carries none of it, and who reads one builds it anew. The numbers that it
//! gives to servers differ between such a replica and one that applied every entry; no answer depends on them.
//!
//! A server is found by what its latest version says of itself, in name, title and description.

mod index;
mod postings;
mod query;
mod ranking;
mod vocabulary;
mod words;

pub(crate) use index::SearchIndex;
pub(crate) use query::Found;
pub use ranking::Ranking;

/// How well a server matches: the higher, the better. The upper bits say how it matches its name, the lower ones how
/// much its words weigh.
pub type Rank = u32;
