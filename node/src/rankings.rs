//! Answers to what was searched for lately: agents and pages ask the same again and again, and between two changes of the
//! catalog the answer is the same.

use hapi_registry_state::{ListQuery, Page, Ranking, Registry, Viewer};
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

/// How many questions are remembered.
const QUESTIONS: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// Longer questions are not remembered, in bytes.
const LONGEST: usize = 200;

/// The rankings by question. Whoever asks, they are the same: what somebody may see is judged afterwards.
pub(crate) struct Rankings(Mutex<LruCache<Box<str>, Ranking>>);

impl Default for Rankings {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(QUESTIONS)))
    }
}

impl Rankings {
    /// What `state` answers to `query`.
    pub(crate) fn list(&self, state: &Registry, query: &ListQuery, viewer: Viewer<'_>) -> Page {
        match query.search.as_deref().filter(|words| words.len() <= LONGEST) {
            None => state.list(query, viewer),
            Some(words) => state.list_ranked(&self.of(state, words), query, viewer),
        }
    }

    fn of(&self, state: &Registry, words: &str) -> Ranking {
        let known = self.lock().get(words).filter(|ranking| state.still_ranks(ranking)).cloned();
        known.unwrap_or_else(|| {
            let ranking = state.rank(words);
            self.lock().put(words.into(), ranking.clone());
            ranking
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<Box<str>, Ranking>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
