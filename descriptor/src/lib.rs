//! The Connect Descriptor: a short-lived, signed statement that one client may connect to one MCP server now.
//!
//! It is a JWS in compact serialisation (RFC 7515), signed with Ed25519 (RFC 8037), whose claims have the
//! shape of an OAuth access token (RFC 9068). It is a boarding pass, not a passport: it names no human and
//! authorizes no tool.
//!
//! This crate is pure. The instant, the random bits and the key set are arguments, so that every verdict can
//! be repeated from a file; `vectors/` holds such files, one fact each, for this and for any other
//! implementation.
//!
//! - [`Claims`] is what a descriptor says; [`Signer`] (feature `signer`) turns it into a signed descriptor.
//! - [`verify`] is the only way back, and needs a [`KeySet`] and [`Expectations`].
//! - [`Refusal`] is why a descriptor was not accepted, with the HTTP status and the machine code to answer.
//! - [`Revocations`] is a message of the revocation feed, and [`Floors`] what all messages so far have killed.
//! - [`open`] and [`Typ`] serve the other statements that the same keys sign.
//!
//! ```
//! # #[cfg(feature = "signer")] {
//! use hapi_descriptor::*;
//!
//! let signer = Signer::from_seed([42; 32].into()); // 32 random bytes, in earnest
//! let claims = Claims {
//!     iss: "https://registry.example".into(),
//!     aud: "https://payments.example/mcp".into(),
//!     iat: 1_800_000_000,
//!     exp: 1_800_000_060,
//!     jti: Jti::new([7; 16]),
//!     scope: SCOPE_CONNECT.into(),
//!     server: ServerClaim {
//!         id: "ai.acme/payments".into(),
//!         version: "2.1.0".into(),
//!         verified: true,
//!         jwks_uri: None,
//!         tls_pin_sha256: None,
//!     },
//!     client: ClientClaim { id: "agent-7".into(), tenant: None },
//!     seq: Seq::from_parts(1, 48_121).unwrap(),
//! };
//! let descriptor = signer.sign(&claims);
//!
//! let keys: KeySet = [signer.public_jwk().clone()].into_iter().collect();
//! let expected =
//!     Expectations { issuer: "https://registry.example", audience: "https://payments.example/mcp", server: None };
//! assert_eq!(verify(&descriptor, &keys, &expected, 1_800_000_001).unwrap().claims, claims);
//! assert_eq!(verify(&descriptor, &keys, &expected, 1_800_000_065), Err(Refusal::Expired));
//! # }
//! ```

mod base64url;
mod claims;
mod json;
mod jwk;
mod jws;
mod key_set;
mod refusal;
pub mod revocations;
mod seq;
#[cfg(feature = "signer")]
mod signer;
mod verifier;
mod wire;

pub use claims::{Claims, ClientClaim, Jti, SCOPE_CONNECT, ServerClaim, TRANSPORT};
pub use jwk::{Jwk, JwkError};
pub use jws::{Opened, Typ, open};
pub use key_set::{KeySet, KeySetError, MAX_JWKS_BYTES};
pub use refusal::Refusal;
pub use revocations::{
    Dead, Floors, MAX_FLOORS, REVOCATIONS_LIFETIME_SECONDS, Revocations, Stale, subject_hash,
    verify_revocations, verify_signed_revocations,
};
pub use seq::Seq;
#[cfg(feature = "signer")]
pub use signer::Signer;
pub use verifier::{
    Expectations, KEY_REFETCH_SECONDS, LEEWAY_SECONDS, MAX_LIFETIME_SECONDS, Verified, verify,
};
