//! Mirrors: other registries whose catalogs this one follows.
//!
//! Whoever reads the other registry proposes what it says; what comes of that is judged here, so that every replica
//! takes over the same, and nothing twice. A server belongs to whoever brought its name: what was published here, or
//! comes from another source, is never touched. Moderation is a record of its own and lifted by no source.

use crate::{
    Change, Glob, Imported, MirrorId, Outcome, Principal, Published, Registry, Rejection, Right, Server,
    ServerName, Status, Subject, Timestamp, Version,
    server::{check_carried, check_message, differs, immutable_change},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most mirrors: each is a task of the leader, and a label of its metrics.
const MAX_MIRRORS: usize = 16;

/// The longest base URL and the longest cursor, in bytes.
const MAX_URL: usize = 2_000;
pub(crate) const MAX_CURSOR: usize = 4_096;

/// The most globs of each list.
const MAX_GLOBS: usize = 100;

/// The longest rest between two passes, in seconds. The alert on a mirror that does not succeed counts on it.
const MAX_INTERVAL: u32 = 3_600;

/// What an operator says of a mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorSettings {
    /// The base URL of the other registry; behind it come `/v0.1/servers` and the like.
    pub url: String,
    /// Which server names are taken; without any, all.
    pub include: Vec<Glob>,
    /// Which are not, whatever is included.
    pub exclude: Vec<Glob>,
    /// How long it rests between two passes, in seconds.
    pub interval: u32,
}

impl MirrorSettings {
    /// Whether servers of this name are taken.
    pub fn takes(&self, name: &ServerName) -> bool {
        let listed = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(name.as_str()));
        (self.include.is_empty() || listed(&self.include)) && !listed(&self.exclude)
    }

    /// Whether whoever has come so far by `other` may go on from there by these.
    fn continues(&self, other: &Self) -> bool {
        (&self.url, &self.include, &self.exclude) == (&other.url, &other.include, &other.exclude)
    }

    fn check(&self) -> Result<(), Rejection> {
        let invalid = |text: String| Err(Rejection::Invalid(text));
        if self.url.is_empty() || self.url.len() > MAX_URL {
            return invalid(format!("the base URL of a mirror has 1 to {MAX_URL} characters"));
        }
        if self.include.len().max(self.exclude.len()) > MAX_GLOBS {
            return invalid(format!("each list of a mirror has at most {MAX_GLOBS} globs"));
        }
        if !(1..=MAX_INTERVAL).contains(&self.interval) {
            return invalid(format!("the interval of a mirror is 1 to {MAX_INTERVAL} seconds"));
        }
        Ok(())
    }
}

/// How far a mirror has come. Instants are the source's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorProgress {
    /// What changed before this is here. None until a first pass has come to its end.
    pub mark: Option<Timestamp>,
    /// The pass that is under way.
    pub pass: Option<MirrorPass>,
}

/// A pass through the pages of a source, between two pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorPass {
    /// Only what changed later was asked for; without it, everything.
    pub since: Option<Timestamp>,
    /// Where the next page begins, in the source's own words.
    pub cursor: String,
    /// When the pass began: what changes meanwhile may stand on pages that were read before.
    pub began: Timestamp,
    /// The latest change that it has seen.
    pub newest: Option<Timestamp>,
}

/// Another registry that is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// What an operator says of it.
    pub settings: MirrorSettings,
    /// How far it has come.
    pub progress: MirrorProgress,
    /// The index of the entry that made these settings.
    pub index: u64,
}

/// A mirror moves on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorStep {
    /// By which settings it came there: [`Mirror::index`].
    pub of: u64,
    /// How far it has come.
    pub to: MirrorProgress,
}

/// Where a version was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) source: MirrorId,
    /// When it had last changed there, as of what was taken over.
    pub(crate) updated_at: Timestamp,
}

/// What comes of a version that a source names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mirrored {
    /// It is new here.
    Added,
    /// Its status, its message or its document is another now.
    Updated,
    /// The source has deleted it, and so it is deleted here: that denies.
    Deleted,
    /// It stood so already.
    Unchanged,
    /// The server was published here, or comes from another source: it stays as it is.
    Kept,
    /// The source has deleted it, and it has never been here.
    Absent,
}

impl Mirrored {
    /// Whether anything is written.
    pub fn changes(self) -> bool {
        matches!(self, Self::Added | Self::Updated | Self::Deleted)
    }

    /// The word for it in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Absent => "absent",
        }
    }
}

impl Registry {
    pub(crate) fn put_mirror(
        &mut self,
        by: &Principal,
        id: &MirrorId,
        settings: &MirrorSettings,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        settings.check()?;
        let former = self.mirrors.get(id);
        if let Some(former) = former.filter(|former| former.settings == *settings) {
            return Ok(Outcome::Unchanged { since: former.index });
        }
        if former.is_none() && self.mirrors.len() >= MAX_MIRRORS {
            return Err(Rejection::Invalid(format!("there are at most {MAX_MIRRORS} mirrors")));
        }
        // What other lists or another registry would have given is not known from where the former ones have led.
        let kept = former.filter(|former| settings.continues(&former.settings));
        let progress = kept.map(|former| former.progress.clone()).unwrap_or_default();
        let mirror = Mirror { settings: settings.clone(), progress, index: self.applied };
        self.mirrors.insert(id.clone(), Arc::new(mirror));
        Ok(Outcome::Done)
    }

    pub(crate) fn remove_mirror(&mut self, by: &Principal, id: &MirrorId) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        match self.mirrors.remove(id) {
            Some(_) => Ok(Outcome::Done),
            None => Err(Rejection::MirrorNotFound(id.clone())),
        }
    }

    /// Takes over what `source` says. The leader does so by itself, operators in their own name.
    pub(crate) fn mirror_all(
        &mut self,
        by: &Principal,
        source: &MirrorId,
        entries: &[Imported],
        step: Option<&MirrorStep>,
    ) -> Result<Outcome, Rejection> {
        if *by != Principal::System {
            self.require(by, Right::Operate)?;
        }
        let moved = step.map(|step| self.moved(source, step)).transpose()?;
        let outcomes: Vec<_> = entries.iter().map(|entry| self.mirror_one(source, entry)).collect();
        let told = entries.iter().zip(&outcomes);
        let told = told.filter_map(|(entry, outcome)| Some((entry, outcome.as_ref().ok()?)));
        let changed = told.filter(|(_, what)| what.changes());
        self.keep_changes(changed.map(|(entry, what)| Change::of(entry, *what)).collect());
        if let Some(moved) = moved {
            self.mirrors.insert(source.clone(), Arc::new(moved));
        }
        Ok(Outcome::Mirrored(outcomes))
    }

    fn moved(&self, id: &MirrorId, MirrorStep { of, to }: &MirrorStep) -> Result<Mirror, Rejection> {
        if to.pass.as_ref().is_some_and(|pass| pass.cursor.len() > MAX_CURSOR) {
            return Err(Rejection::Invalid(format!("a cursor has at most {MAX_CURSOR} bytes")));
        }
        match self.mirror(id).filter(|mirror| mirror.index == *of) {
            Some(mirror) => Ok(Mirror { progress: to.clone(), ..mirror.clone() }),
            None => Err(Rejection::MirrorNotFound(id.clone())),
        }
    }

    fn mirror_one(&mut self, source: &MirrorId, entry: &Imported) -> Result<Mirrored, Rejection> {
        let outcome = self.mirroring(source, entry)?;
        match outcome {
            Mirrored::Added => self.insert_version(&entry.document, self.taken(entry))?,
            Mirrored::Updated | Mirrored::Deleted => self.renew(entry),
            Mirrored::Unchanged | Mirrored::Kept | Mirrored::Absent => return Ok(outcome),
        }
        let (name, version) = (entry.document.name().clone(), entry.document.version().clone());
        if outcome == Mirrored::Deleted {
            self.denied = self.applied;
            self.revoke(Subject::Version(name.clone(), version.clone()));
        }
        let updated_at = said_at(entry).unwrap_or(self.at);
        self.origins.insert((name, version), Arc::new(Origin { source: source.clone(), updated_at }));
        Ok(outcome)
    }

    /// What would come of `entry` in this state, if `source` named it.
    ///
    /// # Errors
    /// Why it is not taken over.
    pub fn mirroring(&self, source: &MirrorId, entry: &Imported) -> Result<Mirrored, Rejection> {
        check_message(entry.status, entry.status_message.as_deref())?;
        let (name, version) = (entry.document.name(), entry.document.version());
        let server = self.server(name);
        let published = server.and_then(|server| server.versions.get(version));
        let origin = self.origin(name, version).filter(|origin| origin.source == *source);
        match (published, origin) {
            (Some(published), Some(origin)) => self.judge_known(origin, published, entry),
            _ if server.is_some() && !self.is_all_from(source, name) => Ok(Mirrored::Kept),
            _ if entry.status == Status::Deleted => Ok(Mirrored::Absent),
            _ => {
                self.check_new_version(server.unwrap_or(&Server::default()), &entry.document)?;
                check_carried(&Arc::new(self.taken(entry)))?;
                Ok(Mirrored::Added)
            }
        }
    }

    /// What is older than what was taken over before tells nothing: a cache on the way may have it from yesterday.
    /// So what somebody here says of the version stands until the source says something new.
    fn judge_known(
        &self,
        origin: &Origin,
        published: &Published,
        entry: &Imported,
    ) -> Result<Mirrored, Rejection> {
        let status = differs(published, entry.status, entry.status_message.as_deref());
        let deletes = entry.status == Status::Deleted && published.status != Status::Deleted;
        // A deletion counts even if the source has not dated it anew.
        let is_old = entry
            .updated_at
            .is_some_and(|at| at < origin.updated_at || (at == origin.updated_at && !deletes));
        if is_old || !(status || published.document != entry.document) {
            return Ok(Mirrored::Unchanged);
        }
        // It binds whatever else has become of the document.
        if deletes {
            return Ok(Mirrored::Deleted);
        }
        self.renewed(published, entry).map(|_| Mirrored::Updated)
    }

    /// Whether every version of the server came from `source`. A stranger's version under a name that somebody here
    /// publishes under would become the latest one.
    fn is_all_from(&self, source: &MirrorId, name: &ServerName) -> bool {
        let is_from = |version| self.origin(name, version).is_some_and(|origin| origin.source == *source);
        self.server(name).is_some_and(|server| server.versions.keys().all(is_from))
    }

    /// A version as it is taken over first. It changed *here* just now, so that whoever follows this registry hears of
    /// it; and no source dates anything into the future.
    fn taken(&self, entry: &Imported) -> Published {
        let published_at = entry.published_at.map_or(self.at, |at| at.min(self.at));
        Published {
            document: (&entry.document).into(),
            status: entry.status,
            status_message: entry.status_message.clone(),
            status_changed_at: said_at(entry).map_or(published_at, |at| at.min(self.at)),
            published_at,
            updated_at: self.at,
            index: self.applied,
        }
    }

    fn renew(&mut self, entry: &Imported) {
        let (name, version) = (entry.document.name(), entry.document.version());
        let known = self.servers.get(name).and_then(|server| Some((server, server.versions.get(version)?)));
        let Some((server, published)) = known else { return };
        let (mut server, published) = ((**server).clone(), published.clone());
        // Of a deleted version whose document may not be taken over, the former one stays.
        let document =
            self.renewed(&published, entry).map_or_else(|_| published.document.clone(), |new| new.document);
        server.replace([Arc::new(Published { document, ..self.restated(&published, entry) })]);
        self.put_server(name.clone(), server);
    }

    /// The version with what the source says now.
    ///
    /// # Errors
    /// What connects may not change. Who has a descriptor for the endpoint that was published would else reach another
    /// one under the same version.
    fn renewed(&self, published: &Published, entry: &Imported) -> Result<Published, Rejection> {
        if let Some(part) = immutable_change(&published.document, &entry.document) {
            let (name, version) = (entry.document.name().to_string(), entry.document.version().to_string());
            return Err(Rejection::Immutable { name, version, part: part.to_owned() });
        }
        let renewed = Published { document: (&entry.document).into(), ..self.restated(published, entry) };
        check_carried(&Arc::new(renewed.clone()))?;
        Ok(renewed)
    }

    /// The version with its former document and the status that the source says now.
    fn restated(&self, published: &Published, entry: &Imported) -> Published {
        let changes = differs(published, entry.status, entry.status_message.as_deref());
        let changed_at = said_at(entry).map_or(self.at, |at| at.min(self.at));
        Published {
            status: entry.status,
            status_message: entry.status_message.clone(),
            status_changed_at: if changes { changed_at } else { published.status_changed_at },
            updated_at: self.at,
            index: self.applied,
            ..published.clone()
        }
    }

    fn origin(&self, name: &ServerName, version: &Version) -> Option<&Origin> {
        self.origins.get(&(name.clone(), version.clone())).map(|origin| &**origin)
    }

    /// The mirror that a version was taken over by, if it was not published here.
    pub fn source(&self, name: &ServerName, version: &Version) -> Option<&MirrorId> {
        self.origin(name, version).map(|origin| &origin.source)
    }

    /// The mirror of this id.
    pub fn mirror(&self, id: &MirrorId) -> Option<&Mirror> {
        self.mirrors.get(id).map(|mirror| &**mirror)
    }

    /// All mirrors, by id.
    pub fn mirrors(&self) -> impl Iterator<Item = (&MirrorId, &Mirror)> {
        self.mirrors.iter().map(|(id, mirror)| (id, &**mirror))
    }

    /// How many versions were taken over from `source`. Looks at all that came from anywhere.
    pub fn mirrored_from(&self, source: &MirrorId) -> usize {
        self.origins.values().filter(|origin| origin.source == *source).count()
    }
}

/// When the version last changed, by the word of its source.
fn said_at(entry: &Imported) -> Option<Timestamp> {
    entry.updated_at.or(entry.published_at)
}
