//! Moderation: sticky records beside the publisher's own status, which no publisher can lift.

mod insider;
mod lift;
mod order;
mod request;
mod review;
mod rules;
mod subject;
mod target;

pub(crate) use insider::instead;
pub use order::{Moderated, Order};
pub use request::ActRequest;
pub use rules::{ModerationRules, ModerationRulesPatch, NewEntries, SettingsChange};
pub use subject::Subject;
pub use target::Target;

use crate::{Registry, Rejection, ServerName, Timestamp, Version};
use serde::{Deserialize, Serialize};
use std::{ops::Bound, str::FromStr, sync::Arc};

/// What a moderator does. New acts are added at the end: the order is the form in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// Refuse connects until reinstated.
    Suspend,
    /// Refuse connects and hide from search until reviewed.
    Quarantine,
    /// Refuse connects for ever.
    Revoke,
    /// Lift a suspension or a quarantine.
    Reinstate,
    /// Vouch for it, which governed mode demands.
    Verify,
    /// Take that back.
    Unverify,
    /// End a review: lift a quarantine, and nothing else.
    Approve,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 7] = [
        Self::Suspend,
        Self::Quarantine,
        Self::Revoke,
        Self::Reinstate,
        Self::Verify,
        Self::Unverify,
        Self::Approve,
    ];

    /// The act's name in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Quarantine => "quarantine",
            Self::Revoke => "revoke",
            Self::Reinstate => "reinstate",
            Self::Verify => "verify",
            Self::Unverify => "unverify",
            Self::Approve => "approve",
        }
    }

    /// Whether it may turn some decision from yes to no. Taking back a voucher counts: a descriptor says whether its
    /// server is verified.
    pub(crate) fn denies(self) -> bool {
        matches!(self, Self::Suspend | Self::Quarantine | Self::Revoke | Self::Unverify)
    }

    /// Whether it may be done for a while only.
    pub fn may_end(self) -> bool {
        matches!(self, Self::Suspend | Self::Quarantine)
    }
}

impl FromStr for Act {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|act| act.as_str() == text).ok_or_else(|| {
            format!(
                "unknown act `{text}`: use suspend, quarantine, revoke, reinstate, approve, verify or unverify"
            )
        })
    }
}

/// How a subject stands, from best to worst: the worst of several wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Not moderated.
    #[default]
    None,
    /// Refused until reinstated.
    Suspended,
    /// Refused and hidden until reviewed.
    Quarantined,
    /// Refused for ever.
    Revoked,
}

impl Standing {
    /// The standing's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Suspended => "suspended",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
        }
    }

    /// Parses the name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = [Self::None, Self::Suspended, Self::Quarantined, Self::Revoked].into_iter();
        all.find(|standing| standing.as_str() == text)
            .ok_or_else(|| format!("unknown standing `{text}`: use none, suspended, quarantined or revoked"))
    }

    /// The standing after `act`, or why the act cannot be.
    fn after(self, act: Act) -> Result<Self, Rejection> {
        match (self, act) {
            (standing, Act::Verify | Act::Unverify) => Ok(standing),
            (Self::Revoked, Act::Revoke) => Ok(Self::Revoked),
            (Self::Revoked, _) => Err(Rejection::Revoked),
            (Self::None, Act::Reinstate) => Err(Rejection::NotModerated),
            (Self::None | Self::Suspended, Act::Approve) => Err(Rejection::NotInReview),
            (_, Act::Approve | Act::Reinstate) => Ok(Self::None),
            (_, Act::Suspend) => Ok(Self::Suspended),
            (_, Act::Quarantine) => Ok(Self::Quarantined),
            (_, Act::Revoke) => Ok(Self::Revoked),
        }
    }
}

/// The moderation record of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moderation {
    /// How it stands.
    pub standing: Standing,
    /// Whether it is vouched for; absent leaves the word to the wider subject.
    pub verified: Option<bool>,
    /// Why the last act was done.
    pub reason: String,
    /// The moderator's reference, if any.
    pub case: Option<String>,
    /// When the last act was done.
    pub at: Timestamp,
    /// The index of the entry that did it.
    pub index: u64,
    /// When the suspension or the quarantine lifts itself. A record of its own in snapshots, since the form of this one
    /// was released without it.
    #[serde(skip)]
    pub expires_at: Option<Timestamp>,
}

impl Registry {
    /// The record of exactly this subject.
    pub fn moderation(&self, subject: &Subject) -> Option<&Moderation> {
        self.moderation.get(subject).map(|record| &**record)
    }

    /// Sets the record of a subject, and what is kept beside it.
    pub(crate) fn put_moderation(&mut self, subject: Subject, record: Moderation) {
        let end = |record: &Moderation| record.expires_at;
        if let Some(former) = self.moderation.get(&subject).and_then(|former| end(former)) {
            self.moderation_ends.remove(&(former, subject.clone()));
        }
        if let Some(end) = end(&record) {
            self.moderation_ends.insert((end, subject.clone()));
        }
        self.withhold(&subject, record.standing);
        self.moderation.insert(subject, Arc::new(record));
    }

    /// All records, by subject.
    pub fn moderations(&self) -> impl Iterator<Item = (&Subject, &Moderation)> {
        self.moderation.iter().map(|(subject, record)| (subject, &**record))
    }

    /// The records behind that of `after`, by subject.
    pub fn moderations_after(
        &self,
        after: Option<&Subject>,
    ) -> impl Iterator<Item = (&Subject, &Moderation)> {
        let after = after.cloned();
        let from = after.clone().map_or(Bound::Unbounded, Bound::Included);
        let records = self.moderation.range((from, Bound::Unbounded));
        let behind = records.filter(move |(subject, _)| after.as_ref() != Some(*subject));
        behind.map(|(subject, record)| (subject, &**record))
    }

    /// How a version stands: the worst of its namespace's, its server's and its own records, with the
    /// record that says so.
    pub(crate) fn standing(&self, name: &ServerName, version: &Version) -> (Standing, Option<&Moderation>) {
        let worst = self.records(name, version).into_iter().flatten().max_by_key(|record| record.standing);
        let worst = worst.filter(|record| record.standing != Standing::None);
        (worst.map_or(Standing::None, |record| record.standing), worst)
    }

    /// Whether a version is vouched for: the narrowest record that says anything decides.
    pub(crate) fn is_verified(&self, name: &ServerName, version: &Version) -> bool {
        let narrowest = self.records(name, version).into_iter().flatten().find_map(|record| record.verified);
        narrowest.unwrap_or(false)
    }

    /// The record of the latest act that bears on a version, a reinstatement too.
    pub(crate) fn last_act(&self, name: &ServerName, version: &Version) -> Option<&Moderation> {
        self.records(name, version).into_iter().flatten().max_by_key(|record| record.index)
    }

    /// The records that bear on a version, the narrowest first.
    fn records(&self, name: &ServerName, version: &Version) -> [Option<&Moderation>; 3] {
        [
            self.moderation(&Subject::Version(name.clone(), version.clone())),
            self.moderation(&Subject::Server(name.clone())),
            self.moderation(&Subject::Namespace(name.namespace())),
        ]
    }

    /// Whether a client, a tenant, a token or a node may not act.
    pub(crate) fn is_barred(&self, subject: &Subject) -> bool {
        self.moderation(subject).is_some_and(|record| record.standing != Standing::None)
    }
}
