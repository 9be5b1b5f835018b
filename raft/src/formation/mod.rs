//! How nodes that know only a secret and some names become one cluster.
//!
//! [`rules`] decides and does nothing else. [`driver`] asks around ([`look`]), has the decision written down
//! ([`desk`]) and only then acts on it.

pub(crate) mod desk;
pub(crate) mod driver;
pub(crate) mod look;
pub(crate) mod phase;
pub(crate) mod rules;
#[cfg(test)]
mod rules_test;
