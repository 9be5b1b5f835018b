//! Descriptors whose signature or key is wrong, and key sets that are refused whole.

use curve25519_dalek::Scalar;
use ed25519_dalek::{Signature, SigningKey, Verifier as _};
use hapi_descriptor::Refusal;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use crate::forge::{
    b64, header, honest, jwk, jwks, key, kid, other_key, payload, seal, seal_with, sign_input, thumbprint,
    unb64, with_header, with_payload,
};
use crate::vector::Vector;

/// The order of Ed25519's group, little-endian (RFC 8032 §5.1).
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The neutral point's encoding.
const IDENTITY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

pub(crate) fn vectors() -> Vec<Vector> {
    [signatures(), keys(), key_sets()].concat()
}

fn reject(name: &str, what: &str, refusal: Refusal, descriptor: String) -> Vector {
    Vector::accept(name, what, jwks(), descriptor).refused(refusal)
}

/// Replaces the signature of an honest descriptor.
fn resigned(change: impl FnOnce(&[u8], [u8; 64]) -> Vec<u8>) -> String {
    let honest = honest();
    let (input, signature) = honest.rsplit_once('.').unwrap();
    let signature = unb64(signature).try_into().unwrap();
    format!("{input}.{}", b64(change(input.as_bytes(), signature)))
}

fn signatures() -> Vec<Vector> {
    let reject = |name, what, descriptor| reject(name, what, Refusal::Signature, descriptor);
    let flipped = |byte: usize| {
        resigned(|_, mut signature| {
            signature[byte] ^= 1;
            signature.to_vec()
        })
    };
    let claims_swapped = |descriptor: String| {
        let (honest, changed) = (honest(), descriptor);
        let payload = changed.split('.').nth(1).unwrap();
        let parts: Vec<_> = honest.split('.').collect();
        format!("{}.{payload}.{}", parts[0], parts[2])
    };
    vec![
        reject("signature_bit_r", "a bit of R is flipped", flipped(0)),
        reject("signature_bit_s", "a bit of S is flipped", flipped(32)),
        reject("signature_s_plus_l", "S is not reduced: S + L", resigned(plus_l)),
        reject("signature_small_order_r", "R is the neutral point", resigned(neutral_r)),
        reject("signature_zero", "64 zero bytes", resigned(|_, _| vec![0; 64])),
        reject("signature_empty", "an empty signature", resigned(|_, _| Vec::new())),
        reject("signature_short", "63 bytes", resigned(|_, signature| signature[..63].to_vec())),
        reject("signature_long", "65 bytes", resigned(|_, signature| [&signature[..], &[0]].concat())),
        reject(
            "signature_other_claims",
            "the signature of another payload",
            claims_swapped(with_payload(|p| p["exp"] = json!(1_800_000_061))),
        ),
        reject(
            "signature_other_key",
            "signed by another key than kid says",
            seal_with(&other_key(), &header().to_string(), &payload().to_string()),
        ),
        reject("signature_payload_only", "signed without the header", signed_payload_only()),
    ]
}

/// S + L satisfies the same equation, and a verifier that does not check the range takes it.
fn plus_l(_: &[u8], mut signature: [u8; 64]) -> Vec<u8> {
    let mut carry = 0_u16;
    for (byte, l) in signature[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(l) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    signature.to_vec()
}

/// With R neutral, S = k·a satisfies the equation. RFC 8032 would take it; a strict verifier does not.
fn neutral_r(input: &[u8], _: [u8; 64]) -> Vec<u8> {
    let key = key();
    let hash =
        Sha512::new().chain_update(IDENTITY).chain_update(key.verifying_key().as_bytes()).chain_update(input);
    let s = Scalar::from_bytes_mod_order_wide(&hash.finalize().into()) * key.to_scalar();
    let signature = [IDENTITY, s.to_bytes()].concat();
    let parsed = Signature::from_slice(&signature).unwrap();
    assert!(key.verifying_key().verify(input, &parsed).is_ok(), "a lenient verifier must take it");
    signature
}

fn signed_payload_only() -> String {
    let (head, body) = (b64(header().to_string()), b64(payload().to_string()));
    let signature = sign_input(&key(), &body).rsplit_once('.').unwrap().1.to_owned();
    format!("{head}.{body}.{signature}")
}

fn keys() -> Vec<Vector> {
    let own = SigningKey::from_bytes(&[3; 32]);
    let mut unknown = header();
    unknown["kid"] = json!(kid(&own));
    let reject = |name, what, descriptor| reject(name, what, Refusal::UnknownKey, descriptor);
    vec![
        reject(
            "kid_unknown",
            "a key that the set does not hold",
            seal_with(&own, &unknown.to_string(), &payload().to_string()),
        ),
        reject("kid_empty", "an empty kid", with_header(|h| h["kid"] = json!(""))),
        reject(
            "kid_padded",
            "the kid with padding",
            with_header(|h| h["kid"] = json!(format!("{}=", kid(&key())))),
        ),
        Vector::accept("key_set_empty", "a key set without keys", json!({"keys": []}), honest())
            .refused(Refusal::UnknownKey),
        Vector::accept(
            "key_for_encryption",
            "the key is in the set for encryption only",
            json!({"keys": [for_encryption()]}),
            honest(),
        )
        .refused(Refusal::UnknownKey),
    ]
}

fn for_encryption() -> Value {
    let mut jwk = jwk(key().verifying_key().as_bytes());
    jwk["use"] = json!("enc");
    jwk
}

fn key_sets() -> Vec<Vector> {
    let known = jwk(key().verifying_key().as_bytes());
    let with = |member: &str, value: Value| {
        let mut jwk = known.clone();
        jwk[member] = value;
        jwk
    };
    let refused =
        |name: &str, what: &str, keys: Value| Vector::accept(name, what, json!({"keys": keys}), honest());
    let mut weak_header = header();
    weak_header["kid"] = json!(thumbprint(&IDENTITY));
    let weak = seal(&weak_header.to_string(), &payload().to_string());
    let forged = format!("{}.{}", weak.rsplit_once('.').unwrap().0, b64([IDENTITY, [0; 32]].concat()));
    let mut second_encoding = [0xff; 32];
    (second_encoding[0], second_encoding[31]) = (0xf0, 0x7f);
    vec![
        Vector::accept(
            "key_set_weak_key",
            "a key of small order, and the signature that fits any text",
            json!({"keys": [jwk(&IDENTITY)]}),
            forged,
        )
        .key_set_refused("key_set_weak_key"),
        refused("key_set_duplicate", "a key stands twice in the set", json!([known, known]))
            .key_set_refused("key_set_duplicate"),
        refused("key_set_kid_mismatch", "a key under another name", json!([with("kid", json!("1"))]))
            .key_set_refused("key_set_kid_mismatch"),
        refused("key_set_private_half", "a private key in the set", json!([with("d", json!(b64([1; 32])))]))
            .key_set_refused("key_set_private_half"),
        refused("key_set_short_key", "x has 31 bytes", json!([with("x", json!(b64([1; 31])))]))
            .key_set_refused("key_set_malformed_key"),
        refused("key_set_second_encoding", "x encodes y + p", json!([jwk(&second_encoding)]))
            .key_set_refused("key_set_malformed_key"),
        refused("key_set_not_array", "keys is an object", known.clone()).key_set_refused("key_set_malformed"),
    ]
}
