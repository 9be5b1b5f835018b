//! Globs over server names and namespaces.

use crate::name::{excerpt, text_type};

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum GlobError {
    #[error("a glob has 1 to 200 characters, this one has {0}")]
    Length(usize),
    #[error(
        "`{0}` can match no server name: use letters, digits, `.`, `_`, `-`, `/`, and `*` for any characters"
    )]
    Character(String),
}

text_type! {
    /// A pattern over names: `*` stands for any characters, slashes and none included; case counts.
    ///
    /// ```
    /// use hapi_registry_state::Glob;
    /// let glob: Glob = "ai.acme/*".parse()?;
    /// assert!(glob.matches("ai.acme/weather"));
    /// assert!(!glob.matches("ai.acme.labs/weather"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Glob, GlobError, check
}

impl Glob {
    /// Whether the whole of `name` fits.
    ///
    /// Taking each piece between stars where it first occurs is always right, for the star after it takes
    /// up the rest; so no choice is ever undone, and the time is linear however many stars there are.
    pub fn matches(&self, name: &str) -> bool {
        let Some((head, tail)) = self.as_str().split_once('*') else { return self.as_str() == name };
        let Some(mut rest) = name.strip_prefix(head) else { return false };
        let (middle, last) = tail.rsplit_once('*').unwrap_or(("", tail));
        for piece in middle.split('*') {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

fn check(text: &str) -> Result<(), GlobError> {
    let length = text.chars().count();
    if !(1..=200).contains(&length) {
        return Err(GlobError::Length(length));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/*".contains(&byte);
    if text.bytes().all(allowed) { Ok(()) } else { Err(GlobError::Character(excerpt(text))) }
}
