//! Descriptors that verify.

use serde_json::{Value, json};

use crate::forge::{
    NOW, b64, header, honest, jwk, jwks, key, other_key, payload, seal, with_padding, with_payload,
};
use crate::vector::Vector;

pub(crate) fn vectors() -> Vec<Vector> {
    [forms(), times(), key_sets()].concat()
}

fn accept(name: &str, what: &str, change: impl FnOnce(&mut Value)) -> Vector {
    Vector::accept(name, what, jwks(), with_payload(change))
}

fn forms() -> Vec<Vector> {
    // Base64url skips every fourth length, so the longest may fall one short of 8192 bytes.
    let longest = (5000..6000).map(with_padding).rfind(|descriptor| descriptor.len() <= 8192).unwrap();
    let spaced = serde_json::to_string_pretty(&payload()).unwrap() + " \n";
    let kid = &header()["kid"];
    let reordered = format!(r#"{{ "kid": {kid}, "typ": "at\u002bjwt", "alg": "EdDSA" }}"#);
    vec![
        accept("honest", "an ordinary descriptor", |_| {}),
        accept("no_optional_claims", "tenant, jwks_uri and tls_pin_sha256 may be absent", |p| {
            p["client"].as_object_mut().unwrap().remove("tenant");
            p["mcp"]["server"].as_object_mut().unwrap().remove("jwks_uri");
            p["mcp"]["server"].as_object_mut().unwrap().remove("tls_pin_sha256");
        }),
        Vector::accept("longest", "a descriptor as long as may be", jwks(), longest),
        accept("unverified_server", "verified may be false: it is a fact, not a demand", |p| {
            p["mcp"]["server"]["verified"] = json!(false);
        }),
        accept("unknown_claims", "claims that are not known are ignored", |p| {
            p["azp"] = json!("agent-7");
            p["mcp"]["region"] = json!({"name": "eu"});
        }),
        accept("more_scopes", "the scope may hold more than mcp:connect", |p| {
            p["scope"] = json!("openid mcp:connect");
        }),
        accept("seq_highest", "seq may be 2^53 - 1", |p| p["seq"] = json!((1_u64 << 53) - 1)),
        accept("unicode", "identifiers are any Unicode text", |p| {
            p["client"]["tenant"] = json!("Łódź \u{1F682}");
        }),
        Vector::accept(
            "spaces_in_payload",
            "white space inside the JSON is of no account",
            jwks(),
            seal(&header().to_string(), &spaced),
        ),
        Vector::accept(
            "header_spelling",
            "order, spaces and escapes of the header are of no account",
            jwks(),
            seal(&reordered, &payload().to_string()),
        ),
        accept("any_server", "no server need be expected", |p| {
            p["mcp"]["server"]["id"] = json!("ai.acme/other")
        })
        .expecting(|expect| expect.server = None),
    ]
}

fn times() -> Vec<Vector> {
    vec![
        accept("lifetime_longest", "a life of 120 s", |p| p["exp"] = json!(NOW + 120)),
        accept("lifetime_shortest", "a life of 1 s", |p| p["exp"] = json!(NOW + 1)),
        accept("exp_last_second", "exp + 5 s is the first instant at which it is dead", |_| {}).at(NOW + 64),
        accept("iat_first_second", "a clock 5 s behind the issuer's", |_| {}).at(NOW - 5),
        accept("nbf_first_second", "nbf may be 5 s ahead", |p| p["nbf"] = json!(NOW + 5)),
        accept("nbf_at_iat", "nbf may equal iat", |p| p["nbf"] = json!(NOW)),
    ]
}

fn key_sets() -> Vec<Vector> {
    let (known, other) = (jwk(key().verifying_key().as_bytes()), jwk(other_key().verifying_key().as_bytes()));
    let rsa = json!({"kty": "RSA", "n": "AQ", "e": "AQAB", "kid": "1"});
    let for_encryption = json!({"kty": "OKP", "crv": "X25519", "x": b64([9; 32]), "use": "enc"});
    let bare = json!({"kty": "OKP", "crv": "Ed25519", "x": known["x"]});
    vec![
        Vector::accept(
            "keys_several",
            "the key is found by its kid",
            json!({"keys": [other, known]}),
            honest(),
        ),
        Vector::accept(
            "keys_for_others",
            "keys of other kinds are passed over",
            json!({"keys": [rsa, for_encryption, known]}),
            honest(),
        ),
        Vector::accept(
            "key_bare",
            "kid, use and alg of a key may be absent",
            json!({"keys": [bare]}),
            honest(),
        ),
    ]
}
