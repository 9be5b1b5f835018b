//! Servers, their immutable versions and the publisher's own status.

use crate::{
    Change, Imported, KeptServerJson, Mirrored, Namespace, Outcome, Principal, Registry, Rejection, Right,
    ServerJson, ServerName, Subject, Timestamp, Version, Versions, snapshot,
};
use imbl::OrdSet;
use serde::{Deserialize, Serialize};
use std::{str::FromStr, sync::Arc};

/// The most versions of one server.
const MAX_VERSIONS: usize = 10_000;
/// The longest status message, in characters.
const MAX_STATUS_MESSAGE: usize = 500;

/// What the publisher says of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    Active,
    /// Works, but another version is recommended.
    Deprecated,
    /// Withdrawn.
    Deleted,
}

impl Status {
    /// The status's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Deleted => "deleted",
        }
    }

    pub(crate) fn act(self) -> &'static str {
        match self {
            Self::Active => "set_status_active",
            Self::Deprecated => "set_status_deprecated",
            Self::Deleted => "set_status_deleted",
        }
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Active, Self::Deprecated, Self::Deleted]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("unknown status `{text}`: use active, deprecated or deleted"))
    }
}

/// One version: the document never changes, the status may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The document, put away.
    pub document: KeptServerJson,
    /// What the publisher says of it.
    pub status: Status,
    /// Why, if the publisher said.
    pub status_message: Option<String>,
    /// When the status last changed.
    pub status_changed_at: Timestamp,
    /// When it was published.
    pub published_at: Timestamp,
    /// When anything about it last changed.
    pub updated_at: Timestamp,
    /// The index of the entry that last changed it.
    pub index: u64,
}

impl Published {
    /// With `name`, which is the same, in the one piece of memory that all versions of a server share.
    pub(crate) fn under(mut self, name: &ServerName) -> Self {
        self.document.share_name(name);
        self
    }
}

/// All versions of one name.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// By version, in the order of their text.
    pub versions: Versions,
    /// The version that `latest` means; none when all are deleted or in review.
    pub latest: Option<Version>,
    /// The highest stable version that is neither deleted nor in review. Kept like `latest`, since every connect asks for it.
    pub(crate) stable: Option<Version>,
    /// Versions in review. Derived from the records of moderation: neither of the two above is one of them.
    pub(crate) withheld: OrdSet<Version>,
}

impl Server {
    /// The version that a connect without a version means: the highest stable one that is neither deleted nor in
    /// review, else `latest`.
    pub(crate) fn default_version(&self) -> Option<&Version> {
        self.stable.as_ref().or(self.latest.as_ref())
    }

    fn highest(&self, wanted: impl Fn(&Published) -> bool) -> Option<&Version> {
        self.versions
            .iter()
            .filter(|(_, published)| self.offers(published) && wanted(published))
            .max_by(|(a, x), (b, y)| Version::compare((a, x.published_at.0), (b, y.published_at.0)))
            .map(|(version, _)| version)
    }

    fn offers(&self, published: &Published) -> bool {
        published.status != Status::Deleted && !self.withholds(published.document.version())
    }

    pub(crate) fn withholds(&self, version: &Version) -> bool {
        self.withheld.contains(version)
    }

    /// Keeps a version for those who review it, or not any more. The others are looked at only if it was one of the
    /// highest.
    pub(crate) fn withhold(&mut self, version: &Version, in_review: bool) {
        if !in_review {
            self.withheld.remove(version);
            return self.promote(version);
        }
        self.withheld.insert(version.clone());
        if self.latest.as_ref() == Some(version) || self.stable.as_ref() == Some(version) {
            self.replace([]);
        }
    }

    /// Makes a version that is there the highest, if it is.
    fn promote(&mut self, version: &Version) {
        if !self.versions.get(version).is_some_and(|published| self.offers(published)) {
            return;
        }
        if version.is_stable() && self.outranks(version, self.stable.as_ref()) {
            self.stable = Some(version.clone());
        }
        if self.outranks(version, self.latest.as_ref()) {
            self.latest = Some(version.clone());
        }
    }

    fn outranks(&self, version: &Version, other: Option<&Version>) -> bool {
        let dated = |version| (version, self.versions.get(version).map_or(0, |found| found.published_at.0));
        other.is_none_or(|other| Version::compare(dated(version), dated(other)).is_gt())
    }

    /// Adds a version that is not there yet. It is compared with the highest ones only, so that a snapshot
    /// of a server with very many versions is read in time in proportion to their number.
    pub(crate) fn add(&mut self, published: Arc<Published>) {
        let version = published.document.version().clone();
        self.versions.insert(published);
        self.promote(&version);
    }

    /// Replaces versions. The highest ones are searched for once, after all, since that looks at every version.
    pub(crate) fn replace(&mut self, changed: impl IntoIterator<Item = Arc<Published>>) {
        for published in changed {
            self.versions.insert(published);
        }
        self.latest = self.highest(|_| true).cloned();
        self.stable = self.highest(|published| published.document.version().is_stable()).cloned();
    }
}

impl Registry {
    pub(crate) fn publish(&mut self, by: &Principal, document: &ServerJson) -> Result<Outcome, Rejection> {
        self.require_namespace(by, &document.name().namespace())?;
        let at = self.at;
        self.insert_version(
            document,
            Published {
                document: document.into(),
                status: Status::Active,
                status_message: None,
                status_changed_at: at,
                published_at: at,
                updated_at: at,
                index: self.applied,
            },
        )?;
        Ok(Outcome::Done)
    }

    pub(crate) fn import(&mut self, by: &Principal, entries: &[Imported]) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        let outcomes: Vec<_> = entries.iter().map(|entry| self.import_one(entry)).collect();
        if self.keeps_imports() {
            let done = entries.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
            self.keep_changes(done.map(|(entry, _)| Change::of(entry, Mirrored::Added)).collect());
        }
        Ok(Outcome::Imported(outcomes))
    }

    fn import_one(&mut self, entry: &Imported) -> Result<(), Rejection> {
        check_message(entry.status, entry.status_message.as_deref())?;
        let published_at = entry.published_at.unwrap_or(self.at);
        let updated_at = entry.updated_at.unwrap_or(published_at);
        self.insert_version(
            &entry.document,
            Published {
                document: (&entry.document).into(),
                status: entry.status,
                status_message: entry.status_message.clone(),
                status_changed_at: updated_at,
                published_at,
                updated_at,
                index: self.applied,
            },
        )
    }

    pub(crate) fn insert_version(
        &mut self,
        document: &ServerJson,
        published: Published,
    ) -> Result<(), Rejection> {
        let known = self.servers.get_key_value(document.name());
        let (name, mut server) = known.map_or_else(
            || (document.name().clone(), Server::default()),
            |(name, server)| (name.clone(), (**server).clone()),
        );
        self.check_new_version(&server, document)?;
        let published = Arc::new(published.under(&name));
        check_carried(&published)?;
        for loser in self.remotes.claim(document, self.applied) {
            self.denied = self.applied;
            self.revoke(Subject::Server(loser));
        }
        let version = published.document.version().clone();
        if self.reviews_new_entries() {
            // Before it is there: it must not be `latest` in between, not even for a search.
            server.withheld.insert(version.clone());
        }
        server.add(published);
        self.put_server(name.clone(), server);
        if self.reviews_new_entries() {
            self.await_approval(&name, &version);
        }
        Ok(())
    }

    pub(crate) fn put_server(&mut self, name: ServerName, server: Server) {
        self.search.update(self.applied, &name, self.servers.get(&name).map(|former| &**former), &server);
        self.servers.insert(name.clone(), Arc::new(server));
        self.forget_former_health(&name);
    }

    pub(crate) fn check_new_version(&self, server: &Server, document: &ServerJson) -> Result<(), Rejection> {
        let (name, version) = (document.name(), document.version());
        if server.versions.contains_key(version) {
            return Err(Rejection::VersionExists { name: name.to_string(), version: version.to_string() });
        }
        if server.versions.len() >= MAX_VERSIONS {
            return Err(Rejection::TooManyVersions { name: name.to_string(), limit: MAX_VERSIONS });
        }
        self.remotes.check(document)
    }

    pub(crate) fn set_status(
        &mut self,
        by: &Principal,
        name: &ServerName,
        version: Option<&Version>,
        status: Status,
        message: Option<&str>,
    ) -> Result<Outcome, Rejection> {
        self.require_namespace(by, &name.namespace())?;
        check_message(status, message)?;
        let mut server = match self.servers.get(name) {
            Some(server) => (**server).clone(),
            None => return Err(Rejection::ServerNotFound(name.to_string())),
        };
        let changed = select(&server, name, version)?;
        let changed: Vec<_> =
            changed.into_iter().filter(|published| differs(published, status, message)).collect();
        if changed.is_empty() {
            return Err(Rejection::StatusUnchanged(status.as_str().into()));
        }
        let updated = u32::try_from(changed.len()).unwrap_or(u32::MAX);
        server
            .replace(changed.iter().map(|published| Arc::new(self.with_status(published, status, message))));
        self.put_server(name.clone(), server);
        Ok(Outcome::StatusChanged { updated })
    }

    /// Replaces a version's document. Where clients go and what they expect there stays as it was published, so that
    /// nothing is denied.
    pub(crate) fn edit(&mut self, by: &Principal, document: &ServerJson) -> Result<Outcome, Rejection> {
        let (name, version) = (document.name(), document.version());
        self.require_namespace(by, &name.namespace())?;
        let mut server = match self.servers.get(name) {
            Some(server) => (**server).clone(),
            None => return Err(Rejection::ServerNotFound(name.to_string())),
        };
        let former = select(&server, name, Some(version))?.remove(0);
        if let Some(part) = immutable_change(&former.document, document) {
            let (name, version, part) = (name.to_string(), version.to_string(), part.to_owned());
            return Err(Rejection::Immutable { name, version, part });
        }
        if former.document == *document {
            return Ok(Outcome::Unchanged { since: former.index });
        }
        let edited = Arc::new(Published {
            document: document.into(),
            updated_at: self.at,
            index: self.applied,
            ..(*former).clone()
        });
        check_carried(&edited)?;
        server.versions.insert(edited);
        self.put_server(name.clone(), server);
        Ok(Outcome::Done)
    }

    fn with_status(&self, published: &Published, status: Status, message: Option<&str>) -> Published {
        Published {
            status,
            status_message: message.map(str::to_owned),
            status_changed_at: self.at,
            updated_at: self.at,
            index: self.applied,
            ..published.clone()
        }
    }

    fn require_namespace(&self, by: &Principal, namespace: &Namespace) -> Result<(), Rejection> {
        self.require(by, Right::Publish)?;
        if self.acting(by)?.publishes(namespace) {
            Ok(())
        } else {
            Err(Rejection::NamespaceForbidden(namespace.to_string()))
        }
    }

    /// The server of this name.
    pub fn server(&self, name: &ServerName) -> Option<&Server> {
        self.servers.get(name).map(|server| &**server)
    }

    /// How many servers there are, and how many versions in all.
    pub fn catalog_size(&self) -> (usize, usize) {
        (self.servers.len(), self.servers.values().map(|server| server.versions.len()).sum())
    }
}

/// What differs of that which may not, if anything.
pub(crate) fn immutable_change(former: &KeptServerJson, document: &ServerJson) -> Option<&'static str> {
    if former.immutable_digest() != document.immutable_digest() {
        Some("the remotes and packages")
    } else if former.endpoints().connect != *document.connect() {
        Some("the `connect` members of the publisher's metadata")
    } else {
        None
    }
}

pub(crate) fn check_carried(published: &Arc<Published>) -> Result<(), Rejection> {
    if snapshot::carries(published) {
        return Ok(());
    }
    Err(Rejection::Invalid("the document is too large once its placeholders are read".into()))
}

fn select(
    server: &Server,
    name: &ServerName,
    version: Option<&Version>,
) -> Result<Vec<Arc<Published>>, Rejection> {
    match version {
        None => Ok(server.versions.values().cloned().collect()),
        Some(version) => match server.versions.get(version) {
            Some(published) => Ok(vec![published.clone()]),
            None => {
                let (name, version) = (name.to_string(), version.to_string());
                Err(Rejection::VersionNotFound { name, version })
            }
        },
    }
}

pub(crate) fn differs(published: &Published, status: Status, message: Option<&str>) -> bool {
    published.status != status || published.status_message.as_deref() != message
}

pub(crate) fn check_message(status: Status, message: Option<&str>) -> Result<(), Rejection> {
    let Some(message) = message else { return Ok(()) };
    if status == Status::Active {
        return Err(Rejection::Invalid("a status message does not go with status `active`".into()));
    }
    if message.chars().count() > MAX_STATUS_MESSAGE {
        return Err(Rejection::Invalid(format!(
            "a status message has at most {MAX_STATUS_MESSAGE} characters"
        )));
    }
    Ok(())
}
