//! Settings that change decisions, and therefore are replicated.

use crate::{Glob, Outcome, Principal, Registry, Rejection, Right, ServerName, connect_budget};
use serde::{Deserialize, Serialize};

/// The shortest life of a descriptor, in seconds.
pub(crate) const TTL_FLOOR: u32 = 30;
/// The longest life of a descriptor, in seconds: verifiers refuse anything longer.
pub(crate) const TTL_CEILING: u32 = 120;

/// The most globs of servers in strict mode: every decision looks through them.
const MAX_STRICT: usize = 1_000;

/// Which servers a client may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Governed {
    /// All that are not moderated.
    #[default]
    All,
    /// Only verified ones.
    Verified,
}

/// The cluster's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Which servers may be reached.
    pub governed: Governed,
    /// Whether the public catalog may be read without a credential.
    pub anonymous_reads: bool,
    /// Whether published endpoints may be `http` or on the local machine.
    pub allow_insecure_endpoints: bool,
    /// Life of a descriptor when the client asks for none, in seconds.
    pub ttl_default: u32,
    /// Shortest life that a client may ask for, in seconds.
    pub ttl_min: u32,
    /// Longest life that a client may ask for, in seconds.
    pub ttl_max: u32,
    /// How long a new signing key is published before it may sign, in seconds. At least 60, which is twice
    /// the `max-age` of the JWK set, so that a verifier with a cached set knows the key; or 0, for tests.
    pub key_prepublish: u32,
    /// Whether every descriptor is released only after a round with a majority, which needs no assumption
    /// about clocks and costs one round trip.
    pub strict: bool,
    /// Servers for whose descriptors that holds, whatever the cluster does.
    pub strict_servers: Vec<Glob>,
    /// How many connects each client may ask for in a minute, over the whole cluster; 0 is any number.
    ///
    /// A rate denies nothing: no decision knows of it, and a connect that came too early may be asked for again. That
    /// a change of settings is sealed whatever it changes is welcome all the same: once it is acknowledged, every node
    /// counts by it.
    pub client_connects_per_minute: u32,
    /// The same for all clients of a tenant together, where the tenant has no number of its own.
    pub tenant_connects_per_minute: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            governed: Governed::All,
            anonymous_reads: false,
            allow_insecure_endpoints: false,
            ttl_default: 60,
            ttl_min: TTL_FLOOR,
            ttl_max: TTL_CEILING,
            key_prepublish: 60,
            strict: false,
            strict_servers: Vec::new(),
            client_connects_per_minute: 0,
            tenant_connects_per_minute: 0,
        }
    }
}

/// A change of some settings; absent ones stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsPatch {
    /// See [`Settings::governed`].
    pub governed: Option<Governed>,
    /// See [`Settings::anonymous_reads`].
    pub anonymous_reads: Option<bool>,
    /// See [`Settings::allow_insecure_endpoints`].
    pub allow_insecure_endpoints: Option<bool>,
    /// See [`Settings::ttl_default`].
    pub ttl_default: Option<u32>,
    /// See [`Settings::ttl_min`].
    pub ttl_min: Option<u32>,
    /// See [`Settings::ttl_max`].
    pub ttl_max: Option<u32>,
    /// See [`Settings::key_prepublish`].
    pub key_prepublish: Option<u32>,
    /// See [`Settings::strict`].
    pub strict: Option<bool>,
    /// See [`Settings::strict_servers`].
    pub strict_servers: Option<Vec<Glob>>,
    /// See [`Settings::client_connects_per_minute`].
    pub client_connects_per_minute: Option<u32>,
    /// See [`Settings::tenant_connects_per_minute`].
    pub tenant_connects_per_minute: Option<u32>,
}

impl SettingsPatch {
    fn onto(&self, old: &Settings) -> Settings {
        Settings {
            governed: self.governed.unwrap_or(old.governed),
            anonymous_reads: self.anonymous_reads.unwrap_or(old.anonymous_reads),
            allow_insecure_endpoints: self.allow_insecure_endpoints.unwrap_or(old.allow_insecure_endpoints),
            ttl_default: self.ttl_default.unwrap_or(old.ttl_default),
            ttl_min: self.ttl_min.unwrap_or(old.ttl_min),
            ttl_max: self.ttl_max.unwrap_or(old.ttl_max),
            key_prepublish: self.key_prepublish.unwrap_or(old.key_prepublish),
            strict: self.strict.unwrap_or(old.strict),
            strict_servers: self.strict_servers.clone().unwrap_or_else(|| old.strict_servers.clone()),
            client_connects_per_minute: self
                .client_connects_per_minute
                .unwrap_or(old.client_connects_per_minute),
            tenant_connects_per_minute: self
                .tenant_connects_per_minute
                .unwrap_or(old.tenant_connects_per_minute),
        }
    }
}

impl Settings {
    /// The life of a descriptor for which a client asked `wanted` seconds.
    pub fn ttl(&self, wanted: Option<u32>) -> u32 {
        wanted.unwrap_or(self.ttl_default).clamp(self.ttl_min, self.ttl_max)
    }

    /// Whether descriptors for `server` take a round with a majority, by the settings of the cluster.
    pub(crate) fn is_strict_for(&self, server: &ServerName) -> bool {
        self.strict || self.strict_servers.iter().any(|glob| glob.matches(server.as_str()))
    }

    fn check(&self) -> Result<(), Rejection> {
        if self.strict_servers.len() > MAX_STRICT {
            return Err(Rejection::Invalid(format!("strict_servers has at most {MAX_STRICT} entries")));
        }
        let ordered = TTL_FLOOR <= self.ttl_min
            && self.ttl_min <= self.ttl_default
            && self.ttl_default <= self.ttl_max
            && self.ttl_max <= TTL_CEILING;
        if !ordered {
            return Err(Rejection::Invalid(format!(
                "{TTL_FLOOR} <= ttl_min <= ttl_default <= ttl_max <= {TTL_CEILING} must hold, got {}, {}, {}",
                self.ttl_min, self.ttl_default, self.ttl_max
            )));
        }
        if self.key_prepublish > 0 && !(60..=86_400).contains(&self.key_prepublish) {
            let text = "key_prepublish is 60 to 86400 seconds, at least twice the max-age of the key set; 0 is for tests";
            return Err(Rejection::Invalid(text.into()));
        }
        connect_budget::check("client_connects_per_minute", self.client_connects_per_minute)?;
        connect_budget::check("tenant_connects_per_minute", self.tenant_connects_per_minute)
    }
}

impl Registry {
    pub(crate) fn update_settings(
        &mut self,
        by: &Principal,
        patch: &SettingsPatch,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        let settings = patch.onto(&self.settings);
        settings.check()?;
        self.settings = settings;
        Ok(Outcome::Done)
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
