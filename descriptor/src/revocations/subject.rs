//! What a floor is about, without telling whom.

use sha2::{Digest, Sha256};

use crate::base64url;

/// The name of a subject in the feed: the base64url of the SHA-256 over issuer, a zero byte, kind, a slash and id.
///
/// The kinds are `server` (`ns/name`), `version` (`ns/name@1.2.3`), `namespace`, `client` and `tenant`. The feed
/// is public and must not list private servers and clients: whoever holds a descriptor can look for its subjects,
/// and nobody can read them off. The issuer keeps two registries' names apart.
pub fn subject_hash(issuer: &str, kind: &str, id: &str) -> String {
    hash(issuer, kind, &[id])
}

/// Like [`subject_hash`], for an id in pieces.
pub(super) fn hash(issuer: &str, kind: &str, id: &[&str]) -> String {
    let mut hash = Sha256::new();
    for piece in [issuer, "\0", kind, "/"].iter().chain(id) {
        hash.update(piece.as_bytes());
    }
    base64url::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISS: &str = "https://registry.example";

    #[test]
    fn the_hash_is_over_the_four_parts_and_their_separators() {
        let by_hand = Sha256::digest(b"https://registry.example\0server/ai.acme/payments");
        assert_eq!(subject_hash(ISS, "server", "ai.acme/payments"), base64url::encode(by_hand));
        assert_eq!(hash(ISS, "version", &["ai.acme/payments", "@", "1.2.3"]), {
            subject_hash(ISS, "version", "ai.acme/payments@1.2.3")
        });
    }

    #[test]
    fn kinds_and_issuers_are_kept_apart() {
        let client = subject_hash(ISS, "client", "acme");
        assert_ne!(client, subject_hash(ISS, "tenant", "acme"));
        assert_ne!(client, subject_hash("https://other.example", "client", "acme"));
        assert_eq!(client.len(), 43);
    }
}
