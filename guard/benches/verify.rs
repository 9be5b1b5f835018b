//! What the guard costs beyond the signature.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench; criterion's macros make undocumented functions"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use hapi_descriptor::{
    Claims, ClientClaim, Expectations, Jti, KeySet, Revocations, SCOPE_CONNECT, Seq, ServerClaim, Signer,
    subject_hash, verify,
};
use hapi_guard::{Config, Gate, Moment};

const ISS: &str = "https://registry.acme.example";
const AUD: &str = "https://payments.acme.example/mcp";
const SERVER: &str = "ai.acme/payments";
const NOW: Moment = Moment { unix_seconds: 1_800_000_000, elapsed: Duration::ZERO };

fn claims(index: u64) -> Claims {
    Claims {
        iss: ISS.into(),
        aud: AUD.into(),
        iat: NOW.unix_seconds,
        exp: NOW.unix_seconds + 60,
        jti: Jti::new([7; 16]),
        scope: SCOPE_CONNECT.into(),
        server: ServerClaim {
            id: SERVER.into(),
            version: "2.1.0".into(),
            verified: true,
            jwks_uri: None,
            tls_pin_sha256: None,
        },
        client: ClientClaim { id: "agent-7".into(), tenant: Some("acme".into()) },
        seq: Seq::from_parts(1, index).unwrap(),
    }
}

/// A strict gate that has heard of a thousand revocations, the last at index 1000.
fn gate(signer: &Signer, max_cached: usize) -> Gate {
    let mut config = Config::new(ISS, SERVER, AUD, ["https://registry.acme.example"]);
    config.max_cached = max_cached;
    let gate = Gate::new(&config);
    gate.set_keys([signer.public_jwk().clone()].into_iter().collect());
    let seq = |index| Seq::from_parts(1, index).unwrap();
    let floor = |index| (subject_hash(ISS, "client", &format!("other-{index}")), seq(index).get());
    let message = Revocations {
        iss: ISS.into(),
        iat: NOW.unix_seconds,
        exp: NOW.unix_seconds + 10,
        incarnation: 1,
        seq: seq(1000),
        since: 0,
        full: true,
        min_seq: (1..=1000).map(floor).collect(),
        revoked_keys: ["other".to_owned()].into(),
    };
    gate.answer(&signer.sign_revocations(&message), &gate.ask(NOW), NOW).unwrap();
    gate
}

fn guard(c: &mut Criterion) {
    let signer = Signer::from_seed([42; 32].into());
    let (new, old) = (signer.sign(&claims(2000)), signer.sign(&claims(500)));
    let (input, _) = new.rsplit_once('.').unwrap();
    let signature = signature(&signer, &new);
    let keys: KeySet = [signer.public_jwk().clone()].into_iter().collect();
    let expected = Expectations { issuer: ISS, audience: AUD, server: Some(SERVER) };
    let (uncached, cached) = (gate(&signer, 0), gate(&signer, 1000));

    c.bench_function("verify_strict alone", |b| {
        b.iter(|| signer.public_jwk().verifies(black_box(input.as_bytes()), &signature));
    });
    c.bench_function("descriptor verify", |b| {
        b.iter(|| verify(black_box(&new), &keys, &expected, NOW.unix_seconds).unwrap());
    });
    c.bench_function("guard, uncached", |b| b.iter(|| uncached.check(black_box(&new), NOW).unwrap()));
    c.bench_function("guard, cached", |b| b.iter(|| cached.check(black_box(&new), NOW).unwrap()));
    c.bench_function("guard, cached, older than the last revocation", |b| {
        b.iter(|| cached.check(black_box(&old), NOW).unwrap());
    });
}

/// The signature's bytes, proven to be it.
fn signature(signer: &Signer, descriptor: &str) -> [u8; 64] {
    use base64::Engine as _;
    let (input, signature) = descriptor.rsplit_once('.').unwrap();
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signature = signature.try_into().unwrap();
    assert!(signer.public_jwk().verifies(input.as_bytes(), &signature));
    signature
}

criterion_group!(benches, guard);
criterion_main!(benches);
