//! From texts to words.

use crate::{KeptServerJson, ServerName};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The longest word, in bytes; the rest of a longer one is not looked at.
const LONGEST: usize = 64;

/// The most different words of one server. What another registry published can be long.
const MOST: usize = 256;

/// Words that most servers have: they say little about any, neither when asked for nor when found.
const WEAK: &[&str] = &[
    "api",
    "context",
    "mcp",
    "mcpserver",
    "model",
    "protocol",
    "server",
    "servers",
    "service",
    "the",
    "tool",
    "tools",
];

/// Words of whole sentences, by which nobody means a server.
const STOP: &[&str] = &[
    "a", "an", "and", "are", "at", "be", "by", "can", "for", "from", "in", "into", "is", "it", "its", "me",
    "my", "of", "on", "or", "that", "the", "this", "to", "use", "using", "via", "which", "with", "you",
    "your",
];

/// Whether a word says little about any server.
pub(super) fn is_weak(word: &str) -> bool {
    WEAK.binary_search(&word).is_ok() || STOP.binary_search(&word).is_ok()
}

/// The words of `text` in lower case: what stands between characters that are neither letters nor digits.
pub(super) fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(|part| shortened(&part.to_lowercase()).to_owned()).collect()
}

fn shortened(word: &str) -> &str {
    &word[..word.floor_char_boundary(LONGEST)]
}

/// Where a word stands in what a server says of itself, and among how many.
///
/// Sixteen bits, since there is one for each word of each server: five for the places, four, four and three for how many
/// different words that are not weak stand in the core, in the whole name and in the title.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(u16);

impl Place {
    /// In the core of the name: what is behind the slash, or, where that only says `mcp`, the last label before it.
    pub(super) const CORE: u16 = 1;
    /// The core begins with it.
    pub(super) const FIRST: u16 = 2;
    /// In the namespace.
    pub(super) const NAMESPACE: u16 = 4;
    /// In the title.
    pub(super) const TITLE: u16 = 8;
    /// In the description.
    pub(super) const DESCRIPTION: u16 = 16;

    pub(super) fn bits(self) -> u16 {
        self.0
    }

    pub(super) fn of_bits(bits: u16) -> Self {
        Self(bits)
    }

    pub(super) fn is(self, place: u16) -> bool {
        self.0 & place != 0
    }

    pub(super) fn flags(self) -> u16 {
        self.0 & 31
    }

    pub(super) fn core_words(self) -> u16 {
        self.0 >> 5 & 15
    }

    pub(super) fn name_words(self) -> u16 {
        self.0 >> 9 & 15
    }

    pub(super) fn title_words(self) -> u16 {
        self.0 >> 13
    }

    fn lengths(core: u16, name: u16, title: u16) -> u16 {
        core.min(15) << 5 | name.min(15) << 9 | title.min(7) << 13
    }
}

/// The words by which a server is found, each with its place.
pub(super) fn of_server(document: &KeptServerJson) -> BTreeMap<Arc<str>, Place> {
    let (core, namespace) = name_words(document.name());
    let (title, description) = document.words();
    let title = title.as_deref().map(words).unwrap_or_default();
    let lengths = Place::lengths(strong(&core), strong(core.iter().chain(&namespace)), strong(&title));
    let mut places = BTreeMap::new();
    let mut enter = |words: &[String], place: u16| {
        for word in words {
            if places.len() < MOST || places.contains_key(word.as_str()) {
                places.entry(Arc::from(word.as_str())).or_insert(Place(lengths)).0 |= place;
            }
        }
    };
    enter(&core, Place::CORE);
    enter(&core.iter().find(|word| !is_weak(word)).cloned().into_iter().collect::<Vec<_>>(), Place::FIRST);
    enter(&namespace, Place::NAMESPACE);
    enter(&title, Place::TITLE);
    enter(&words(&description), Place::DESCRIPTION);
    places
}

/// The words of a name's core, and those of the rest.
fn name_words(name: &ServerName) -> (Vec<String>, Vec<String>) {
    let (core, namespace) = (words(name.name()), name.namespace());
    if strong(&core) > 0 {
        return (core, words(namespace.as_str()));
    }
    let (rest, last) = namespace.as_str().rsplit_once('.').unwrap_or(("", namespace.as_str()));
    (words(last).into_iter().chain(core).collect(), words(rest))
}

/// How many different words are not weak.
fn strong<'a>(words: impl IntoIterator<Item = &'a String>) -> u16 {
    let different: BTreeSet<_> = words.into_iter().filter(|word| !is_weak(word)).collect();
    u16::try_from(different.len()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn lists_are_in_order() {
        assert!(WEAK.is_sorted() && STOP.is_sorted());
    }

    #[test]
    fn words_are_what_stands_between_marks() {
        assert_eq!(words("io.github.Acme/weather-MCP_2"), ["io", "github", "acme", "weather", "mcp", "2"]);
        assert_eq!(words("  Où? — naïve!"), ["où", "naïve"]);
        assert_eq!(words("天气 服务"), ["天气", "服务"]);
        assert!(words("-- // ..").is_empty());
        assert_eq!(words(&"é".repeat(100))[0].len(), 64);
    }

    #[test]
    fn a_name_that_only_says_mcp_has_its_core_before_the_slash() {
        let core = |name: &str| name_words(&name.parse().expect("a name")).0;
        assert_eq!(core("com.acme/weather-mcp"), ["weather", "mcp"]);
        assert_eq!(core("com.acme/mcp-server"), ["acme", "mcp", "server"]);
    }
}
