//! What a browser keeps for us without being able to read or change it: encrypted and authenticated (AES-256-GCM) under
//! keys that all nodes of the cluster derive from its secret, so that any node opens what any other has closed.

use crate::{api::Api, clock};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

/// Closes and opens envelopes of one purpose. While the cluster secret is being changed there are two keys: the first
/// closes, both open, so that nobody is signed out by it.
pub(super) struct Envelopes {
    keys: Vec<[u8; 32]>,
    /// Authenticated beside the content, so that one of another purpose is never taken for one of this.
    purpose: &'static str,
}

impl Envelopes {
    pub(super) fn new(keys: Vec<[u8; 32]>, purpose: &'static str) -> Self {
        Self { keys, purpose }
    }

    /// Those of this cluster.
    pub(super) fn of(api: &Api, purpose: &'static str) -> Self {
        Self::new(api.replica.derive(purpose), purpose)
    }

    /// The text that stands for `content`. `None` for content that has no JSON, which cannot be.
    ///
    /// Nonces are drawn: 2^32 envelopes under one key are far more than the sessions of a cluster.
    pub(super) fn close(&self, content: &impl Serialize) -> Option<String> {
        let mut bytes = serde_json::to_vec(content).ok()?;
        let mut nonce = [0; NONCE_LEN];
        clock::fill_random(&mut nonce);
        let sealed = Nonce::assume_unique_for_key(nonce);
        key(self.keys.first()?)?.seal_in_place_append_tag(sealed, self.aad(), &mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &bytes].concat()))
    }

    /// What stands in `text`, if it was closed with one of the keys, for this purpose.
    pub(super) fn open<T: DeserializeOwned>(&self, text: &str) -> Option<T> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        self.keys.iter().find_map(|bytes| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut sealed = sealed.to_vec();
            let content = key(bytes)?.open_in_place(nonce, self.aad(), &mut sealed).ok()?;
            serde_json::from_slice(content).ok()
        })
    }

    fn aad(&self) -> Aad<&'static [u8]> {
        Aad::from(self.purpose.as_bytes())
    }
}

fn key(bytes: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn envelopes(keys: &[u8]) -> Envelopes {
        Envelopes::new(keys.iter().map(|byte| [*byte; 32]).collect(), "a test")
    }

    #[test]
    fn the_first_key_closes_and_each_opens() {
        let text = envelopes(&[8, 7]).close(&"a token").unwrap();
        assert!(!text.contains("token"));
        assert_eq!(envelopes(&[7, 8]).open::<String>(&text).unwrap(), "a token");
        assert_eq!(envelopes(&[8]).open::<String>(&text).unwrap(), "a token");
        assert_eq!(envelopes(&[7]).open::<String>(&text), None, "another secret");
        assert_ne!(envelopes(&[8]).close(&"a token").unwrap(), text, "the same is never closed alike");
    }

    #[test]
    fn what_was_altered_cut_or_meant_for_something_else_is_nothing() {
        let ours = envelopes(&[7]);
        let text = ours.close(&"a token").unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(ours.open::<String>(std::str::from_utf8(&bytes).unwrap()), None, "at {at}");
            assert_eq!(ours.open::<String>(&text[..at]), None, "cut at {at}");
        }
        let other = Envelopes::new(vec![[7; 32]], "something else");
        assert_eq!(other.open::<String>(&text), None);
        assert_eq!(ours.open::<String>("no base64!"), None);
    }
}
