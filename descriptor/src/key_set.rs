//! The public keys that an issuer's statements verify with.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::json::{self, Object};
use crate::jwk::{Jwk, JwkError};

/// The longest JWK set that is read, in bytes.
///
/// A set comes over the network, perhaps from whoever stands between. A published key takes about 200 bytes
/// and a node has at most a few, so this holds the keys of a hundred nodes, and costs a reader nothing.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;

/// A JWK set (RFC 7517 §5), of the keys that are of use here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(BTreeMap<String, Jwk>);

/// Why a document is not a key set. Keep the set that you had: a set that its issuer cannot have meant is no
/// reason to trust fewer keys, nor more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// Longer than [`MAX_JWKS_BYTES`].
    #[error("the key set is too long")]
    Oversize,
    /// Not a JSON object with an array `keys` of objects, or some key in it stands twice.
    #[error("the key set is malformed")]
    Malformed,
    /// One key stands in the set twice.
    #[error("a key stands twice in the set")]
    DuplicateKid,
    /// An Ed25519 signature key in it is not sound.
    #[error("in the key set: {0}")]
    Key(#[from] JwkError),
}

impl KeySet {
    /// Parses a JWK set. Keys of other kinds or for other uses are passed over (RFC 7517 §5).
    pub fn from_jwks(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > MAX_JWKS_BYTES {
            return Err(KeySetError::Oversize);
        }
        let document = json::object(bytes).map_err(|_| KeySetError::Malformed)?;
        let keys = document.get("keys").and_then(|keys| keys.as_array()).ok_or(KeySetError::Malformed)?;
        let mut set = Self::default();
        for key in keys {
            set.add(key.as_object().ok_or(KeySetError::Malformed)?)?;
        }
        Ok(set)
    }

    fn add(&mut self, key: &Object) -> Result<(), KeySetError> {
        let jwk = match Jwk::from_object(key) {
            Err(JwkError::Unsupported) => return Ok(()),
            parsed => parsed?,
        };
        let former = self.0.insert(jwk.kid().to_owned(), jwk);
        if former.is_none() { Ok(()) } else { Err(KeySetError::DuplicateKid) }
    }

    /// The set as JSON, keys ordered by `kid`: the same keys give the same bytes on every node, and so one
    /// ETag.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// The key of that name.
    pub fn get(&self, kid: &str) -> Option<&Jwk> {
        self.0.get(kid)
    }

    /// The keys, ordered by `kid`.
    pub fn iter(&self) -> impl Iterator<Item = &Jwk> {
        self.0.values()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key, so that nothing can verify.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Jwk> for KeySet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        Self(keys.into_iter().map(|jwk| (jwk.kid().to_owned(), jwk)).collect())
    }
}

impl Serialize for KeySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            keys: Vec<&'a Jwk>,
        }
        Document { keys: self.0.values().collect() }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const OTHER: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}"#;

    fn set(keys: &[&str]) -> Result<KeySet, KeySetError> {
        KeySet::from_jwks(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    #[test]
    fn the_order_of_the_keys_does_not_change_the_bytes() {
        let one = set(&[KEY, OTHER]).unwrap();
        assert_eq!(one.to_json(), set(&[OTHER, KEY]).unwrap().to_json());
        assert_eq!(KeySet::from_jwks(one.to_json().as_bytes()), Ok(one));
    }

    #[test]
    fn keys_for_others_are_passed_over() {
        let rsa = r#"{"kty":"RSA","n":"AQ","e":"AQAB","kid":"1"}"#;
        assert_eq!(set(&[rsa, KEY, &OTHER.replace('}', r#","use":"enc"}"#)]), set(&[KEY]));
    }

    #[test]
    fn a_set_that_cannot_be_meant_is_refused_whole() {
        assert_eq!(set(&[KEY, KEY]), Err(KeySetError::DuplicateKid));
        assert_eq!(set(&[KEY, &OTHER.replace("PUAX", "AAAA")]), Err(KeySetError::Key(JwkError::Malformed)));
        assert_eq!(set(&["1"]), Err(KeySetError::Malformed));
        assert_eq!(KeySet::from_jwks(br#"{"keys":[],"keys":[]}"#), Err(KeySetError::Malformed));
        assert_eq!(KeySet::from_jwks(&[b' '; MAX_JWKS_BYTES + 1]), Err(KeySetError::Oversize));
    }
}
