//! The revocation feed: what is dead before its time.
//!
//! A descriptor cannot be called back, but the server that it is for can be told. Every node signs, at least once
//! a second, a statement of the positions below which descriptors are dead, by subject. A guard keeps the highest
//! that any node ever sent, as [`Floors`].

mod floors;
mod subject;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::base64url;
use crate::json::Object;
use crate::jws::{self, Typ};
use crate::key_set::KeySet;
use crate::refusal::Refusal;
use crate::seq::Seq;
use crate::verifier::LEEWAY_SECONDS;
use crate::wire;

pub use floors::{Dead, Floors, MAX_FLOORS, Stale};
pub use subject::subject_hash;

/// The life of a message, `exp - iat`, in seconds; the longest that is accepted.
///
/// Whoever stands between node and guard can hold a message back and repeat it; this is how long that can pass
/// for the voice of the node. Messages are signed every second, so an honest one is never nearly as old.
pub const REVOCATIONS_LIFETIME_SECONDS: u64 = 10;

/// One message of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revocations {
    /// The cluster's issuer URL, the same from every node.
    pub iss: String,
    /// When it was signed, in seconds since the Unix epoch.
    pub iat: u64,
    /// From when on it is no longer valid; [`REVOCATIONS_LIFETIME_SECONDS`] after `iat`.
    pub exp: u64,
    /// The incarnation in `seq`, for readers that do not take numbers apart.
    pub incarnation: u64,
    /// The position of the state that it was read from.
    pub seq: Seq,
    /// The log index that the reader asked from. Unless the message is `full`, it holds only what is above.
    pub since: u64,
    /// Whether it holds every floor there is.
    pub full: bool,
    /// By [`subject_hash`], the position below which descriptors that concern the subject are dead.
    pub min_seq: BTreeMap<String, u64>,
    /// The thumbprints of all revoked keys. What they signed is dead, whatever its `seq`: a thief writes any.
    pub revoked_keys: BTreeSet<String>,
}

/// Verifies a message of the feed at the instant `now`, in seconds since the Unix epoch.
///
/// The checks run as for a descriptor: form, header, key, signature, claims, issuer, times. Whether it goes back
/// behind an earlier message is for [`Floors::merge`] to say.
///
/// # Errors
///
/// The [`Refusal`] of the first check that failed.
pub fn verify_revocations(
    token: &str,
    keys: &KeySet,
    issuer: &str,
    now: u64,
) -> Result<Revocations, Refusal> {
    verify_signed_revocations(token, keys, issuer, now).map(|(revocations, _)| revocations)
}

/// Like [`verify_revocations`], and gives the thumbprint of the key that signed as well: whoever remembers what a
/// message said can then forget it with its key.
///
/// # Errors
///
/// As there.
pub fn verify_signed_revocations(
    token: &str,
    keys: &KeySet,
    issuer: &str,
    now: u64,
) -> Result<(Revocations, String), Refusal> {
    let opened = jws::open(token, Typ::Revocations, keys)?;
    let revocations = read(&opened.payload)?;
    if revocations.iss != issuer {
        return Err(Refusal::Issuer);
    }
    check_times(&revocations, now)?;
    Ok((revocations, opened.kid))
}

fn read(payload: &Object) -> Result<Revocations, Refusal> {
    let revocations = Revocations {
        iss: wire::text(payload, "iss")?,
        iat: wire::integer(payload, "iat")?,
        exp: wire::integer(payload, "exp")?,
        incarnation: wire::integer(payload, "incarnation")?,
        seq: Seq::new(wire::integer(payload, "seq")?).ok_or(Refusal::ClaimMalformed("seq"))?,
        since: wire::integer(payload, "since")?,
        full: wire::flag(payload, "full")?,
        min_seq: min_seq(wire::object(payload, "min_seq")?)?,
        revoked_keys: revoked_keys(wire::required(payload, "revoked_keys")?)?,
    };
    if revocations.incarnation != revocations.seq.incarnation() {
        return Err(Refusal::ClaimConflict("incarnation"));
    }
    Ok(revocations)
}

fn min_seq(object: &Object) -> Result<BTreeMap<String, u64>, Refusal> {
    let floor = |(subject, value): (&String, &Value)| {
        base64url::decode_array::<32>(subject)?;
        Some((subject.clone(), value.as_u64().and_then(Seq::new)?.get()))
    };
    object.iter().map(floor).collect::<Option<_>>().ok_or(Refusal::ClaimMalformed("min_seq"))
}

fn revoked_keys(value: &Value) -> Result<BTreeSet<String>, Refusal> {
    let malformed = Refusal::ClaimMalformed("revoked_keys");
    let kids = value.as_array().ok_or(malformed)?.iter();
    kids.map(|kid| kid.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or(malformed)
}

fn check_times(revocations: &Revocations, now: u64) -> Result<(), Refusal> {
    let Revocations { iat, exp, .. } = *revocations;
    if exp <= iat || exp - iat > REVOCATIONS_LIFETIME_SECONDS {
        return Err(Refusal::Lifetime);
    }
    if now >= exp + LEEWAY_SECONDS {
        return Err(Refusal::Expired);
    }
    if iat > now.saturating_add(LEEWAY_SECONDS) {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}

#[cfg(all(test, feature = "signer"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use serde_json::json;

    use super::*;
    use crate::signer::Signer;

    const ISS: &str = "https://registry.example";
    const NOW: u64 = 1_800_000_000;

    fn signer() -> Signer {
        Signer::from_seed([42; 32].into())
    }

    fn keys() -> KeySet {
        [signer().public_jwk().clone()].into_iter().collect()
    }

    fn message() -> Revocations {
        let seq = Seq::from_parts(1, 500).unwrap();
        let server = subject_hash(ISS, "server", "ai.acme/payments");
        Revocations {
            iss: ISS.into(),
            iat: NOW,
            exp: NOW + REVOCATIONS_LIFETIME_SECONDS,
            incarnation: 1,
            seq,
            since: 0,
            full: true,
            min_seq: [(server, seq.get())].into(),
            revoked_keys: ["kid".to_owned()].into(),
        }
    }

    fn verdict(token: &str) -> Result<Revocations, Refusal> {
        verify_revocations(token, &keys(), ISS, NOW)
    }

    /// The refusal of the message with one claim changed; `null` takes it away.
    fn refusal(claim: &str, value: Value) -> Refusal {
        let mut payload = serde_json::to_value(message()).unwrap();
        match value {
            Value::Null => drop(payload.as_object_mut().unwrap().remove(claim)),
            value => payload[claim] = value,
        }
        verdict(&signer().sign_as(Typ::Revocations, &payload).unwrap()).unwrap_err()
    }

    #[test]
    fn what_was_signed_is_what_is_verified() {
        assert_eq!(verdict(&signer().sign_revocations(&message())), Ok(message()));
    }

    #[test]
    fn every_claim_is_required_and_typed() {
        let claims = ["iss", "iat", "exp", "incarnation", "seq", "since", "full", "min_seq", "revoked_keys"];
        for claim in claims {
            assert_eq!(refusal(claim, Value::Null), Refusal::ClaimMissing(claim));
            assert_eq!(refusal(claim, json!(-1)), Refusal::ClaimMalformed(claim));
        }
    }

    #[test]
    fn a_floor_is_a_position_of_a_hash() {
        let subject = subject_hash(ISS, "client", "agent-7");
        let malformed = Refusal::ClaimMalformed("min_seq");
        assert_eq!(refusal("min_seq", json!({"ai.acme/payments": 1})), malformed);
        assert_eq!(refusal("min_seq", json!({ &subject: "1" })), malformed);
        assert_eq!(refusal("min_seq", json!({ &subject: 1_u64 << 53 })), malformed);
        assert_eq!(refusal("revoked_keys", json!([1])), Refusal::ClaimMalformed("revoked_keys"));
    }

    #[test]
    fn the_incarnation_is_that_of_the_position() {
        assert_eq!(refusal("incarnation", json!(2)), Refusal::ClaimConflict("incarnation"));
    }

    #[test]
    fn another_issuer_is_refused() {
        assert_eq!(refusal("iss", json!("https://registry.example/")), Refusal::Issuer);
    }

    #[test]
    fn a_message_lives_ten_seconds_and_the_leeway() {
        let token = signer().sign_revocations(&message());
        let at = |now| verify_revocations(&token, &keys(), ISS, now).map(|_| ());
        assert_eq!(at(NOW + 14), Ok(()));
        assert_eq!(at(NOW + 15), Err(Refusal::Expired));
        assert_eq!(at(NOW - 5), Ok(()));
        assert_eq!(at(NOW - 6), Err(Refusal::NotYetValid));
        assert_eq!(refusal("exp", json!(NOW + 11)), Refusal::Lifetime);
        assert_eq!(refusal("exp", json!(NOW)), Refusal::Lifetime);
    }

    #[test]
    fn a_message_is_signed_by_a_known_key_as_what_it_is() {
        let other = Signer::from_seed([43; 32].into());
        assert_eq!(verdict(&other.sign_revocations(&message())), Err(Refusal::UnknownKey));
        let descriptor = signer().sign_as(Typ::Descriptor, &message()).unwrap();
        assert_eq!(verdict(&descriptor), Err(Refusal::Type));
        let token = signer().sign_revocations(&message());
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let longer = signer().sign_revocations(&Revocations { since: 1, ..message() });
        assert_ne!(longer, token);
        let swapped = format!("{}.{signature}", longer.rsplit_once('.').unwrap().0);
        assert_eq!(verdict(&swapped), Err(Refusal::Signature));
        assert_eq!(verdict(rest), Err(Refusal::Parts));
    }
}
