//! What a template can become: the normalised form of all its expansions.

use super::{Endpoint, escape, is_unreserved};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A longer list of choices is matched like any value, so that one document cannot make every match slow.
/// That errs towards finding two servers in conflict, which is the safe side.
const MAX_MATCHED_CHOICES: usize = 64;

/// The same for choices that are long taken together, in bytes.
const MAX_MATCHED_BYTES: usize = 4_096;

/// The normalised URLs that a template can become: one of the origins, then the pieces in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pattern {
    /// At least one, such as `https://example.com:8443`.
    pub(super) origins: Vec<String>,
    /// The first is a literal that begins with `/`, so that no origin matches as a mere prefix of a host.
    pub(super) pieces: Vec<Piece>,
}

/// One stretch of path and query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Piece {
    /// Just this text, normalised.
    Literal(String),
    /// Any escaped value that is not empty.
    Value,
    /// One of these escaped values.
    Choice(Vec<String>),
}

impl Pattern {
    pub(super) fn matches(&self, endpoint: &Endpoint) -> bool {
        let rest_after = |origin: &String| endpoint.normalised().strip_prefix(&**origin);
        self.origins.iter().filter_map(rest_after).any(|rest| self.fits(rest))
    }

    /// Follows all ways to divide `text` at once, as a set of positions, so that nothing is tried twice.
    fn fits(&self, text: &str) -> bool {
        let start = Ends::from([(0, 0)]);
        let ends = self.pieces.iter().fold(start, |starts, piece| piece.ends(text, &starts));
        ends.contains_key(&text.len())
    }

    /// The escaped values with which the pieces become `text`, in their order. Of several ways to divide it one
    /// is taken: all of them lead to the same text.
    pub(super) fn read<'a>(&self, text: &'a str) -> Option<Vec<&'a str>> {
        let mut divided = vec![Ends::from([(0, 0)])];
        for piece in &self.pieces {
            let ends = divided.last().map(|starts| piece.ends(text, starts));
            divided.extend(ends);
        }
        let (mut values, mut end) = (Vec::new(), text.len());
        for (piece, ends) in self.pieces.iter().zip(&divided[1..]).rev() {
            let start = *ends.get(&end)?;
            if !matches!(piece, Piece::Literal(_)) {
                values.push(&text[start..end]);
            }
            end = start;
        }
        values.reverse();
        Some(values)
    }
}

/// Positions where a piece can end, each with one where it then begins.
type Ends = BTreeMap<usize, usize>;

impl Piece {
    /// The piece of a placeholder whose variable lists `choices`, or lists none.
    pub(super) fn placeholder(choices: &[String]) -> Self {
        let bytes: usize = choices.iter().map(String::len).sum();
        let matched = (1..=MAX_MATCHED_CHOICES).contains(&choices.len()) && bytes <= MAX_MATCHED_BYTES;
        if matched {
            Self::Choice(choices.iter().map(|choice| escape(choice)).collect())
        } else {
            Self::Value
        }
    }

    /// Where this piece can end in `text` when it begins where another one can end.
    fn ends(&self, text: &str, starts: &Ends) -> Ends {
        let literal = |choice: &str| {
            let begins = starts.keys().filter(|&&start| text[start..].starts_with(choice));
            begins.map(|start| (start + choice.len(), *start)).collect::<Vec<_>>()
        };
        match self {
            Self::Literal(text) => literal(text).into_iter().collect(),
            Self::Choice(choices) => choices.iter().flat_map(|choice| literal(choice)).collect(),
            Self::Value => value_ends(text.as_bytes(), starts),
        }
    }
}

fn value_ends(text: &[u8], starts: &Ends) -> Ends {
    let mut ends = Ends::new();
    for &start in starts.keys() {
        let mut at = start;
        while let Some(length) = unit(&text[at..]) {
            at += length;
            if ends.contains_key(&at) {
                // An earlier start came past here, and found all that follows.
                break;
            }
            ends.insert(at, start);
        }
    }
    ends
}

/// The length of the unreserved character or escape that `text` begins with.
fn unit(text: &[u8]) -> Option<usize> {
    match text {
        [b'%', _, _, ..] => Some(3),
        [byte, ..] if is_unreserved(*byte) => Some(1),
        _ => None,
    }
}
