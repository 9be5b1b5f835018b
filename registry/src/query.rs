//! Reading the catalog: lists, versions, one version; each only as far as the viewer may see.

use crate::{
    Caller, Down, Endpoint, Governed, KeptServerJson, MirrorId, Published, Rank, Ranking, Registry, Right,
    Server, ServerName, Standing, Status, Tenant, Timestamp, Transport, Version, search::Found,
};
use std::{ops::Bound, sync::Arc};

/// Who looks.
#[derive(Clone, Copy, Debug)]
pub enum Viewer<'a> {
    /// Nobody in particular: sees what is public.
    Anonymous,
    /// A caller: sees its tenant's private namespaces too, or everything if it governs.
    Caller(&'a Caller),
}

impl Viewer<'_> {
    fn governs(self) -> bool {
        matches!(self, Self::Caller(caller) if caller.role.may(Right::ReadGovernance))
    }
}

/// Which versions a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionFilter {
    /// All.
    #[default]
    Any,
    /// Of each server the latest.
    Latest,
    /// Those with exactly this version.
    Exact(Version),
}

/// A place in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// In a search, how well the server matches.
    pub rank: Option<Rank>,
    /// The server.
    pub name: ServerName,
    /// Its version.
    pub version: Version,
}

/// What a list shows.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Start behind this place.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
    /// Only those that changed after this instant; shows deleted ones too.
    pub updated_since: Option<Timestamp>,
    /// Only servers that have to do with these words, the best match first.
    pub search: Option<String>,
    /// Which versions.
    pub version: VersionFilter,
    /// Show deleted ones too.
    pub include_deleted: bool,
}

/// One page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The entries.
    pub items: Vec<Listed>,
    /// Where the next page starts, if there is more.
    pub next: Option<Position>,
}

/// One version as a viewer sees it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The version.
    pub published: Arc<Published>,
    /// Its status for clients that know nothing of moderation: moderated ones look deleted.
    pub status: Status,
    /// Whether `latest` means this one.
    pub is_latest: bool,
    /// In a search, how well the server matches.
    pub rank: Option<Rank>,
    /// What moderation says of it.
    pub governance: Governance,
}

/// What moderation says of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governance {
    /// Whether it is vouched for.
    pub verified: bool,
    /// How it stands.
    pub moderation: Standing,
    /// Why, if it is moderated.
    pub reason: Option<String>,
    /// When the moderation lifts itself, if it does.
    pub expires_at: Option<Timestamp>,
    /// When a moderator last acted on it, or the publisher last changed its status.
    pub changed_at: Timestamp,
    /// Whether a connect could succeed, as far as that does not depend on the client.
    pub connectable: bool,
    /// The index of the entry that last changed it.
    pub index: u64,
    /// Whether and since when the server does not answer at this version's endpoint, behind the health gate.
    pub down: Option<Down>,
    /// The mirror that it was taken over by, if it was not published here.
    pub source: Option<MirrorId>,
}

impl Registry {
    /// A page of the catalog, ordered by name and then by version; in a search, the best match first, and each
    /// server's versions together.
    pub fn list(&self, query: &ListQuery, viewer: Viewer<'_>) -> Page {
        match &query.search {
            None => {
                let after = query.after.as_ref();
                let first = after.map_or(Bound::Unbounded, |after| Bound::Included(after.name.clone()));
                let servers = self.servers.range((first, Bound::Unbounded));
                self.page(servers.map(|(name, server)| (None, name, server)), query, viewer)
            }
            Some(words) => self.page_of(self.search.find(words), query, viewer),
        }
    }

    /// The servers that match `question` best. It holds while [`Self::still_ranks`] says so.
    pub fn rank(&self, question: &str) -> Ranking {
        self.search.rank(question)
    }

    /// Whether a ranking that was made earlier, or later, is what [`Self::rank`] would say.
    pub fn still_ranks(&self, ranking: &Ranking) -> bool {
        self.search.still_ranks(ranking)
    }

    /// What [`Self::list`] answers to a search whose ranking is known.
    pub fn list_ranked(&self, ranking: &Ranking, query: &ListQuery, viewer: Viewer<'_>) -> Page {
        let page = self.page_of(ranking.found(), query, viewer);
        if page.next.is_some() || ranking.is_whole() { page } else { self.list(query, viewer) }
    }

    fn page_of(&self, found: impl Iterator<Item = Found>, query: &ListQuery, viewer: Viewer<'_>) -> Page {
        let after = query.after.as_ref().map(Position::found);
        let behind = |found: &Found| after.as_ref().is_none_or(|after| found >= after);
        let servers =
            found.filter(behind).map(|found| (found.rank.0, self.servers.get_key_value(&found.name)));
        let known =
            servers.filter_map(|(rank, known)| known.map(|(name, server)| (Some(rank), name, server)));
        self.page(known, query, viewer)
    }

    fn page<'a>(
        &'a self,
        servers: impl Iterator<Item = (Option<Rank>, &'a ServerName, &'a Arc<Server>)>,
        query: &ListQuery,
        viewer: Viewer<'_>,
    ) -> Page {
        let mut page = Page::default();
        for (rank, name, server) in servers {
            if !self.visible(name, viewer) {
                continue;
            }
            for (version, published) in server.versions.iter() {
                let after = query.after.as_ref();
                let before = after.is_some_and(|after| after.name == *name && *version <= after.version);
                if before || !matches_query(query, server, version) {
                    continue;
                }
                let listed = Listed { rank, ..self.listed(server, published) };
                if !shown(&listed, query, viewer) {
                    continue;
                }
                if page.items.len() == query.limit {
                    page.next = page.items.last().map(Listed::position);
                    return page;
                }
                page.items.push(listed);
            }
        }
        page
    }

    /// All versions of a server, the newest first; none if the viewer sees no such server.
    pub fn versions(&self, name: &ServerName, include_deleted: bool, viewer: Viewer<'_>) -> Vec<Listed> {
        let Some(server) = self.server(name).filter(|_| self.visible(name, viewer)) else {
            return Vec::new();
        };
        let query = ListQuery { include_deleted, ..ListQuery::default() };
        let mut listed = self.all_versions(server);
        listed.retain(|listed| shown(listed, &query, viewer));
        listed
    }

    fn all_versions(&self, server: &Server) -> Vec<Listed> {
        let listed = server.versions.values().map(|published| self.listed(server, published));
        let mut listed: Vec<_> = listed.collect();
        listed.sort_by(|a, b| {
            let key = |listed: &Listed| (listed.published.published_at, listed.published.index);
            key(b)
                .cmp(&key(a))
                .then_with(|| b.published.document.version().cmp(a.published.document.version()))
        });
        listed
    }

    /// One version, or what `latest` means when `version` is `None`.
    pub fn version(
        &self,
        name: &ServerName,
        version: Option<&Version>,
        include_deleted: bool,
        viewer: Viewer<'_>,
    ) -> Option<Listed> {
        let server = self.server(name).filter(|_| self.visible(name, viewer))?;
        let version = version.or(server.latest.as_ref())?;
        let listed = self.listed(server, server.versions.get(version)?);
        let query = ListQuery { include_deleted, ..ListQuery::default() };
        shown(&listed, &query, viewer).then_some(listed)
    }

    /// One version as those who govern see it, whatever its status.
    pub fn entry(&self, name: &ServerName, version: &Version) -> Option<Listed> {
        let server = self.server(name)?;
        Some(self.listed(server, server.versions.get(version)?))
    }

    /// All versions of a server as those who govern see them, whatever their status, the newest first.
    pub fn entries(&self, name: &ServerName) -> Vec<Listed> {
        self.server(name).map(|server| self.all_versions(server)).unwrap_or_default()
    }

    fn visible(&self, name: &ServerName, viewer: Viewer<'_>) -> bool {
        match viewer {
            _ if viewer.governs() => true,
            Viewer::Anonymous => self.sees(None, name),
            Viewer::Caller(caller) => {
                caller.publishes(&name.namespace()) || self.sees(self.tenant_of(caller), name)
            }
        }
    }

    fn tenant_of(&self, caller: &Caller) -> Option<&Tenant> {
        self.tenant(caller.tenant.as_ref()?)
    }

    fn listed(&self, server: &Server, published: &Arc<Published>) -> Listed {
        let (name, version) = (published.document.name(), published.document.version());
        let (moderation, record) = self.standing(name, version);
        let status = if moderation == Standing::None { published.status } else { Status::Deleted };
        let verified = self.is_verified(name, version);
        let last_act = self.last_act(name, version);
        let down = self.down(name).filter(|down| goes_to(&published.document, &down.endpoint)).cloned();
        let reachable = status != Status::Deleted
            && down.is_none()
            && (verified || self.settings.governed == Governed::All);
        let governance = Governance {
            verified,
            moderation,
            reason: record.map(|record| record.reason.clone()),
            expires_at: record.and_then(|record| record.expires_at),
            // What was lifted changed too: who follows by `updated_since` must hear of it.
            changed_at: last_act.map_or(Timestamp::default(), |act| act.at).max(published.status_changed_at),
            connectable: reachable && published.document.is_streamable(),
            index: last_act.map_or(0, |act| act.index).max(published.index),
            down,
            source: self.source(name, version).cloned(),
        };
        let is_latest = server.latest.as_ref() == Some(version);
        Listed { published: published.clone(), status, is_latest, rank: None, governance }
    }
}

/// Whether clients of a version go to this endpoint, unless they choose another by what they fill in.
fn goes_to(document: &KeptServerJson, endpoint: &Endpoint) -> bool {
    let remotes = document.remotes();
    let first = remotes.iter().find(|remote| remote.transport == Transport::StreamableHttp);
    first.is_some_and(|remote| remote.url.literal().as_ref() == Some(endpoint))
}

impl Listed {
    /// The entry's place in the list.
    pub fn position(&self) -> Position {
        let document = &self.published.document;
        Position { rank: self.rank, name: document.name().clone(), version: document.version().clone() }
    }

    /// When the viewer's picture of this entry last changed: by the publisher or by a moderator.
    pub fn updated_at(&self) -> Timestamp {
        self.published.updated_at.max(self.governance.changed_at)
    }
}

impl Position {
    fn found(&self) -> Found {
        Found::new(self.rank.unwrap_or(Rank::MAX), self.name.clone())
    }
}

fn matches_query(query: &ListQuery, server: &Server, version: &Version) -> bool {
    match &query.version {
        VersionFilter::Any => true,
        VersionFilter::Latest => server.latest.as_ref() == Some(version),
        VersionFilter::Exact(exact) => exact == version,
    }
}

fn shown(listed: &Listed, query: &ListQuery, viewer: Viewer<'_>) -> bool {
    if let Some(since) = query.updated_since {
        return listed.updated_at() > since && not_in_review(listed, viewer);
    }
    (listed.status != Status::Deleted || query.include_deleted) && not_in_review(listed, viewer)
}

/// What is quarantined is hidden until it has been reviewed.
fn not_in_review(listed: &Listed, viewer: Viewer<'_>) -> bool {
    listed.governance.moderation != Standing::Quarantined || viewer.governs()
}
