//! What holds for moderation in this cluster. Operators set it; moderators act by it.

use crate::{Command, HealthGatePatch, Outcome, Principal, Registry, Rejection, Right, SettingsPatch};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What becomes of new versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewEntries {
    /// They may be reached at once.
    #[default]
    Open,
    /// They are in quarantine until a moderator approves them.
    Approval,
}

/// The rules in force. A record of its own in snapshots, since the form of the settings was released without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModerationRules {
    /// What becomes of versions that are published, imported or mirrored from now on.
    pub new_entries: NewEntries,
    /// Whether a second moderator confirms what cannot be undone, and what undoes a denial.
    pub two_person: bool,
}

/// A change of some rules; absent ones stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModerationRulesPatch {
    /// See [`ModerationRules::new_entries`].
    pub new_entries: Option<NewEntries>,
    /// See [`ModerationRules::two_person`].
    pub two_person: Option<bool>,
}

/// The names of the rules, as they stand among the settings.
const NAMES: [&str; 2] = ["new_entries", "two_person"];

/// The names of what belongs to the health gate begin with this.
const OF_GATE: &str = "health_";

/// A change of settings as people write it, rules of moderation and the health gate among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct SettingsChange {
    /// What changes decisions.
    pub settings: SettingsPatch,
    /// What changes moderation.
    pub rules: ModerationRulesPatch,
    /// What changes the health gate.
    pub gate: HealthGatePatch,
}

impl TryFrom<Map<String, Value>> for SettingsChange {
    type Error = serde_json::Error;

    fn try_from(change: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let (rules, others): (Map<_, _>, Map<_, _>) =
            change.into_iter().partition(|(name, _)| NAMES.contains(&name.as_str()));
        let (gate, settings): (Map<_, _>, Map<_, _>) =
            others.into_iter().partition(|(name, _)| name.starts_with(OF_GATE));
        Ok(Self {
            settings: serde_json::from_value(settings.into())?,
            rules: serde_json::from_value(rules.into())?,
            gate: serde_json::from_value(gate.into())?,
        })
    }
}

impl SettingsChange {
    /// The oldest command that says it all: a cluster that is being upgraded takes only what all its members know.
    pub fn command(self) -> Command {
        let Self { settings, rules, gate } = self;
        match (rules == ModerationRulesPatch::default(), gate == HealthGatePatch::default()) {
            (true, true) => Command::UpdateSettings(settings),
            (false, true) => Command::ChangeSettings { settings, rules },
            (_, false) => Command::Configure { settings, rules, gate },
        }
    }
}

impl Registry {
    pub(crate) fn change_settings(
        &mut self,
        by: &Principal,
        settings: &SettingsPatch,
        rules: ModerationRulesPatch,
        gate: &HealthGatePatch,
    ) -> Result<Outcome, Rejection> {
        let gate = gate.onto(&self.gate);
        // The right is judged first, and nothing is changed before all of it is sound.
        self.require(by, Right::Operate)?;
        gate.check()?;
        let outcome = self.update_settings(by, settings)?;
        self.rules = ModerationRules {
            new_entries: rules.new_entries.unwrap_or(self.rules.new_entries),
            two_person: rules.two_person.unwrap_or(self.rules.two_person),
        };
        self.set_health_gate(gate);
        Ok(outcome)
    }

    /// The rules of moderation in force.
    pub fn moderation_rules(&self) -> ModerationRules {
        self.rules
    }
}
