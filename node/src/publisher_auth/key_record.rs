//! The key that a domain publishes for its publishers: `v=MCPv1; k=ed25519; p=<base64>`.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hapi_descriptor::Jwk;

/// A point of the curve P-384 in compressed form (SEC 1 §2.3.3).
const P384_BYTES: usize = 49;

/// The public key in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyRecord {
    Ed25519(Box<Jwk>),
    /// With signatures as `r || s`, over SHA-384.
    P384([u8; P384_BYTES]),
}

impl KeyRecord {
    /// The first record in `text`, if there is one with a sound key. What stands around it is passed over, as the
    /// official registry does: names have other TXT records, and files have line ends.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("v=MCPv1;")?;
        let (kind, rest) = rest.trim_start().strip_prefix("k=")?.split_once(';')?;
        let rest = rest.trim_start().strip_prefix("p=")?;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        let length = rest.bytes().take_while(|byte| is_base64(*byte)).count();
        Self::read(kind.trim_end(), &BASE64_STANDARD.decode(&rest[..length]).ok()?)
    }

    fn read(kind: &str, bytes: &[u8]) -> Option<Self> {
        match kind {
            "ed25519" => {
                let key = Jwk::from_public_bytes(bytes.try_into().ok()?).ok()?;
                Some(Self::Ed25519(Box::new(key)))
            }
            "ecdsap384" => {
                let point: [u8; P384_BYTES] = bytes.try_into().ok()?;
                matches!(point[0], 2 | 3).then_some(Self::P384(point))
            }
            _ => None,
        }
    }

    /// Whether `signature` is this key's, of `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => {
                signature.try_into().is_ok_and(|signature| key.verifies(message, signature))
            }
            Self::P384(point) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use aws_lc_rs::{
        encoding::{AsBigEndian, EcPublicKeyCompressedBin},
        rand::SystemRandom,
        signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
    };

    const MESSAGE: &[u8] = b"2026-11-26T12:00:00Z";

    fn record(kind: &str, key: &[u8]) -> String {
        format!("v=MCPv1; k={kind}; p={}", BASE64_STANDARD.encode(key))
    }

    #[test]
    fn a_signature_of_an_ed25519_key_is_known_by_its_record() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = KeyRecord::find(&record("ed25519", pair.public_key().as_ref())).unwrap();
        let signature = pair.sign(MESSAGE);
        assert!(key.verifies(MESSAGE, signature.as_ref()));
        assert!(!key.verifies(b"2026-11-26T12:00:01Z", signature.as_ref()));
        assert!(!key.verifies(MESSAGE, &signature.as_ref()[..63]));
    }

    #[test]
    fn a_signature_of_a_p384_key_is_known_by_its_record() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let point = AsBigEndian::<EcPublicKeyCompressedBin<'_>>::as_be_bytes(pair.public_key()).unwrap();
        let key = KeyRecord::find(&record("ecdsap384", point.as_ref())).unwrap();
        let signature = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
        assert!(key.verifies(MESSAGE, signature.as_ref()));
        assert!(!key.verifies(b"x", signature.as_ref()));
        assert!(!key.verifies(MESSAGE, &[0; 96]));
    }

    #[test]
    fn a_record_may_be_written_with_other_spaces_and_among_other_text() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let text = BASE64_STANDARD.encode(pair.public_key());
        for record in [
            format!("v=MCPv1;k=ed25519;p={text}"),
            format!("v=MCPv1;  k=ed25519;\tp={text}\r\n"),
            format!("\"v=MCPv1; k=ed25519; p={text}\""),
        ] {
            assert!(KeyRecord::find(&record).is_some(), "{record}");
        }
    }

    #[test]
    fn junk_is_no_record() {
        let (zeros, short) = (BASE64_STANDARD.encode([0; 32]), BASE64_STANDARD.encode([7; 31]));
        let uncompressed = BASE64_STANDARD.encode([4; 49]);
        for text in [
            "",
            "v=spf1 -all",
            "v=MCPv1",
            "v=MCPv1; k=ed25519",
            "v=MCPv1; k=ed25519; p=",
            "v=MCPv1; p=AAAA; k=ed25519",
            &format!("v=MCPv2; k=ed25519; p={zeros}"),
            &format!("v=MCPv1; k=rsa; p={zeros}"),
            // A point of small order, for which anybody can sign.
            &format!("v=MCPv1; k=ed25519; p={zeros}"),
            &format!("v=MCPv1; k=ed25519; p={short}"),
            &format!("v=MCPv1; k=ecdsap384; p={uncompressed}"),
        ] {
            assert_eq!(KeyRecord::find(text), None, "{text}");
        }
    }
}
