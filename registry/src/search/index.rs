//! The index itself, kept up with each server that changes.

use super::{postings::Postings, words};
use crate::{Server, ServerJson, ServerName};
use imbl::{OrdMap, Vector};
use std::sync::Arc;

/// Which words stand in which servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchIndex {
    pub(super) words: OrdMap<Arc<str>, Postings>,
    /// The servers; their places here are their numbers.
    pub(super) servers: Vector<ServerName>,
    numbers: OrdMap<ServerName, u32>,
}

impl SearchIndex {
    /// Takes note that the server `name` was `former` and is `now`.
    pub(crate) fn update(&mut self, name: &ServerName, former: Option<&Server>, now: &Server) {
        let (former, now) = (former.and_then(described_by), described_by(now));
        if former == now {
            return;
        }
        let number = self.number(name);
        let old = former.map(words::of_server).unwrap_or_default();
        let new = now.map(words::of_server).unwrap_or_default();
        for word in old.keys().filter(|word| !new.contains_key(*word)) {
            self.remove(word, number);
        }
        for (word, place) in &new {
            if old.get(word) != Some(place) {
                self.words.entry(word.clone()).or_default().insert(number, *place);
            }
        }
    }

    fn number(&mut self, name: &ServerName) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        self.servers.push_back(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    fn remove(&mut self, word: &Arc<str>, number: u32) {
        if let Some(postings) = self.words.get_mut(word) {
            postings.remove(number);
            if postings.len() == 0 {
                self.words.remove(word);
            }
        }
    }
}

/// The document by which a server is found: the latest, or any where all versions are deleted.
fn described_by(server: &Server) -> Option<&ServerJson> {
    let latest = server.latest.as_ref().and_then(|version| server.versions.get(version));
    latest.or_else(|| server.versions.values().next_back()).map(|published| &published.document)
}
