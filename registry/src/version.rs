//! Versions of servers: which texts are versions, and which of two is the later one.

use crate::name::{excerpt, text_type};
use std::cmp::Ordering;

/// Why a text is no version. The messages say what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum VersionError {
    #[error("a version has 1 to 255 characters, this one has {0}")]
    Length(usize),
    #[error("`latest` is reserved: name the version itself, such as `1.0.0`")]
    Latest,
    #[error("a version has no control characters")]
    Control,
    #[error("`{0}` reads as a range of versions: name one version, such as `1.0.0`")]
    Range(String),
    #[error("`{0}` reads as a template that was never filled in: name the version itself, such as `1.0.0`")]
    Template(String),
}

impl VersionError {
    /// The stable name of the broken rule, as validation reports it.
    pub(crate) fn reference(&self) -> &'static str {
        match self {
            Self::Length(_) | Self::Control => "invalid-version-string",
            Self::Latest => "reserved-version-string",
            Self::Range(_) => "version-looks-like-range",
            Self::Template(_) => "version-looks-like-template",
        }
    }
}

text_type! {
    /// The version of a server: any text that names one version. Semantic versions are preferred, not
    /// demanded. Its `Ord` is the order of the texts, for use as a key; [`Version::compare`] says which of
    /// two is the later.
    Version, VersionError, check_published, Version::parse_imported
}

impl Version {
    /// Accepts what other registries have accepted before: ranges and unfilled templates too.
    ///
    /// Still refused is what could not be asked for again: an empty text, more than 255 characters,
    /// control characters, and `latest`.
    pub fn parse_imported(text: &str) -> Result<Self, VersionError> {
        check_imported(text)?;
        Ok(Self(text.into()))
    }

    /// The semantic version that this text is, a leading `v` tolerated.
    pub fn semver(&self) -> Option<semver::Version> {
        let text = self.as_str();
        semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
    }

    /// Whether this is a semantic version without a pre-release part.
    pub fn is_stable(&self) -> bool {
        self.semver().is_some_and(|version| version.pre.is_empty())
    }

    /// Which of two versions, each with the time it was published at in milliseconds, is the later.
    ///
    /// Semantic versions order by precedence, others by time, and any semantic version is later than any
    /// other. The text settles what is left, so that the order is total and every replica picks the same
    /// latest version.
    pub fn compare(a: (&Self, u64), b: (&Self, u64)) -> Ordering {
        let by_precedence = match (a.0.semver(), b.0.semver()) {
            (Some(a), Some(b)) => a.cmp_precedence(&b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        by_precedence.then(a.1.cmp(&b.1)).then_with(|| a.0.cmp(b.0))
    }
}

fn check_imported(text: &str) -> Result<(), VersionError> {
    let length = text.chars().count();
    if !(1..=255).contains(&length) {
        return Err(VersionError::Length(length));
    }
    if text == "latest" {
        return Err(VersionError::Latest);
    }
    if text.contains(char::is_control) { Err(VersionError::Control) } else { Ok(()) }
}

fn check_published(text: &str) -> Result<(), VersionError> {
    check_imported(text)?;
    if text.contains(['{', '}']) {
        return Err(VersionError::Template(excerpt(text)));
    }
    if is_range(text.trim()) { Err(VersionError::Range(excerpt(text))) } else { Ok(()) }
}

/// Whether `text` is written like a range: `^1.2`, `>=1`, `1 - 2`, `1 || 2`, `1.x`, `*`.
fn is_range(text: &str) -> bool {
    text.starts_with(['^', '~', '>', '<', '='])
        || text.contains("||")
        || text.contains(" - ")
        || has_wildcard(text)
}

/// Whether the numbers of a dotted version have a wildcard among them, as in `1.x` and `1.2.*-beta`.
/// `xyz` has none: every part must be a number or a wildcard.
fn has_wildcard(text: &str) -> bool {
    let numbers = text.split('-').next().unwrap_or_default();
    let wildcard = |part: &str| matches!(part, "x" | "X" | "*");
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = numbers.strip_prefix('v').unwrap_or(numbers).split('.');
    parts.clone().any(wildcard) && parts.all(|part| wildcard(part) || number(part))
}
