//! What one descriptor costs its issuer and its reader.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench; criterion's macros make undocumented functions"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hapi_descriptor::{
    Claims, ClientClaim, Expectations, Jti, KeySet, SCOPE_CONNECT, Seq, ServerClaim, Signer, verify,
};

const NOW: u64 = 1_800_000_000;

fn claims() -> Claims {
    Claims {
        iss: "https://registry.acme.example".into(),
        aud: "https://payments.acme.example/mcp".into(),
        iat: NOW,
        exp: NOW + 60,
        jti: Jti::new([7; 16]),
        scope: SCOPE_CONNECT.into(),
        server: ServerClaim {
            id: "ai.acme/payments".into(),
            version: "2.1.0".into(),
            verified: true,
            jwks_uri: None,
            tls_pin_sha256: None,
        },
        client: ClientClaim { id: "agent-7".into(), tenant: Some("acme".into()) },
        seq: Seq::from_parts(1, 48_121).unwrap(),
    }
}

fn descriptor(c: &mut Criterion) {
    let signer = Signer::from_seed([42; 32].into());
    let claims = claims();
    let keys: KeySet = [signer.public_jwk().clone()].into_iter().collect();
    let expected =
        Expectations { issuer: &claims.iss, audience: &claims.aud, server: Some(&claims.server.id) };
    let signed = signer.sign(&claims);

    c.bench_function("sign", |b| b.iter(|| signer.sign(black_box(&claims))));
    c.bench_function("verify", |b| b.iter(|| verify(black_box(&signed), &keys, &expected, NOW).unwrap()));
}

criterion_group!(benches, descriptor);
criterion_main!(benches);
