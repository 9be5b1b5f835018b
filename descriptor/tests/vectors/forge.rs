//! Makes descriptors of any shape, honest or not, with nothing of the crate under test.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISS: &str = "https://registry.acme.example";
pub(crate) const AUD: &str = "https://payments.acme.example/mcp";
pub(crate) const SERVER: &str = "ai.acme/payments";

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key that the verifier knows.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// Another sound key, which it does not know.
pub(crate) fn other_key() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

pub(crate) fn thumbprint(public: &[u8]) -> String {
    b64(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(public))))
}

pub(crate) fn kid(key: &SigningKey) -> String {
    thumbprint(key.verifying_key().as_bytes())
}

pub(crate) fn jwk(public: &[u8]) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": b64(public), "kid": thumbprint(public), "use": "sig", "alg": "EdDSA"})
}

/// The key set that the verifier knows.
pub(crate) fn jwks() -> Value {
    json!({"keys": [jwk(key().verifying_key().as_bytes())]})
}

pub(crate) fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid(&key())})
}

/// The payload of an honest descriptor, issued at [`NOW`] for 60 s.
pub(crate) fn payload() -> Value {
    json!({
        "iss": ISS, "sub": "client:agent-7", "client_id": "agent-7", "aud": AUD,
        "iat": NOW, "nbf": NOW - 5, "exp": NOW + 60,
        "jti": b64([7; 16]), "scope": "mcp:connect",
        "mcp": {
            "transport": "streamable_http", "endpoint": AUD,
            "server": {
                "id": SERVER, "version": "2.1.0", "verified": true,
                "jwks_uri": "https://payments.acme.example/jwks.json", "tls_pin_sha256": b64([9; 32]),
            },
        },
        "client": {"id": "agent-7", "tenant": "acme"},
        "seq": (1_u64 << 40) + 48_121,
    })
}

/// Signs a header and a payload, whatever they say.
pub(crate) fn seal(header: &str, payload: &str) -> String {
    seal_with(&key(), header, payload)
}

pub(crate) fn seal_with(key: &SigningKey, header: &str, payload: &str) -> String {
    sign_input(key, &format!("{}.{}", b64(header), b64(payload)))
}

/// Signs what would stand before the last dot.
pub(crate) fn sign_input(key: &SigningKey, input: &str) -> String {
    format!("{input}.{}", b64(key.sign(input.as_bytes()).to_bytes()))
}

/// An honest descriptor but for one change of its payload.
pub(crate) fn with_payload(change: impl FnOnce(&mut Value)) -> String {
    let mut payload = payload();
    change(&mut payload);
    seal(&header().to_string(), &payload.to_string())
}

/// An honest descriptor but for one change of its header.
pub(crate) fn with_header(change: impl FnOnce(&mut Value)) -> String {
    let mut header = header();
    change(&mut header);
    seal(&header.to_string(), &payload().to_string())
}

/// An honest descriptor with an unknown claim of that many bytes.
pub(crate) fn with_padding(length: usize) -> String {
    with_payload(|payload| payload["padding"] = json!("x".repeat(length)))
}

/// An honest descriptor.
pub(crate) fn honest() -> String {
    with_payload(|_| {})
}

pub(crate) fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
