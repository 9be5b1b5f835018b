//! The health gate: whether servers that do not answer are connected to all the same.
//!
//! It is advice, and no act of governance: the leader asks the servers, and says in the log which of them do not answer any
//! more, and which do again. Nothing of it is sealed, so that a node may issue for a moment after that.

use crate::{Glob, Rejection, ServerName};
use serde::{Deserialize, Serialize};

/// The most globs of each list.
const MAX_GLOBS: usize = 1_000;

/// Whether the gate is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// Nobody is asked, and everybody is connected to.
    #[default]
    Off,
    /// Whoever does not answer is not connected to.
    On,
}

/// The gate's settings. A record of its own in snapshots, since the form of the settings was released without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthGate {
    /// Whether it is on for the servers that neither list names.
    pub health_gate: Gate,
    /// Servers for which it is on in any case.
    pub health_gate_servers: Vec<Glob>,
    /// Servers for which it is off in any case; this list wins.
    pub health_gate_exempt: Vec<Glob>,
    /// How often each server is asked, in seconds.
    pub health_interval: u32,
    /// How long it may take to answer, in milliseconds.
    pub health_timeout_ms: u32,
    /// After how many questions without an answer, one after the other, it is down.
    pub health_failures: u32,
    /// After how many answers, one after the other, it is up again.
    pub health_successes: u32,
}

impl Default for HealthGate {
    fn default() -> Self {
        Self {
            health_gate: Gate::Off,
            health_gate_servers: Vec::new(),
            health_gate_exempt: Vec::new(),
            health_interval: 60,
            health_timeout_ms: 5_000,
            health_failures: 3,
            health_successes: 2,
        }
    }
}

/// A change of some of them; absent ones stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthGatePatch {
    /// See [`HealthGate::health_gate`].
    pub health_gate: Option<Gate>,
    /// See [`HealthGate::health_gate_servers`].
    pub health_gate_servers: Option<Vec<Glob>>,
    /// See [`HealthGate::health_gate_exempt`].
    pub health_gate_exempt: Option<Vec<Glob>>,
    /// See [`HealthGate::health_interval`].
    pub health_interval: Option<u32>,
    /// See [`HealthGate::health_timeout_ms`].
    pub health_timeout_ms: Option<u32>,
    /// See [`HealthGate::health_failures`].
    pub health_failures: Option<u32>,
    /// See [`HealthGate::health_successes`].
    pub health_successes: Option<u32>,
}

impl HealthGatePatch {
    pub(crate) fn onto(&self, old: &HealthGate) -> HealthGate {
        let list = |new: &Option<Vec<Glob>>, old: &Vec<Glob>| new.clone().unwrap_or_else(|| old.clone());
        HealthGate {
            health_gate: self.health_gate.unwrap_or(old.health_gate),
            health_gate_servers: list(&self.health_gate_servers, &old.health_gate_servers),
            health_gate_exempt: list(&self.health_gate_exempt, &old.health_gate_exempt),
            health_interval: self.health_interval.unwrap_or(old.health_interval),
            health_timeout_ms: self.health_timeout_ms.unwrap_or(old.health_timeout_ms),
            health_failures: self.health_failures.unwrap_or(old.health_failures),
            health_successes: self.health_successes.unwrap_or(old.health_successes),
        }
    }
}

impl HealthGate {
    /// Whether it is on for anybody, as far as the settings alone tell.
    pub fn is_used(&self) -> bool {
        self.health_gate == Gate::On || !self.health_gate_servers.is_empty()
    }

    /// Whether it is on for this server.
    pub fn covers(&self, name: &ServerName) -> bool {
        let listed = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(name.as_str()));
        let wanted = self.health_gate == Gate::On || listed(&self.health_gate_servers);
        wanted && !listed(&self.health_gate_exempt)
    }

    pub(crate) fn check(&self) -> Result<(), Rejection> {
        let invalid = |text: String| Err(Rejection::Invalid(text));
        if self.health_gate_servers.len().max(self.health_gate_exempt.len()) > MAX_GLOBS {
            return invalid(format!(
                "health_gate_servers and health_gate_exempt have at most {MAX_GLOBS} entries each"
            ));
        }
        for (name, value, range) in [
            ("health_interval", self.health_interval, 5..=3_600),
            ("health_timeout_ms", self.health_timeout_ms, 100..=30_000),
            ("health_failures", self.health_failures, 1..=10),
            ("health_successes", self.health_successes, 1..=10),
        ] {
            if !range.contains(&value) {
                return invalid(format!("{name} is {} to {}, got {value}", range.start(), range.end()));
            }
        }
        if self.health_timeout_ms > self.health_interval.saturating_mul(1_000) {
            return invalid("health_timeout_ms is no longer than health_interval".into());
        }
        Ok(())
    }
}
