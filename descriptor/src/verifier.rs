//! From a descriptor to its claims, or to the first reason why not.

use crate::claims::Claims;
use crate::jws::{self, Typ};
use crate::key_set::KeySet;
use crate::refusal::Refusal;
use crate::wire::{self, Read};

/// How far the issuer's clock and ours may differ, in seconds.
///
/// Machines that keep time by NTP agree within a fraction of a second; five cover a poor one. It is added to
/// every descriptor's life, and so to the time for which a stolen one is of use, hence no more.
pub const LEEWAY_SECONDS: u64 = 5;

/// The longest life of a descriptor, `exp - iat`, in seconds.
///
/// Revocation without a feed is only as quick as descriptors are short. The issuer keeps to this bound; the
/// verifier holds it to that, so that a misconfigured or stolen signer cannot mint one that lasts for years.
pub const MAX_LIFETIME_SECONDS: u64 = 120;

/// The shortest time between two fetches of the key set because of an unknown `kid`, in seconds.
///
/// Anyone can write any `kid`: without a floor, forged descriptors would make every server hammer the
/// registry. Keys are published well before they sign, so an honest descriptor seldom needs the fetch at all.
pub const KEY_REFETCH_SECONDS: u64 = 30;

/// What the verifying side knows beforehand. Nothing here may come from the descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// The issuer that the key set belongs to.
    pub issuer: &'a str,
    /// The endpoint that the descriptor must be for, byte for byte.
    pub audience: &'a str,
    /// The server (`namespace/name`) that the descriptor must be for, where several share an endpoint or the
    /// caller asked for one by name.
    pub server: Option<&'a str>,
}

/// A descriptor that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// The thumbprint of the key that signed it; a feed may have revoked that key.
    pub kid: String,
}

/// Verifies a descriptor at the instant `now`, in seconds since the Unix epoch.
///
/// The checks run in a fixed order, and the first that fails is the refusal: form, header, key, signature,
/// claims, issuer and audience, times, server. Revocation is not among them: it needs state, and belongs to
/// the caller.
///
/// # Errors
///
/// The [`Refusal`] of the first check that failed. On [`Refusal::UnknownKey`] the caller fetches the key set
/// anew, no more often than every [`KEY_REFETCH_SECONDS`], and verifies once more.
pub fn verify(
    descriptor: &str,
    keys: &KeySet,
    expected: &Expectations<'_>,
    now: u64,
) -> Result<Verified, Refusal> {
    let opened = jws::open(descriptor, Typ::Descriptor, keys)?;
    let read = wire::read(&opened.payload)?;
    check_parties(&read.claims, expected)?;
    check_times(&read, now)?;
    check_server(&read.claims, expected)?;
    Ok(Verified { claims: read.claims, kid: opened.kid })
}

/// Compares byte for byte. URLs have many spellings of one address, and normalising them here would make two
/// implementations disagree; the issuer writes the one spelling that the server publishes.
fn check_parties(claims: &Claims, expected: &Expectations<'_>) -> Result<(), Refusal> {
    if claims.iss != expected.issuer {
        return Err(Refusal::Issuer);
    }
    if claims.aud != expected.audience {
        return Err(Refusal::Audience);
    }
    Ok(())
}

/// RFC 7519 §4.1.4 to §4.1.6. No sum can overflow: every instant that was read is below 2^53, and `now`
/// saturates.
fn check_times(read: &Read, now: u64) -> Result<(), Refusal> {
    let Claims { iat, exp, .. } = read.claims;
    let latest_start = now.saturating_add(LEEWAY_SECONDS);
    if exp <= iat || exp - iat > MAX_LIFETIME_SECONDS {
        return Err(Refusal::Lifetime);
    }
    if now >= exp + LEEWAY_SECONDS {
        return Err(Refusal::Expired);
    }
    if read.nbf > latest_start || iat > latest_start {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}

fn check_server(claims: &Claims, expected: &Expectations<'_>) -> Result<(), Refusal> {
    let matches = expected.server.is_none_or(|server| server == claims.server.id);
    matches.then_some(()).ok_or(Refusal::Server)
}
