//! The cluster secret: everything that nodes share before they know each other.

use hapi_registry_state::SecretFingerprint;
use hkdf::Hkdf;
use sha2::Sha256;
use std::{collections::BTreeSet, fmt};
use thiserror::Error;
use zeroize::Zeroizing;

/// The least length in bytes. Below it even random text is within reach of a patient guesser, who needs
/// only one recorded handshake to test guesses offline.
const LEAST_BYTES: usize = 32;

/// The least number of different bytes. 32 random hexadecimal digits hold fewer only once in thousands of
/// secrets, typed ones nearly always.
const LEAST_DISTINCT: usize = 10;

/// Separates our derivations from those of any other program that is given the same secret.
const SALT: &[u8] = b"hapi cluster secret v1";

/// A checked cluster secret. It is wiped from memory when dropped and never printed.
#[derive(Clone)]
pub struct ClusterSecret(Zeroizing<Vec<u8>>);

/// Why a cluster secret is refused. The text never repeats any part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WeakSecret {
    /// Shorter than 32 bytes.
    #[error("the cluster secret has {0} bytes, at least {LEAST_BYTES} are needed; {HINT}")]
    TooShort(usize),
    /// One byte over and over, or few different ones.
    #[error("the cluster secret uses only {0} different bytes, which a random one never does; {HINT}")]
    FewDistinctBytes(usize),
    /// The same piece over and over.
    #[error("the cluster secret repeats a piece of {0} bytes; {HINT}")]
    Repeated(usize),
    /// Bytes in alphabetic or numeric order, or long runs of one.
    #[error("the cluster secret runs along the alphabet or the digits; {HINT}")]
    Sequence,
    /// Words of a language, or one of the usual place holders.
    #[error("the cluster secret consists of words, which dictionaries list; {HINT}")]
    PlainWords,
}

const HINT: &str = "make one with `head -c 32 /dev/urandom | base64`";

impl ClusterSecret {
    /// Checks and takes over the content of a secret file. Line ends at its end do not count.
    ///
    /// # Errors
    /// A [`WeakSecret`] that says what is wrong and how to make a better one.
    pub fn parse(bytes: &[u8]) -> Result<Self, WeakSecret> {
        let secret = bytes.trim_ascii_end();
        match weakness(secret) {
            Some(weak) => Err(weak),
            None => Ok(Self(Zeroizing::new(secret.to_vec()))),
        }
    }

    /// The subkey for `label` (HKDF-SHA-256, RFC 5869). Different labels give independent keys.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut key = [0; 32];
        #[expect(clippy::expect_used, reason = "HKDF-SHA-256 gives up to 8,160 bytes")]
        Hkdf::<Sha256>::new(Some(SALT), &self.0).expand(label.as_bytes(), &mut key).expect("32 bytes");
        key
    }

    /// The secret's name, which may be shown.
    pub fn fingerprint(&self) -> SecretFingerprint {
        let [a, b, c, d, e, f, ..] = self.derive("fingerprint");
        SecretFingerprint([a, b, c, d, e, f])
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

fn weakness(secret: &[u8]) -> Option<WeakSecret> {
    if secret.len() < LEAST_BYTES {
        return Some(WeakSecret::TooShort(secret.len()));
    }
    let distinct = secret.iter().collect::<BTreeSet<_>>().len();
    if distinct < LEAST_DISTINCT {
        return Some(WeakSecret::FewDistinctBytes(distinct));
    }
    if let Some(period) = period(secret) {
        return Some(WeakSecret::Repeated(period));
    }
    if is_sequence(secret) {
        return Some(WeakSecret::Sequence);
    }
    (is_words(secret) || has_placeholder(secret)).then_some(WeakSecret::PlainWords)
}

/// The length of the piece of which the whole secret consists, if it repeats at least once.
fn period(secret: &[u8]) -> Option<usize> {
    (1..=secret.len() / 2).find(|period| secret.iter().skip(*period).eq(&secret[..secret.len() - period]))
}

/// Whether more than half of all neighbours are equal or adjacent in value.
fn is_sequence(secret: &[u8]) -> bool {
    let close = secret.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count();
    close * 2 > secret.len()
}

/// Whether the secret is letters and separators whose case hardly ever changes. Random base64 of this
/// length nearly always has a digit, and changes case at every second letter.
fn is_words(secret: &[u8]) -> bool {
    let wordlike = |byte: &u8| byte.is_ascii_alphabetic() || b" \t-_.,:;!?'".contains(byte);
    let switches =
        secret.windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    secret.iter().all(wordlike) && switches.count() * 8 < secret.len()
}

/// Whether one of the words that stand in documentation is part of the secret.
fn has_placeholder(secret: &[u8]) -> bool {
    let lower = secret.to_ascii_lowercase();
    let contains = |word: &&str| lower.windows(word.len()).any(|part| part == word.as_bytes());
    ["change", "secret", "password", "example", "cluster"].iter().any(contains)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    const GOOD: &[u8] = b"q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiOoTzVwBk=\n";

    fn weak(bytes: &[u8]) -> WeakSecret {
        ClusterSecret::parse(bytes).unwrap_err()
    }

    #[test]
    fn weak_secrets_are_refused_by_name() {
        assert_eq!(weak(b"too short\n"), WeakSecret::TooShort(9));
        assert_eq!(weak(&[b'a'; 40]), WeakSecret::FewDistinctBytes(1));
        assert_eq!(weak(&[0; 64]), WeakSecret::FewDistinctBytes(1));
        assert_eq!(weak(b"abababcabcabcabdabdabdabababcababc"), WeakSecret::FewDistinctBytes(4));
        assert_eq!(weak(b"0123456789abcdef0123456789abcdef"), WeakSecret::Repeated(16));
        assert_eq!(weak(b"abcdefghijklmnopqrstuvwxyz0123456789"), WeakSecret::Sequence);
        assert_eq!(weak(b"correct horse battery staple over the lazy dog"), WeakSecret::PlainWords);
        assert_eq!(weak(b"Correct-Horse-Battery-Staple-Over-The-Dog"), WeakSecret::PlainWords);
        assert_eq!(weak(b"CHANGE-ME-93nf93nf0sl2-38dn39d02n-1"), WeakSecret::PlainWords);
    }

    #[test]
    fn random_secrets_pass_in_the_usual_forms() {
        assert!(ClusterSecret::parse(GOOD).is_ok());
        assert!(ClusterSecret::parse(b"9f1c04be7735a2d860e1f48b2c96d30a5e7b18c4f0d29a63").is_ok());
        let raw: Vec<u8> =
            (0..32u8).map(|i| i.wrapping_mul(167) ^ i.wrapping_mul(i).rotate_left(3)).collect();
        assert!(ClusterSecret::parse(&raw).is_ok());
    }

    #[test]
    fn a_line_end_does_not_change_what_is_derived_but_the_label_does() {
        let (with, without) =
            (ClusterSecret::parse(GOOD).unwrap(), ClusterSecret::parse(GOOD.trim_ascii()).unwrap());
        assert_eq!(with.derive("a"), without.derive("a"));
        assert_ne!(with.derive("a"), with.derive("b"));
        assert_eq!(with.fingerprint(), without.fingerprint());
        assert_eq!(
            with.fingerprint().to_string(),
            "122ac492479d",
            "members compare it, also with older ones"
        );
    }

    #[test]
    fn neither_debug_nor_the_refusal_shows_the_secret() {
        let secret = ClusterSecret::parse(GOOD).unwrap();
        assert_eq!(format!("{secret:?}"), "ClusterSecret(..)");
        let text = weak(b"password password password password").to_string();
        assert!(!text.contains("password") && text.contains("/dev/urandom"), "{text}");
    }
}
