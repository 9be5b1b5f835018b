//! All words, and which of them contain a text.

use imbl::{OrdMap, Vector};
use memchr::memmem;
use std::{ops::Bound, sync::Arc};

/// How many words share a chunk: so much is copied when a word is new, and gone through without a jump when a text is
/// looked for.
const CHUNK: usize = 256;

/// What stands behind every word of a chunk. No word contains it.
const END: char = '\n';

/// Words by numbers, which count up. None is taken out: the next replica that reads a snapshot leaves behind what stands
/// nowhere any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary {
    numbers: OrdMap<Arc<str>, u32>,
    chunks: Vector<Arc<Chunk>>,
}

/// Words one after the other.
#[derive(Clone, Debug, Default)]
struct Chunk {
    text: String,
    /// Where each of them begins.
    starts: Vec<u32>,
}

impl Vocabulary {
    /// The number of a word, which is new if nobody asked for it before.
    pub(super) fn enter(&mut self, word: &Arc<str>) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(word.clone(), number);
        if (number as usize).is_multiple_of(CHUNK) {
            self.chunks.push_back(Arc::default());
        }
        if let Some(last) = self.chunks.back_mut() {
            Arc::make_mut(last).push(word);
        }
        number
    }

    /// Every word that begins with `text`, with its number.
    pub(super) fn beginning(&self, text: &str) -> impl Iterator<Item = (&str, u32)> {
        let from = self.numbers.range::<_, str>((Bound::Included(text), Bound::Unbounded));
        from.take_while(move |(word, _)| word.starts_with(text)).map(|(word, number)| (&**word, *number))
    }

    /// Calls `each` for every word that contains `text`, with its number.
    pub(super) fn containing(&self, text: &str, mut each: impl FnMut(&str, u32)) {
        let finder = memmem::Finder::new(text);
        for (first, chunk) in (0..).step_by(CHUNK).zip(&self.chunks) {
            let mut next = 0;
            for found in finder.find_iter(chunk.text.as_bytes()) {
                let place = chunk.starts.partition_point(|start| *start as usize <= found).saturating_sub(1);
                // A word may contain it twice.
                if place >= next {
                    next = place + 1;
                    each(chunk.word(place), first + u32::try_from(place).unwrap_or(0));
                }
            }
        }
    }
}

impl Chunk {
    fn push(&mut self, word: &str) {
        self.starts.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.text.push_str(word);
        self.text.push(END);
    }

    fn word(&self, place: usize) -> &str {
        let rest = &self.text[self.starts[place] as usize..];
        rest.split_once(END).map_or(rest, |(word, _)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(vocabulary: &Vocabulary, text: &str) -> Vec<(String, u32)> {
        let mut found = Vec::new();
        vocabulary.containing(text, |word, number| found.push((word.to_owned(), number)));
        found
    }

    #[test]
    fn words_are_found_by_what_they_contain() {
        let mut vocabulary = Vocabulary::default();
        let words: Vec<Arc<str>> = (0..1_000).map(|number| format!("w{number}w").into()).collect();
        for word in words.iter().chain(&words) {
            vocabulary.enter(word);
        }
        assert_eq!(vocabulary.enter(&words[300]), 300);
        assert_eq!(found(&vocabulary, "w777"), [("w777w".to_owned(), 777)]);
        assert_eq!(found(&vocabulary, "w").len(), 1_000, "each once, though it stands in each twice");
        assert_eq!(found(&vocabulary, "99").len(), 19);
        assert_eq!(found(&vocabulary, "ww"), [], "no text spans two words");
        assert_eq!(vocabulary.beginning("w99").count(), 11);
    }
}
