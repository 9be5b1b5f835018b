//! What holds for every descriptor and for every text.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use hapi_descriptor::{
    Claims, ClientClaim, Expectations, Jti, KeySet, MAX_LIFETIME_SECONDS, Refusal, SCOPE_CONNECT, Seq,
    ServerClaim, Signer, Typ, Verified, open, verify,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proptest::option;
use proptest::prelude::*;

fn signer() -> Signer {
    Signer::from_seed([42; 32].into())
}

fn keys() -> KeySet {
    [signer().public_jwk().clone()].into_iter().collect()
}

prop_compose! {
    fn any_claims()(
        (iss, aud, id, version) in (".{1,40}", ".{1,80}", ".{1,60}", ".{1,20}"),
        (client, tenant) in (".{1,30}", option::of(".{1,30}")),
        (jwks_uri, tls_pin_sha256) in (option::of(".{1,60}"), option::of(".{1,44}")),
        (iat, lifetime) in (0..1_u64 << 40, 1..=MAX_LIFETIME_SECONDS),
        (jti, seq, verified) in (any::<[u8; 16]>(), 0..1_u64 << 53, any::<bool>()),
    ) -> Claims {
        Claims {
            iss, aud, iat, exp: iat + lifetime,
            jti: Jti::new(jti),
            scope: SCOPE_CONNECT.to_owned(),
            server: ServerClaim { id, version, verified, jwks_uri, tls_pin_sha256 },
            client: ClientClaim { id: client, tenant },
            seq: Seq::new(seq).unwrap(),
        }
    }
}

/// Verifies as whoever the descriptor was issued for would.
fn verify_for(claims: &Claims, descriptor: &str) -> Result<Verified, Refusal> {
    let expected =
        Expectations { issuer: &claims.iss, audience: &claims.aud, server: Some(&claims.server.id) };
    verify(descriptor, &keys(), &expected, claims.iat)
}

proptest! {
    #[test]
    fn what_was_signed_is_what_is_verified(claims in any_claims()) {
        let signer = signer();
        let verified = verify_for(&claims, &signer.sign(&claims)).unwrap();
        prop_assert_eq!(&verified.claims, &claims);
        prop_assert_eq!(verified.kid, signer.kid());
    }

    #[test]
    fn no_changed_byte_verifies(claims in any_claims(), position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = signer().sign(&claims).into_bytes();
        let position = position.index(bytes.len());
        prop_assume!(bytes[position] != byte);
        bytes[position] = byte;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(verify_for(&claims, &changed).is_err());
        }
    }

    #[test]
    fn no_shortened_descriptor_verifies(claims in any_claims(), cut in any::<prop::sample::Index>()) {
        let descriptor = signer().sign(&claims);
        prop_assert!(verify_for(&claims, &descriptor[..cut.index(descriptor.len())]).is_err());
    }

    #[test]
    fn any_text_gets_a_verdict(text in ".*", now in any::<u64>()) {
        let expected = Expectations { issuer: "i", audience: "a", server: None };
        prop_assert!(verify(&text, &keys(), &expected, now).is_err());
    }

    #[test]
    fn any_signed_payload_gets_a_verdict(json in "\\{(\"(iss|aud|exp|mcp)\":[0-9\"\\[\\]{}a-z]{0,9},?){0,6}\\}", now in any::<u64>()) {
        let Ok(payload) = serde_json::from_str::<serde_json::Value>(&json) else { return Ok(()) };
        let descriptor = signer().sign_as(Typ::Descriptor, &payload).unwrap();
        let expected = Expectations { issuer: "i", audience: "a", server: None };
        prop_assert!(verify(&descriptor, &keys(), &expected, now).is_err());
    }

    #[test]
    fn any_bytes_are_a_key_set_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeySet::from_jwks(&bytes);
    }

    #[test]
    fn jsonwebtoken_accepts_every_descriptor(claims in any_claims()) {
        let signer = signer();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&claims.iss]);
        validation.set_audience(&[&claims.aud]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp", "nbf"]);
        // The instants are arbitrary here, and it takes no clock.
        validation.validate_exp = false;
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_str(&serde_json::to_string(signer.public_jwk()).unwrap()).unwrap();
        let read = jsonwebtoken::decode::<serde_json::Value>(
            signer.sign(&claims), &DecodingKey::from_jwk(&jwk).unwrap(), &validation,
        ).unwrap();
        prop_assert_eq!(read.header.typ.as_deref(), Some("at+jwt"));
        prop_assert_eq!(read.header.kid.as_deref(), Some(signer.kid()));
        prop_assert_eq!(read.claims, serde_json::to_value(&claims).unwrap());
    }
}

#[test]
fn a_statement_of_one_kind_never_opens_as_another() {
    let kinds = [Typ::Descriptor, Typ::Revocations, Typ::AuditHead, Typ::Publisher];
    for signed in kinds {
        let statement = signer().sign_as(signed, &serde_json::json!({"iat": 1})).unwrap();
        for read in kinds {
            let opened = open(&statement, read, &keys()).map(|opened| opened.payload["iat"].clone());
            assert_eq!(opened, if signed == read { Ok(1.into()) } else { Err(Refusal::Type) });
        }
    }
}

#[test]
fn the_header_is_exactly_three_members() {
    use base64::Engine as _;
    let statement = signer().sign_as(Typ::Descriptor, &serde_json::json!({})).unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(statement.split('.').next().unwrap())
        .unwrap();
    let expected = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, signer().kid());
    assert_eq!(String::from_utf8(header).unwrap(), expected);
}

#[test]
fn debug_shows_no_secret() {
    assert_eq!(format!("{:?}", signer()), format!("Signer {{ kid: \"{}\", .. }}", signer().kid()));
}

/// RFC 8037 Appendix A.4: the key of RFC 8032's first test, whose thumbprint is in A.3.
#[test]
fn the_key_of_rfc_8037_has_its_published_name() {
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
        0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    assert_eq!(Signer::from_seed(seed.into()).kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}
