//! From the first page of a source to its last, and never for ever.

use super::source::{Page, Question, Source, SourceError};
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The most pages of one walk. At a hundred entries a page that is ten times the largest registry there is.
const MAX_PAGES: usize = 10_000;

/// So many pages without an entry, one after the other, are no way to anywhere.
const MAX_EMPTY: usize = 10;

/// The longest cursor that is passed on, in bytes.
const MAX_CURSOR: usize = 4_096;

/// A walk through the pages of a source.
pub(crate) struct Walk {
    source: Source,
    /// What is asked for next; none behind the last page.
    question: Option<Question>,
    pages: usize,
    empty: usize,
    /// Hashes of the cursors and of the pages that were met: one that comes again leads in a circle.
    met: HashSet<u64>,
}

impl Walk {
    /// Begins at what `question` asks for.
    pub(crate) fn new(source: Source, question: Question) -> Self {
        let met = question.cursor.iter().map(hash).collect();
        Self { source, question: Some(question), pages: 0, empty: 0, met }
    }

    /// The next page; none behind the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, SourceError> {
        let Some(question) = &self.question else { return Ok(None) };
        let page = self.source.page(question).await?;
        let next = Question { cursor: page.next.clone(), ..question.clone() };
        self.check(&page)?;
        self.question = page.next.is_some().then_some(next);
        Ok(Some(page))
    }

    /// Whether the source has refused the very first question, which may have been an old one.
    pub(crate) fn is_at_start(&self) -> bool {
        self.pages == 0
    }

    fn check(&mut self, page: &Page) -> Result<(), SourceError> {
        self.pages += 1;
        self.empty = if page.entries.is_empty() { self.empty + 1 } else { 0 };
        let Some(next) = &page.next else { return Ok(()) };
        if next.len() > MAX_CURSOR {
            return Err(self.source.endless("a cursor is longer than 4096 bytes"));
        }
        if !self.met.insert(hash(next)) {
            return Err(self.source.endless("a cursor comes again"));
        }
        if !page.entries.is_empty() && !self.met.insert(hash_of_entries(page)) {
            return Err(self.source.endless("the same page comes again under another cursor"));
        }
        if self.empty >= MAX_EMPTY {
            return Err(self.source.endless("page after page has no entry"));
        }
        if self.pages >= MAX_PAGES {
            return Err(self.source.endless("there are more than 10000 pages"));
        }
        Ok(())
    }
}

fn hash(cursor: &String) -> u64 {
    let mut hasher = DefaultHasher::new();
    cursor.hash(&mut hasher);
    hasher.finish()
}

fn hash_of_entries(page: &Page) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Else a cursor could be taken for a page.
    page.entries.len().hash(&mut hasher);
    page.entries.iter().for_each(|entry| entry.get().hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests;
