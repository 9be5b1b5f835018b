//! Ed25519 public keys as JSON Web Keys (RFC 7517, RFC 8037).

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::base64url;
use crate::json::{self, Object};

/// A public key, proven to be a sound Ed25519 key and named by its thumbprint.
///
/// As JSON it is a JWK; [`Jwk::public_bytes`] is its form for any other encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    key: VerifyingKey,
    kid: String,
}

/// Why something is not an Ed25519 public key that may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum JwkError {
    /// Another kind of key, or one for another use. A set may hold such keys for others; they are passed
    /// over.
    #[error("not a key for Ed25519 signatures")]
    Unsupported,
    /// Not a JSON object with unique keys, or `x` is not the canonical encoding of a point in 32 bytes.
    #[error("the key is malformed")]
    Malformed,
    /// The point has small order: for such a key a signature can be made that verifies for almost any
    /// message.
    #[error("the key is weak")]
    Weak,
    /// The member `d` is present: a private key was sent where only its public half belongs.
    #[error("the key contains its private half")]
    PrivateHalf,
    /// `kid` is present and is not the key's RFC 7638 thumbprint.
    #[error("`kid` is not the key's thumbprint")]
    KidMismatch,
}

impl Jwk {
    /// Takes the 32 bytes of RFC 8032 §5.1.5.
    pub fn from_public_bytes(bytes: &[u8; 32]) -> Result<Self, JwkError> {
        if !is_canonical(bytes) {
            return Err(JwkError::Malformed);
        }
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| JwkError::Malformed)?;
        if key.is_weak() {
            return Err(JwkError::Weak);
        }
        Ok(Self { kid: thumbprint(bytes), key })
    }

    /// Parses one JWK. `use`, `alg` and `kid` may be absent; where present they must fit.
    pub fn from_json(bytes: &[u8]) -> Result<Self, JwkError> {
        json::object(bytes).map_err(|_| JwkError::Malformed).and_then(|object| Self::from_object(&object))
    }

    pub(crate) fn from_object(object: &Object) -> Result<Self, JwkError> {
        let says = |member: &str| object.get(member).map(|value| value.as_str().unwrap_or_default());
        let absent_or = |member: &str, expected: &str| says(member).is_none_or(|value| value == expected);
        let ed25519 = says("kty") == Some("OKP") && says("crv") == Some("Ed25519");
        if !ed25519 || !absent_or("use", "sig") || !absent_or("alg", "EdDSA") {
            return Err(JwkError::Unsupported);
        }
        if object.contains_key("d") {
            return Err(JwkError::PrivateHalf);
        }
        let x = says("x").and_then(base64url::decode_array).ok_or(JwkError::Malformed)?;
        let jwk = Self::from_public_bytes(&x)?;
        if absent_or("kid", &jwk.kid) { Ok(jwk) } else { Err(JwkError::KidMismatch) }
    }

    /// The RFC 7638 thumbprint, which is the key's only name: no set can give one name to two keys.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The 32 bytes of RFC 8032 §5.1.5.
    pub fn public_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether `signature` is this key's canonical signature of `message`. Stricter than RFC 8032 §5.1.7,
    /// which leaves some room to alter a signature: small-order points and an unreduced `S` are refused.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// Whether the encoded `y` is below the field's prime, 2^255 - 19 (the top bit is the sign of `x`).
///
/// The curve library takes any encoding that decompresses (ZIP-215), and would so let one key have two
/// thumbprints.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    bytes[31] & 0x7f != 0x7f || bytes[1..31].iter().any(|byte| *byte != 0xff) || bytes[0] < 0xed
}

/// RFC 7638 §3 over the members that RFC 8037 §2 requires, in lexicographic order.
fn thumbprint(public: &[u8; 32]) -> String {
    let x = base64url::encode(public);
    base64url::encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// The members that a published key has, in the order in which they are written.
#[derive(Serialize)]
struct Members<'a> {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: &'a str,
    r#use: &'static str,
    alg: &'static str,
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let x = base64url::encode(self.public_bytes());
        Members { kty: "OKP", crv: "Ed25519", x, kid: &self.kid, r#use: "sig", alg: "EdDSA" }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = match Value::deserialize(deserializer)? {
            Value::Object(object) => object,
            _ => return Err(de::Error::custom(JwkError::Malformed)),
        };
        Self::from_object(&object).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    /// The public key of RFC 8037 Appendix A.2, and its thumbprint from A.3.
    const RFC_KEY: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const RFC_THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    fn error(json: &str) -> JwkError {
        Jwk::from_json(json.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_kid_is_the_thumbprint_of_rfc_8037() {
        assert_eq!(Jwk::from_json(RFC_KEY.as_bytes()).unwrap().kid(), RFC_THUMBPRINT);
    }

    #[test]
    fn a_key_survives_its_json() {
        let jwk = Jwk::from_json(RFC_KEY.as_bytes()).unwrap();
        let json = serde_json::to_string(&jwk).unwrap();
        assert_eq!(serde_json::from_str::<Jwk>(&json).unwrap(), jwk);
        assert_eq!(Jwk::from_public_bytes(jwk.public_bytes()), Ok(jwk));
    }

    #[test]
    fn other_kinds_and_other_uses_are_unsupported() {
        for change in [r#","use":"enc"}"#, r#","alg":"ES256"}"#, r#","use":1}"#] {
            assert_eq!(error(&RFC_KEY.replace('}', change)), JwkError::Unsupported, "{change}");
        }
        assert_eq!(error(&RFC_KEY.replace("Ed25519", "X25519")), JwkError::Unsupported);
        assert_eq!(error(r#"{"kty":"RSA","n":"AQ","e":"AQAB"}"#), JwkError::Unsupported);
    }

    #[test]
    fn a_private_key_is_turned_away() {
        assert_eq!(
            error(&RFC_KEY.replace('}', r#","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#)),
            JwkError::PrivateHalf
        );
    }

    #[test]
    fn a_name_that_is_not_the_thumbprint_is_refused() {
        assert_eq!(error(&RFC_KEY.replace('}', r#","kid":"key-1"}"#)), JwkError::KidMismatch);
    }

    #[test]
    fn every_small_order_point_is_weak() {
        let order_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
        let bytes: Vec<u8> =
            (0..64).step_by(2).map(|i| u8::from_str_radix(&order_8[i..i + 2], 16).unwrap()).collect();
        let mut identity = [0; 32];
        identity[0] = 1;
        for point in [bytes.try_into().unwrap(), identity, [0; 32]] {
            assert_eq!(Jwk::from_public_bytes(&point), Err(JwkError::Weak));
        }
    }

    #[test]
    fn a_second_encoding_of_a_point_is_malformed() {
        for low in 0xed..=0xff_u8 {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, 0x7f);
            assert_eq!(Jwk::from_public_bytes(&bytes), Err(JwkError::Malformed), "{low:x}");
        }
    }

    #[test]
    fn x_is_32_bytes() {
        for x in
            ["", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="]
        {
            assert_eq!(
                error(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)),
                JwkError::Malformed,
                "{x}"
            );
        }
    }
}
