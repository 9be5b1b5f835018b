//! Texts whose form or header is wrong.

use hapi_descriptor::Refusal;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::forge::{
    b64, header, honest, jwk, jwks, key, kid, other_key, payload, seal, seal_with, sign_input, with_header,
    with_padding, with_payload,
};
use crate::vector::Vector;

pub(crate) fn vectors() -> Vec<Vector> {
    [parts(), encodings(), texts(), algorithms(), types(), members()].concat()
}

fn reject(name: &str, what: &str, refusal: Refusal, descriptor: String) -> Vector {
    Vector::accept(name, what, jwks(), descriptor).refused(refusal)
}

fn parts() -> Vec<Vector> {
    let honest = honest();
    let two = honest.rsplit_once('.').unwrap().0.to_owned();
    let over = (5000..).map(with_padding).find(|descriptor| descriptor.len() > 8192).unwrap();
    vec![
        reject("empty", "no text at all", Refusal::Parts, String::new()),
        reject("parts_one", "no dot", Refusal::Parts, honest.replace('.', "")),
        reject("parts_two", "no signature part", Refusal::Parts, two),
        reject("parts_four", "four parts", Refusal::Parts, format!("{honest}.AA")),
        reject("parts_five", "five parts, as encrypted statements have", Refusal::Parts, "a.b.c.d.e".into()),
        reject("oversize", "longer than 8192 bytes, though well signed", Refusal::Oversize, over),
        reject("dots", "only dots", Refusal::Json, "..".into()),
    ]
}

/// Alters the last character of a part so that it decodes to the same bytes, but for bits that must be zero.
fn with_trailing_bits(part: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(part.len() % 4, 0, "the part has no unused bits");
    let (rest, last) = part.split_at(part.len() - 1);
    let value = ALPHABET.iter().position(|c| *c == last.as_bytes()[0]).unwrap();
    format!("{rest}{}", ALPHABET[value | 1] as char)
}

fn encodings() -> Vec<Vector> {
    let reject = |name, what, descriptor| reject(name, what, Refusal::Base64url, descriptor);
    let honest = honest();
    let (input, signature) = honest.rsplit_once('.').unwrap();
    // A payload whose length leaves unused bits, signed over the altered spelling: only the encoding is
    // wrong.
    let body =
        (0..3).map(|n| payload().to_string() + &" ".repeat(n)).find(|body| body.len() % 3 != 0).unwrap();
    let bits = |header: String, body: String| sign_input(&key(), &format!("{header}.{body}"));
    let head =
        (0..3).map(|n| header().to_string() + &" ".repeat(n)).find(|head| head.len() % 3 != 0).unwrap();
    // A payload that has characters outside of the common part of the two alphabets.
    let dashed = with_payload(|p| p["client"]["tenant"] = json!("~~~???>>>ÿÿÿ"));
    assert!(dashed.contains(['-', '_']));
    vec![
        reject(
            "base64_bits_signature",
            "unused bits of the signature part are not zero",
            format!("{input}.{}", with_trailing_bits(signature)),
        ),
        reject(
            "base64_bits_payload",
            "unused bits of the payload part are not zero",
            bits(b64(header().to_string()), with_trailing_bits(&b64(&body))),
        ),
        reject(
            "base64_bits_header",
            "unused bits of the header part are not zero",
            bits(with_trailing_bits(&b64(&head)), b64(&body)),
        ),
        reject("base64_padding", "the signature part is padded", format!("{honest}==")),
        reject(
            "base64_padding_payload",
            "the payload part is padded",
            bits(b64(header().to_string()), b64(&body) + ["", "", "=", "=="][4 - (b64(&body).len() % 4)]),
        ),
        reject("base64_alphabet", "the alphabet with + and /", dashed.replace('-', "+").replace('_', "/")),
        reject("base64_space_before", "a space before the text", format!(" {honest}")),
        reject("base64_newline_after", "a line end after the text", format!("{honest}\n")),
        reject("base64_space_within", "a space within", honest.replacen('.', ". ", 1)),
        reject("base64_length", "a part of a length that no bytes have", format!("{honest}AAA")),
        reject("base64_unicode", "a character beyond ASCII", format!("{honest}é")),
        reject("bearer_prefix", "the header's scheme left in front", format!("Bearer {honest}")),
    ]
}

fn texts() -> Vec<Vector> {
    use Refusal::{DuplicateKey, Json};
    let (head, body) = (header().to_string(), payload().to_string());
    let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let in_payload = |body: String| seal(&head, &body);
    let in_header = |head: String| seal(&head, &body);
    let nested = body.replacen(r#""server":{"#, r#""server":{"id":"ai.acme/evil","#, 1);
    let deep = body.replacen('{', &format!(r#"{{"deep":{}{},"#, "[".repeat(200), "]".repeat(200)), 1);
    vec![
        reject(
            "header_duplicate_alg",
            "alg stands twice",
            DuplicateKey,
            in_header(twice(&head, r#""alg":"none""#)),
        ),
        reject(
            "header_duplicate_same",
            "a key stands twice with one value",
            DuplicateKey,
            in_header(twice(&head, r#""alg":"EdDSA""#)),
        ),
        reject(
            "header_duplicate_escaped",
            "a key stands twice in two spellings",
            DuplicateKey,
            in_header(twice(&head, r#""\u0061lg":"none""#)),
        ),
        reject(
            "payload_duplicate_aud",
            "aud stands twice",
            DuplicateKey,
            in_payload(twice(&body, r#""aud":"https://evil.example/mcp""#)),
        ),
        reject("payload_duplicate_nested", "mcp.server.id stands twice", DuplicateKey, in_payload(nested)),
        reject(
            "payload_duplicate_unknown",
            "a key that nobody reads stands twice",
            DuplicateKey,
            in_payload(twice(&body, r#""x":[{"y":1,"y":1}]"#)),
        ),
        reject("payload_trailing_text", "text after the object", Json, in_payload(format!("{body}x"))),
        reject("payload_two_objects", "two objects", Json, in_payload(format!("{body}{body}"))),
        reject("payload_array", "the payload is an array", Json, in_payload(format!("[{body}]"))),
        reject("payload_empty", "the payload is empty", Json, in_payload(String::new())),
        reject(
            "payload_bom",
            "a byte order mark before the object",
            Json,
            in_payload(format!("\u{feff}{body}")),
        ),
        reject("payload_deep", "nested 200 deep", Json, in_payload(deep)),
        reject("payload_not_utf8", "a byte that is not UTF-8", Json, not_utf8(&head, &body)),
        reject("header_array", "the header is an array", Json, in_header(format!("[{head}]"))),
        reject(
            "header_trailing_text",
            "text after the header's object",
            Json,
            in_header(format!("{head}}}")),
        ),
        reject("header_empty", "the header is empty", Json, in_header(String::new())),
    ]
}

fn not_utf8(head: &str, body: &str) -> String {
    let mut bytes = body.replace("acme\"", "acm?\"").into_bytes();
    let mark = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[mark] = 0xff;
    sign_input(&key(), &format!("{}.{}", b64(head), b64(bytes)))
}

fn algorithms() -> Vec<Vector> {
    let named = |alg: Value| with_header(|h| h["alg"] = alg);
    let reject = |name, what, descriptor| reject(name, what, Refusal::Algorithm, descriptor);
    let none = named(json!("none"));
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    let hs256 = named(json!("HS256"));
    let input = hs256.rsplit_once('.').unwrap().0;
    let public = EncodingKey::from_secret(key().verifying_key().as_bytes());
    let hmac = crypto::sign(input.as_bytes(), &public, Algorithm::HS256).unwrap();
    vec![
        reject("alg_none", "alg none and no signature", unsigned),
        reject("alg_none_signed", "alg none, though well signed", none),
        reject("alg_none_case", "alg nOnE", named(json!("nOnE"))),
        reject("alg_hs256", "an HMAC with the public key as its secret", format!("{input}.{hmac}")),
        reject("alg_es256", "alg ES256", named(json!("ES256"))),
        reject("alg_rs256", "alg RS256", named(json!("RS256"))),
        reject(
            "alg_ed25519",
            "the newer name Ed25519, which common verifiers do not know",
            named(json!("Ed25519")),
        ),
        reject("alg_case", "alg eddsa", named(json!("eddsa"))),
        reject("alg_missing", "no alg", with_header(|h| drop(h.as_object_mut().unwrap().remove("alg")))),
        reject("alg_array", "alg is an array", named(json!(["EdDSA"]))),
    ]
}

fn types() -> Vec<Vector> {
    let named = |typ: Value| with_header(|h| h["typ"] = typ);
    let reject = |name, what, descriptor| reject(name, what, Refusal::Type, descriptor);
    vec![
        reject("typ_jwt", "typ JWT", named(json!("JWT"))),
        reject("typ_missing", "no typ", with_header(|h| drop(h.as_object_mut().unwrap().remove("typ")))),
        reject("typ_null", "typ is null", named(Value::Null)),
        reject("typ_case", "typ AT+JWT", named(json!("AT+JWT"))),
        reject("typ_long", "typ application/at+jwt", named(json!("application/at+jwt"))),
        reject("typ_revocations", "a message of the revocation feed", named(json!("mcp-revocations+jwt"))),
        reject("typ_audit_head", "a head of the audit chain", named(json!("hapi-audit-head+jwt"))),
        reject("typ_publisher", "a publisher token", named(json!("hapi-publisher+jwt"))),
    ]
}

fn members() -> Vec<Vector> {
    let with = |member: &str, value: Value| with_header(|h| h[member] = value);
    let reject = |name, what, descriptor| reject(name, what, Refusal::Header, descriptor);
    let own = other_key();
    let mut own_header = header();
    own_header["jwk"] = jwk(own.verifying_key().as_bytes());
    own_header["kid"] = json!(kid(&own));
    vec![
        reject("header_crit", "crit", with("crit", json!(["exp"]))),
        reject("header_crit_empty", "an empty crit", with("crit", json!([]))),
        reject(
            "header_jwk",
            "jwk with the key that signed",
            seal_with(&own, &own_header.to_string(), &payload().to_string()),
        ),
        reject("header_jku", "jku", with("jku", json!("https://evil.example/jwks.json"))),
        reject("header_x5u", "x5u", with("x5u", json!("https://evil.example/chain.pem"))),
        reject("header_x5c", "x5c", with("x5c", json!(["MIIB"]))),
        reject("header_b64", "b64, which would change what is signed", with("b64", json!(false))),
        reject("header_zip", "zip", with("zip", json!("DEF"))),
        reject("header_unknown", "a member that nobody knows", with("x", json!(1))),
        reject("kid_missing", "no kid", with_header(|h| drop(h.as_object_mut().unwrap().remove("kid")))),
        reject("kid_number", "kid is a number", with("kid", json!(1))),
    ]
}
