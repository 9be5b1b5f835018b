//! What the guard costs beyond the signature.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::hint::black_box;
use std::time::{Duration, Instant};

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

/// How often the subjects take turns, and how many calls are timed at a time.
const ROUNDS: usize = 400;
const CALLS: u32 = 50;

/// Each subject is timed in turn, in every round: machines are noisy, and what disturbs one of them then disturbs all.
fn main() {
    let signer = Signer::from_seed([42; 32].into());
    let (new, old) = (signer.sign(&claims(2000)), signer.sign(&claims(500)));
    let (input, _) = new.rsplit_once('.').unwrap();
    let signature = signature(&signer, &new);
    let keys: KeySet = [signer.public_jwk().clone()].into_iter().collect();
    let expected = Expectations { issuer: ISS, audience: AUD, server: Some(SERVER) };
    let (uncached, cached) = (gate(&signer, 0), gate(&signer, 1000));
    let mut subjects: [Subject<'_>; 5] = [
        (
            "verify_strict alone",
            Box::new(|| _ = black_box(signer.public_jwk().verifies(black_box(input.as_bytes()), &signature))),
        ),
        (
            "descriptor verify",
            Box::new(|| _ = black_box(verify(black_box(&new), &keys, &expected, NOW.unix_seconds).unwrap())),
        ),
        ("guard, uncached", Box::new(|| _ = black_box(uncached.check(black_box(&new), NOW).unwrap()))),
        ("guard, cached", Box::new(|| _ = black_box(cached.check(black_box(&new), NOW).unwrap()))),
        (
            "guard, cached, older than the last revocation",
            Box::new(|| _ = black_box(cached.check(black_box(&old), NOW).unwrap())),
        ),
    ];
    let mut times = subjects.each_ref().map(|_| Vec::new());
    // The first round warms up.
    for round in 0..=ROUNDS {
        for ((_, call), times) in subjects.iter_mut().zip(&mut times) {
            let began = Instant::now();
            (0..CALLS).for_each(|_| call());
            if round > 0 {
                times.push(began.elapsed().as_nanos() as f64 / f64::from(CALLS) / 1000.0);
            }
        }
    }
    println!("µs a call, of {ROUNDS} rounds     p10     p50     p90");
    for ((name, _), times) in subjects.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[times.len() * percent / 100];
        println!("{name:48} {:7.2} {:7.2} {:7.2}", at(10), at(50), at(90));
    }
}

/// What is timed, and how to call it once.
type Subject<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// The signature's bytes, proven to be it.
fn signature(signer: &Signer, descriptor: &str) -> [u8; 64] {
    use base64::Engine as _;
    let (input, signature) = descriptor.rsplit_once('.').unwrap();
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signature = signature.try_into().unwrap();
    assert!(signer.public_jwk().verifies(input.as_bytes(), &signature));
    signature
}
