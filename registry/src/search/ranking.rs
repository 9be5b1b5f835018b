//! The beginning of an answer, kept for those who ask the same again.

use super::{SearchIndex, query::Found};
use std::sync::Arc;

/// How many servers of an answer are kept: some pages.
const KEPT: usize = 256;

/// The servers that match a question best, in their order. Who may see them is not judged yet.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Up to which entry of the log the index has not changed since.
    changed_at: u64,
    found: Arc<[Found]>,
    /// Whether these are all.
    is_whole: bool,
}

impl SearchIndex {
    pub(crate) fn rank(&self, question: &str) -> Ranking {
        let mut found = self.find(question);
        let first: Arc<[Found]> = found.by_ref().take(KEPT).collect();
        Ranking { changed_at: self.changed_at, found: first, is_whole: found.next().is_none() }
    }

    /// Whether `ranking` is what this index would answer.
    pub(crate) fn still_ranks(&self, ranking: &Ranking) -> bool {
        self.changed_at == ranking.changed_at
    }
}

impl Ranking {
    pub(crate) fn found(&self) -> impl Iterator<Item = Found> {
        self.found.iter().cloned()
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }
}
