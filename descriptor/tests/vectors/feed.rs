//! Messages of the revocation feed that verify, and those that do not.

use std::collections::BTreeMap;
use std::fs;

use hapi_descriptor::{KeySet, Refusal, subject_hash, verify_revocations};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::forge::{ISS, NOW, SERVER, b64, honest, jwks, key, kid, other_key, seal, seal_with};
use crate::vector::Rejection;
use crate::{files, folder};

/// See `vectors/README.md` for the members.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Vector {
    #[serde(skip)]
    name: String,
    what: String,
    now: u64,
    jwks: Value,
    expect: Value,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
}

impl Vector {
    fn new(name: &str, what: &str, message: String) -> Self {
        Self {
            name: name.into(),
            what: what.into(),
            now: NOW,
            jwks: jwks(),
            expect: json!({"iss": ISS}),
            message,
            refusal: None,
            claim: None,
        }
    }

    fn at(self, now: u64) -> Self {
        Self { now, ..self }
    }

    fn refused(self, refusal: Refusal) -> Self {
        let Rejection { refusal, claim, .. } = refusal.into();
        Self { refusal: Some(refusal), claim, ..self }
    }

    fn to_file(&self) -> String {
        serde_json::to_string_pretty(self).unwrap() + "\n"
    }
}

fn header(typ: &str) -> String {
    json!({"alg": "EdDSA", "typ": typ, "kid": kid(&key())}).to_string()
}

/// An honest message but for one change of its payload.
fn with_payload(change: impl FnOnce(&mut Value)) -> String {
    let seq = (1_u64 << 40) + 48_121;
    let mut payload = json!({
        "iss": ISS, "iat": NOW, "exp": NOW + 10, "incarnation": 1, "seq": seq, "since": 48_000, "full": false,
        "min_seq": {
            subject_hash(ISS, "server", SERVER): seq - 20,
            subject_hash(ISS, "client", "agent-7"): seq,
        },
        "revoked_keys": [kid(&other_key())],
    });
    change(&mut payload);
    seal(&header("mcp-revocations+jwt"), &payload.to_string())
}

fn accept() -> Vec<Vector> {
    let message = |name, what, change: fn(&mut Value)| Vector::new(name, what, with_payload(change));
    vec![
        message("honest", "an ordinary message", |_| {}),
        message("empty", "nothing may be revoked", |p| {
            (p["min_seq"], p["revoked_keys"]) = (json!({}), json!([]));
        }),
        message("full", "a snapshot", |p| (p["full"], p["since"]) = (json!(true), json!(0))),
        message("unknown_claims", "claims that are not known are ignored", |p| p["node"] = json!("a")),
        message("exp_last_second", "exp + 5 s is the first instant at which it is dead", |_| {}).at(NOW + 14),
        message("iat_first_second", "a clock 5 s behind the issuer's", |_| {}).at(NOW - 5),
    ]
}

fn reject() -> Vec<Vector> {
    let malformed = Refusal::ClaimMalformed;
    let message = |name, what, refusal, change: fn(&mut Value)| {
        Vector::new(name, what, with_payload(change)).refused(refusal)
    };
    let unknown = seal_with(&other_key(), &header("mcp-revocations+jwt"), "{}");
    vec![
        message("exp_first_second", "expired", Refusal::Expired, |_| {}).at(NOW + 15),
        message("iat_in_the_future", "signed in the future", Refusal::NotYetValid, |_| {}).at(NOW - 6),
        message("lifetime_too_long", "a life of 11 s", Refusal::Lifetime, |p| p["exp"] = json!(NOW + 11)),
        message("lifetime_zero", "no life", Refusal::Lifetime, |p| p["exp"] = json!(NOW)),
        message("iss_other", "of another issuer", Refusal::Issuer, |p| p["iss"] = json!("https://b.example")),
        message("incarnation_other", "not that of seq", Refusal::ClaimConflict("incarnation"), |p| {
            p["incarnation"] = json!(2);
        }),
        message("missing_min_seq", "no floors", Refusal::ClaimMissing("min_seq"), |p| {
            p.as_object_mut().unwrap().remove("min_seq");
        }),
        message("subject_in_clear", "a subject is a hash", malformed("min_seq"), |p| {
            p["min_seq"] = json!({ SERVER: 1 });
        }),
        message("floor_too_high", "a floor is below 2^53", malformed("min_seq"), |p| {
            p["min_seq"] = json!({ b64([1; 32]): 1_u64 << 53 });
        }),
        message("revoked_key_no_text", "a kid is a text", malformed("revoked_keys"), |p| {
            p["revoked_keys"] = json!([1]);
        }),
        Vector::new("descriptor", "a descriptor is no message", honest()).refused(Refusal::Type),
        Vector::new("signature_other", "signed with another key than it names", unknown)
            .refused(Refusal::Signature),
    ]
}

fn made() -> [(&'static str, Vec<Vector>); 2] {
    [("feed/accept", accept()), ("feed/reject", reject())]
}

fn verdict(vector: &Vector) -> Option<Rejection> {
    let keys = KeySet::from_jwks(vector.jwks.to_string().as_bytes()).unwrap();
    let issuer = vector.expect["iss"].as_str().unwrap();
    verify_revocations(&vector.message, &keys, issuer, vector.now).err().map(Rejection::from)
}

#[test]
fn every_feed_vector_has_its_verdict() {
    for (folder, made) in made() {
        let files = files(folder);
        assert_eq!(files.len(), made.len());
        for (name, text) in files {
            let vector: Vector = serde_json::from_str(&text).unwrap();
            let got = verdict(&vector).map(|rejection| (rejection.refusal, rejection.claim));
            assert_eq!(got, vector.refusal.map(|refusal| (refusal, vector.claim)), "{name}: {}", vector.what);
        }
    }
}

#[test]
fn the_feed_files_are_what_the_generator_makes() {
    for (folder, vectors) in made() {
        let made: BTreeMap<_, _> =
            vectors.iter().map(|vector| (vector.name.clone(), vector.to_file())).collect();
        assert_eq!(made, files(folder));
    }
}

pub(crate) fn remake() {
    for (verdict, vectors) in made() {
        fs::create_dir_all(folder(verdict)).unwrap();
        for vector in vectors {
            fs::write(folder(verdict).join(&vector.name).with_extension("json"), vector.to_file()).unwrap();
        }
    }
}
