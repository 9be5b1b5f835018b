//! The private half: from claims to a signed descriptor.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::Serialize;
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::base64url;
use crate::claims::Claims;
use crate::jwk::Jwk;
use crate::jws::Typ;
use crate::revocations::Revocations;

/// A node's signing key. Its secrets are overwritten when it is dropped, and its `Debug` shows only the name.
///
/// The key is kept expanded (RFC 8032 §5.1.5), which spares a hash per signature. Public and private half
/// come from one seed, here and nowhere else: signing with a pair that does not belong together would give
/// the private key away.
pub struct Signer {
    secret: ExpandedSecretKey,
    public: VerifyingKey,
    jwk: Jwk,
}

impl Signer {
    /// Makes the key pair of a seed (RFC 8032 §5.1.5): 32 bytes from a cryptographic source of chance.
    #[expect(clippy::expect_used, reason = "the public half of any seed is a canonical point of large order")]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        let public = SigningKey::from_bytes(&seed).verifying_key();
        let jwk = Jwk::from_public_bytes(public.as_bytes()).expect("a derived public key is sound");
        Self { secret: ExpandedSecretKey::from(&*seed), public, jwk }
    }

    /// The name of the key: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        self.jwk.kid()
    }

    /// The public half.
    pub fn public_jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs a descriptor.
    #[expect(
        clippy::expect_used,
        reason = "a claim set has string keys and no floats, so it always serialises"
    )]
    pub fn sign(&self, claims: &Claims) -> String {
        self.sign_as(Typ::Descriptor, claims).expect("a claim set serialises")
    }

    /// Signs a message of the revocation feed.
    #[expect(
        clippy::expect_used,
        reason = "a message has string keys and no floats, so it always serialises"
    )]
    pub fn sign_revocations(&self, revocations: &Revocations) -> String {
        self.sign_as(Typ::Revocations, revocations).expect("a message serialises")
    }

    /// Signs another statement of the cluster. It must be a JSON object, or [`open`](crate::open) will refuse
    /// it.
    ///
    /// # Errors
    ///
    /// When `payload` does not serialise to JSON.
    pub fn sign_as(&self, typ: Typ, payload: &impl Serialize) -> Result<String, serde_json::Error> {
        let payload = serde_json::to_vec(payload)?;
        let mut statement = base64url::encode(typ.header(self.kid()));
        statement.push('.');
        statement.push_str(&base64url::encode(payload));
        let signature = raw_sign::<Sha512>(&self.secret, statement.as_bytes(), &self.public);
        statement.push('.');
        statement.push_str(&base64url::encode(signature.to_bytes()));
        Ok(statement)
    }
}

impl Signer {
    /// Signs the delivery of a webhook as Standard Webhooks do with Ed25519: `v1a,` and the signature of id, seconds
    /// and body, with dots between them, in base64.
    ///
    /// No other statement can be taken for one: what is signed as a JWS has one dot and is base64url beside it, and a
    /// body is a JSON object.
    pub fn sign_webhook(&self, id: &str, seconds: u64, body: &str) -> String {
        debug_assert!(body.starts_with('{'), "a body is a JSON object");
        let message = format!("{id}.{seconds}.{body}");
        let signature = raw_sign::<Sha512>(&self.secret, message.as_bytes(), &self.public);
        format!("v1a,{}", BASE64_STANDARD.encode(signature.to_bytes()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_delivery_is_signed_over_id_instant_and_body() {
        let signer = Signer::from_seed([42; 32].into());
        let (id, body) = ("evt_1_7", r#"{"type":"version.publish"}"#);
        let text = signer.sign_webhook(id, 1_800_000_000, body);
        let signature = BASE64_STANDARD.decode(text.strip_prefix("v1a,").unwrap()).unwrap();
        let signature: [u8; 64] = signature.try_into().unwrap();
        let verifies = |message: &str| signer.public_jwk().verifies(message.as_bytes(), &signature);
        assert!(verifies(&format!("evt_1_7.1800000000.{body}")));
        assert!(!verifies(&format!("evt_1_8.1800000000.{body}")));
        assert!(!verifies(&format!("evt_1_7.1800000001.{body}")));
    }
}
