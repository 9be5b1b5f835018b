//! Descriptors for unit tests.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use hapi_descriptor::{
    Claims, ClientClaim, Jti, KeySet, REVOCATIONS_LIFETIME_SECONDS, Revocations, SCOPE_CONNECT, Seq,
    ServerClaim, Signer, subject_hash,
};

use crate::cache::{Fingerprint, Verified};
use crate::clock::Moment;
use crate::config::Config;
use crate::gate::Admitted;

pub(crate) const ISS: &str = "https://registry.example";
pub(crate) const AUD: &str = "https://weather.example/mcp";
pub(crate) const SERVER: &str = "ai.acme/weather";
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn config() -> Config {
    Config::new(ISS, SERVER, AUD, ["https://registry.example"])
}

pub(crate) fn signer() -> Signer {
    Signer::from_seed([1; 32].into())
}

pub(crate) fn keys(signers: &[Signer]) -> KeySet {
    signers.iter().map(|signer| signer.public_jwk().clone()).collect()
}

/// That many seconds after [`NOW`], on both clocks.
pub(crate) fn at(seconds: u64) -> Moment {
    Moment { unix_seconds: NOW + seconds, elapsed: Duration::from_secs(1_000 + seconds) }
}

pub(crate) fn seq(index: u64) -> Seq {
    Seq::from_parts(1, index).unwrap()
}

/// Issued at [`NOW`] for 60 s, at index 100.
pub(crate) fn claims() -> Claims {
    Claims {
        iss: ISS.into(),
        aud: AUD.into(),
        iat: NOW,
        exp: NOW + 60,
        jti: Jti::new([7; 16]),
        scope: SCOPE_CONNECT.into(),
        server: ServerClaim {
            id: SERVER.into(),
            version: "1.0.0".into(),
            verified: true,
            jwks_uri: None,
            tls_pin_sha256: None,
        },
        client: ClientClaim { id: "agent-7".into(), tenant: Some("acme".into()) },
        seq: seq(100),
    }
}

/// One that ends that many seconds after [`NOW`].
pub(crate) fn verified(ends: u64) -> Verified {
    let claims = Claims { exp: NOW + ends, ..claims() };
    hapi_descriptor::Verified { claims, kid: signer().kid().to_owned() }.into()
}

pub(crate) fn admitted(verified: Verified) -> Admitted {
    Admitted { fingerprint: Fingerprint::of(&format!("{verified:?}")), verified }
}

/// A delta of the feed from `since` to `index`, signed that many seconds after [`NOW`].
pub(crate) fn feed(since: u64, index: u64, seconds: u64) -> Revocations {
    Revocations {
        iss: ISS.into(),
        iat: NOW + seconds,
        exp: NOW + seconds + REVOCATIONS_LIFETIME_SECONDS,
        incarnation: 1,
        seq: seq(index),
        since,
        full: since == 0,
        min_seq: [].into(),
        revoked_keys: [].into(),
    }
}

pub(crate) fn revoking(kind: &str, id: &str, index: u64, seconds: u64) -> Revocations {
    let min_seq = [(subject_hash(ISS, kind, id), seq(index).get())].into();
    Revocations { min_seq, ..feed(0, index, seconds) }
}
