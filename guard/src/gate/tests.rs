#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use hapi_descriptor::{Claims, Dead, Seq, Signer};

use super::*;
use crate::testing::{at, claims, config, feed, keys, revoking, signer};

fn gate_with(config: &Config) -> Gate {
    let gate = Gate::new(config);
    gate.set_keys(keys(&[signer()]));
    answer(&gate, &feed(0, 1, 0), 0).unwrap();
    gate
}

fn strict() -> Gate {
    gate_with(&config())
}

fn best_effort() -> Gate {
    gate_with(&Config { feed: FeedPolicy::BestEffort, ..config() })
}

/// Asks the feed, and gets that message.
fn answer(gate: &Gate, message: &Revocations, seconds: u64) -> Result<(), FeedError> {
    gate.answer(&signer().sign_revocations(message), &gate.ask(at(seconds)), at(seconds))
}

fn verdict(gate: &Gate, claims: &Claims, seconds: u64) -> Result<(), Denial> {
    gate.check(&signer().sign(claims), at(seconds)).map(|_| ())
}

#[test]
fn an_honest_descriptor_comes_in_with_what_it_says() {
    let verified = strict().check(&signer().sign(&claims()), at(1)).unwrap();
    assert_eq!((&verified.claims, verified.kid.as_str()), (&claims(), signer().kid()));
}

#[test]
fn what_does_not_verify_stays_out_and_is_not_remembered() {
    let gate = strict();
    for (claims, refusal) in [
        (Claims { iss: "https://other.example".into(), ..claims() }, Refusal::Issuer),
        (Claims { aud: "https://weather.example/mcp/".into(), ..claims() }, Refusal::Audience),
        (
            Claims {
                server: hapi_descriptor::ServerClaim { id: "ai.acme/x".into(), ..claims().server },
                ..claims()
            },
            Refusal::Server,
        ),
        (Claims { exp: claims().iat + 121, ..claims() }, Refusal::Lifetime),
    ] {
        assert_eq!(verdict(&gate, &claims, 0), Err(Denial::Refused(refusal)));
    }
    let stranger = Signer::from_seed([9; 32].into()).sign(&claims());
    assert_eq!(gate.check(&stranger, at(0)).unwrap_err(), Denial::Refused(Refusal::UnknownKey));
    assert_eq!(gate.check(&"x".repeat(100_000), at(0)).unwrap_err(), Denial::Refused(Refusal::Oversize));
    assert_eq!(gate.check("", at(0)).unwrap_err(), Denial::Refused(Refusal::Parts));
    assert_eq!(gate.cached(), 0);
}

#[test]
fn without_keys_nobody_comes_in() {
    let gate = Gate::new(&config());
    assert_eq!(verdict(&gate, &claims(), 0), Err(Denial::NoKeys));
    gate.set_keys(KeySet::default());
    assert_eq!(verdict(&gate, &claims(), 0), Err(Denial::NoKeys));
}

#[test]
fn an_empty_key_set_replaces_nothing() {
    let gate = strict();
    gate.set_keys(KeySet::default());
    assert_eq!(verdict(&gate, &claims(), 0), Ok(()));
}

/// Every case holds for a descriptor that is new to the gate, and for one that it remembers.
fn new_and_remembered(
    gate: impl Fn() -> Gate,
    change: impl Fn(&Gate),
    claims: &Claims,
    seconds: u64,
    expected: Result<(), Denial>,
) {
    let (new, remembered) = (gate(), gate());
    assert_eq!(verdict(&remembered, claims, 0), Ok(()), "it is good at first");
    assert_eq!(remembered.cached(), 1);
    for gate in [new, remembered] {
        change(&gate);
        assert_eq!(verdict(&gate, claims, seconds), expected);
    }
}

#[test]
fn a_descriptor_dies_five_seconds_after_its_end() {
    let expired = Err(Denial::Refused(Refusal::Expired));
    new_and_remembered(best_effort, |_| {}, &claims(), 64, Ok(()));
    new_and_remembered(best_effort, |_| {}, &claims(), 65, expired);
}

#[test]
fn a_revoked_descriptor_dies_when_the_feed_says_so() {
    for (kind, id, dead) in [
        ("server", "ai.acme/weather", Dead::Server),
        ("version", "ai.acme/weather@1.0.0", Dead::Version),
        ("namespace", "ai.acme", Dead::Namespace),
        ("client", "agent-7", Dead::Client),
        ("tenant", "acme", Dead::Tenant),
    ] {
        let hears = |gate: &Gate| answer(gate, &revoking(kind, id, 101, 1), 1).unwrap();
        for gate in [strict, best_effort] {
            new_and_remembered(gate, hears, &claims(), 1, Err(Denial::Revoked(dead)));
        }
    }
}

#[test]
fn what_was_decided_after_the_revocation_lives() {
    let hears = |gate: &Gate| answer(gate, &revoking("client", "agent-7", 100, 1), 1).unwrap();
    new_and_remembered(strict, hears, &claims(), 1, Ok(()));
}

#[test]
fn what_a_revoked_key_signed_is_dead_whatever_its_seq() {
    let revoked = Revocations { revoked_keys: [signer().kid().to_owned()].into(), ..feed(0, 2, 1) };
    let hears = |gate: &Gate| answer(gate, &revoked, 1).unwrap();
    let claims = Claims { seq: Seq::MAX, ..claims() };
    new_and_remembered(strict, hears, &claims, 1, Err(Denial::Revoked(Dead::Key)));
}

#[test]
fn a_revoked_key_does_not_speak_for_the_feed() {
    let gate = strict();
    let revoked = Revocations { revoked_keys: [signer().kid().to_owned()].into(), ..feed(0, 2, 1) };
    answer(&gate, &revoked, 1).unwrap();
    let resurrection = Revocations { incarnation: 2, seq: Seq::from_parts(2, 1).unwrap(), ..feed(0, 1, 2) };
    assert_eq!(answer(&gate, &resurrection, 2), Err(FeedError::Refused(Refusal::UnknownKey)));
    assert_eq!(verdict(&gate, &claims(), 2), Err(Denial::Revoked(Dead::Key)));
}

#[test]
fn what_a_removed_key_signed_is_dead() {
    let removes = |gate: &Gate| _ = gate.set_keys(keys(&[Signer::from_seed([2; 32].into())]));
    new_and_remembered(strict, removes, &claims(), 1, Err(Denial::Refused(Refusal::UnknownKey)));
}

#[test]
fn a_silent_feed_shuts_a_strict_gate_after_its_bound_and_no_other() {
    new_and_remembered(strict, |_| {}, &claims(), 5, Ok(()));
    new_and_remembered(strict, |_| {}, &claims(), 6, Err(Denial::FeedStale));
    new_and_remembered(best_effort, |_| {}, &claims(), 60, Ok(()));
}

#[test]
fn a_feed_that_speaks_again_opens_a_strict_gate_again() {
    let gate = strict();
    assert_eq!(verdict(&gate, &claims(), 1), Ok(()));
    assert_eq!(verdict(&gate, &claims(), 6), Err(Denial::FeedStale));
    assert_eq!(gate.cached(), 1, "nothing is to be verified anew");
    answer(&gate, &feed(1, 1, 7), 7).unwrap();
    assert_eq!(verdict(&gate, &claims(), 7), Ok(()));
}

#[test]
fn a_strict_gate_is_shut_until_the_feed_was_heard() {
    let gate = Gate::new(&config());
    gate.set_keys(keys(&[signer()]));
    assert_eq!(verdict(&gate, &claims(), 0), Err(Denial::FeedStale));
    assert_eq!(gate.feed_age(at(0)), None);
}

#[test]
fn a_feed_that_goes_back_is_no_sign_of_life_but_what_it_revokes_counts() {
    let gate = strict();
    answer(&gate, &feed(1, 300, 1), 1).unwrap();
    let late = revoking("client", "agent-7", 200, 4);
    assert_eq!(answer(&gate, &late, 4), Err(FeedError::Stale(Stale::GoesBack)));
    assert_eq!(gate.feed_age(at(4)), Some(Duration::from_secs(3)));
    assert_eq!(verdict(&gate, &claims(), 4), Err(Denial::Revoked(Dead::Client)));
}

#[test]
fn the_feed_is_as_old_as_the_question() {
    let gate = strict();
    let answer = signer().sign_revocations(&feed(1, 1, 3));
    gate.answer(&answer, &gate.ask(at(2)), at(4)).unwrap();
    assert_eq!(gate.feed_age(at(5)), Some(Duration::from_secs(3)));
}

#[test]
fn what_a_stream_brings_kills_at_once_and_keeps_no_strict_gate_open() {
    let gate = strict();
    assert_eq!(verdict(&gate, &claims(), 1), Ok(()));
    let message = signer().sign_revocations(&revoking("client", "agent-8", 101, 5));
    gate.hear(&message, at(5)).unwrap();
    assert_eq!(verdict(&gate, &claims(), 5), Ok(()));
    assert_eq!(verdict(&gate, &claims(), 6), Err(Denial::FeedStale));
    let message = signer().sign_revocations(&revoking("client", "agent-7", 102, 6));
    gate.hear(&message, at(6)).unwrap();
    assert_eq!(verdict(&gate, &claims(), 6), Err(Denial::Revoked(Dead::Client)));
}

#[test]
fn a_message_that_is_held_back_is_refused() {
    let gate = strict();
    assert_eq!(answer(&gate, &feed(1, 1, 1), 16), Err(FeedError::Refused(Refusal::Expired)));
}

#[test]
fn a_stream_outlasts_its_descriptor_while_the_feed_speaks() {
    let gate = strict();
    let verified = gate.check(&signer().sign(&claims()), at(1)).unwrap();
    assert!(gate.vouches(&verified, at(64)), "the descriptor has not ended");
    assert!(!gate.vouches(&verified, at(65)), "the feed is silent");
    answer(&gate, &feed(1, 1, 65), 65).unwrap();
    assert!(gate.vouches(&verified, at(70)));
    assert!(!gate.vouches(&verified, at(71)));
}
