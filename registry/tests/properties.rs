//! What holds after any sequence of entries by anyone, however mistaken or hostile.
//!
//! Every sequence begins behind a prelude that sets up one of each role. `PROPTEST_CASES` raises the number
//! of sequences.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "properties/bulk.rs"]
mod bulk;
#[path = "properties/cast.rs"]
mod cast;
#[path = "properties/connects.rs"]
mod connects;
#[path = "properties/invariants.rs"]
mod invariants;
#[path = "properties/isolation.rs"]
mod isolation;
#[path = "properties/replicas.rs"]
mod replicas;
#[path = "properties/rights.rs"]
mod rights;
#[path = "properties/snapshots.rs"]
mod snapshots;
#[path = "properties/strategy.rs"]
mod strategy;
mod world;

use hapi_registry_state::{Entry, Outcome, Registry};
use proptest::prelude::ProptestConfig;

/// So many sequences, unless the environment says otherwise.
fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { default } else { ProptestConfig { cases, ..default } }
}

/// Applies `entries` behind what was applied already.
fn apply(registry: &mut Registry, entries: &[Entry]) -> Vec<Outcome> {
    entries.iter().map(|entry| registry.apply(registry.applied() + 1, entry)).collect()
}

/// The registry behind the prelude.
fn set() -> Registry {
    let mut registry = Registry::default();
    apply(&mut registry, cast::prelude());
    registry
}
