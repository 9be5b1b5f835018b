//! The index itself, kept up with each server that changes.

use super::{postings::Postings, vocabulary::Vocabulary, words};
use crate::{KeptServerJson, Server, ServerName};
use imbl::{OrdMap, Vector};

/// Which words stand in which servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchIndex {
    pub(super) vocabulary: Vocabulary,
    /// By the words' numbers.
    pub(super) postings: Vector<Postings>,
    /// The servers; their places here are their numbers.
    pub(super) servers: Vector<Indexed>,
    numbers: OrdMap<ServerName, u32>,
    /// The index of an entry since which all of this is as it is.
    pub(super) changed_at: u64,
}

/// A server, and what orders it among equals at first sight.
#[derive(Clone, Debug)]
pub(super) struct Indexed {
    pub(super) initials: u64,
    pub(super) name: ServerName,
}

impl SearchIndex {
    /// Takes note that the server `name` was `former` and is `now`, by the entry at `index`.
    pub(crate) fn update(&mut self, index: u64, name: &ServerName, former: Option<&Server>, now: &Server) {
        let (former, now) = (former.and_then(described_by), described_by(now));
        if former == now {
            return;
        }
        self.changed_at = index;
        let server = self.number(name);
        let old = former.map(words::of_server).unwrap_or_default();
        let new = now.map(words::of_server).unwrap_or_default();
        for word in old.keys().filter(|word| !new.contains_key(*word)) {
            self.of_word(word, |postings| postings.remove(server));
        }
        for (word, place) in new.iter().filter(|(word, place)| old.get(*word) != Some(*place)) {
            self.of_word(word, |postings| postings.insert(server, *place));
        }
    }

    fn number(&mut self, name: &ServerName) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        self.servers.push_back(Indexed { initials: initials(name), name: name.clone() });
        self.numbers.insert(name.clone(), number);
        number
    }

    fn of_word(&mut self, word: &std::sync::Arc<str>, change: impl FnOnce(&mut Postings)) {
        let number = self.vocabulary.enter(word) as usize;
        while self.postings.len() <= number {
            self.postings.push_back(Postings::default());
        }
        if let Some(postings) = self.postings.get_mut(number) {
            change(postings);
        }
    }
}

/// The first bytes behind the slash of a name, in lower case, as a number that orders like them.
pub(super) fn initials(name: &ServerName) -> u64 {
    let mut initials = [0; 8];
    initials
        .iter_mut()
        .zip(name.name().bytes())
        .for_each(|(initial, byte)| *initial = byte.to_ascii_lowercase());
    u64::from_be_bytes(initials)
}

/// The document by which a server is found: the latest, or any where all versions are deleted.
fn described_by(server: &Server) -> Option<&KeptServerJson> {
    let latest = server.latest.as_ref().and_then(|version| server.versions.get(version));
    latest.or_else(|| server.versions.values().next_back()).map(|published| &published.document)
}
