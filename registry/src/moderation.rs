//! Moderation: sticky records beside the publisher's own status, which no publisher can lift.

use crate::{
    ClientId, Namespace, Outcome, Principal, Registry, Rejection, Right, ServerName, TenantId, Timestamp,
    Version,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// The longest reason, in bytes.
const MAX_REASON: usize = 1_000;
/// The longest case reference, in bytes.
const MAX_CASE: usize = 200;

/// What a moderator does.
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
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 6] =
        [Self::Suspend, Self::Quarantine, Self::Revoke, Self::Reinstate, Self::Verify, Self::Unverify];

    /// The act's name in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Quarantine => "quarantine",
            Self::Revoke => "revoke",
            Self::Reinstate => "reinstate",
            Self::Verify => "verify",
            Self::Unverify => "unverify",
        }
    }
}

impl FromStr for Act {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|act| act.as_str() == text).ok_or_else(|| {
            format!("unknown act `{text}`: use suspend, quarantine, revoke, reinstate, verify or unverify")
        })
    }
}

/// What a moderator acts on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// All servers of a namespace, present and future.
    Namespace(Namespace),
    /// All versions of a server, present and future.
    Server(ServerName),
    /// One version.
    Version(ServerName, Version),
    /// A client.
    Client(ClientId),
    /// All clients of a tenant.
    Tenant(TenantId),
}

impl Subject {
    /// Parses what the API calls `subject.kind` and `subject.id`.
    pub fn parse(kind: &str, id: &str) -> Result<Self, String> {
        fn as_id<T: FromStr<Err: fmt::Display>>(kind: &str, id: &str) -> Result<T, String> {
            id.parse().map_err(|error| format!("`{id}` is no {kind} id: {error}"))
        }
        match kind {
            "namespace" => as_id(kind, id).map(Self::Namespace),
            "server" => as_id(kind, id).map(Self::Server),
            "client" => as_id(kind, id).map(Self::Client),
            "tenant" => as_id(kind, id).map(Self::Tenant),
            "version" => {
                let (name, version) = id
                    .split_once('@')
                    .ok_or_else(|| format!("`{id}` is no version id: write namespace/name@version"))?;
                let version = Version::parse_imported(version).map_err(|error| error.to_string())?;
                Ok(Self::Version(as_id("server", name)?, version))
            }
            _ => Err(format!(
                "unknown subject kind `{kind}`: use server, version, namespace, client or tenant"
            )),
        }
    }

    /// The kind's name in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "namespace",
            Self::Server(_) => "server",
            Self::Version(..) => "version",
            Self::Client(_) => "client",
            Self::Tenant(_) => "tenant",
        }
    }

    /// The id, without the kind.
    pub fn id(&self) -> String {
        match self {
            Self::Namespace(namespace) => namespace.to_string(),
            Self::Server(name) => name.to_string(),
            Self::Version(name, version) => format!("{name}@{version}"),
            Self::Client(id) => id.to_string(),
            Self::Tenant(id) => id.to_string(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.id())
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

    /// The standing after `act`, or why the act cannot be.
    fn after(self, act: Act) -> Result<Self, Rejection> {
        match (self, act) {
            (standing, Act::Verify | Act::Unverify) => Ok(standing),
            (Self::Revoked, Act::Revoke) => Ok(Self::Revoked),
            (Self::Revoked, _) => Err(Rejection::Revoked),
            (Self::None, Act::Reinstate) => Err(Rejection::NotModerated),
            (_, Act::Reinstate) => Ok(Self::None),
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
}

impl Registry {
    pub(crate) fn moderate(
        &mut self,
        by: &Principal,
        act: Act,
        subject: &Subject,
        reason: &str,
        case: Option<&str>,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Moderate)?;
        check_words(reason, case)?;
        self.require_subject(subject, act)?;
        let old = self.moderation.get(subject);
        let standing = old.map_or(Standing::None, |record| record.standing).after(act)?;
        let verified = match act {
            Act::Verify => Some(true),
            Act::Unverify => Some(false),
            _ => old.and_then(|record| record.verified),
        };
        if let Some(old) = old.filter(|old| old.standing == standing && old.verified == verified) {
            return Ok(Outcome::Unchanged { since: old.index });
        }
        // Vouching for what is suspended must not overwrite why it is suspended.
        let kept = old.filter(|old| old.standing == standing && standing != Standing::None);
        let (reason, case) = kept.map_or_else(
            || (reason.to_owned(), case.map(str::to_owned)),
            |old| (old.reason.clone(), old.case.clone()),
        );
        let record = Moderation { standing, verified, reason, case, at: self.at, index: self.applied };
        self.moderation.insert(subject.clone(), Arc::new(record));
        Ok(Outcome::Done)
    }

    /// A namespace may be moderated before anything is in it; everything else must exist.
    fn require_subject(&self, subject: &Subject, act: Act) -> Result<(), Rejection> {
        let exists = match subject {
            Subject::Namespace(_) => true,
            Subject::Server(name) => self.servers.contains_key(name),
            Subject::Version(name, version) => {
                self.servers.get(name).is_some_and(|server| server.versions.contains_key(version))
            }
            Subject::Client(id) => self.clients.contains_key(id),
            Subject::Tenant(id) => self.tenants.contains_key(id),
        };
        if !exists {
            return Err(Rejection::SubjectNotFound(subject.clone()));
        }
        let caller = matches!(subject, Subject::Client(_) | Subject::Tenant(_));
        if caller && matches!(act, Act::Quarantine | Act::Verify | Act::Unverify) {
            return Err(Rejection::ActNotApplicable(act, subject.kind().into()));
        }
        Ok(())
    }

    /// The record of exactly this subject.
    pub fn moderation(&self, subject: &Subject) -> Option<&Moderation> {
        self.moderation.get(subject).map(|record| &**record)
    }

    /// All records, by subject.
    pub fn moderations(&self) -> impl Iterator<Item = (&Subject, &Moderation)> {
        self.moderation.iter().map(|(subject, record)| (subject, &**record))
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

    /// Whether a client or a tenant may not act.
    pub(crate) fn is_barred(&self, subject: &Subject) -> bool {
        self.moderation(subject).is_some_and(|record| record.standing != Standing::None)
    }
}

fn check_words(reason: &str, case: Option<&str>) -> Result<(), Rejection> {
    if reason.trim().is_empty() || reason.len() > MAX_REASON {
        return Err(Rejection::Invalid(format!("a reason of 1 to {MAX_REASON} bytes is needed")));
    }
    if case.is_some_and(|case| case.len() > MAX_CASE) {
        return Err(Rejection::Invalid(format!("a case reference has at most {MAX_CASE} bytes")));
    }
    Ok(())
}
