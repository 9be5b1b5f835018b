//! Which server owns a remote URL, so that no server can get a descriptor for another's audience.

use crate::{Endpoint, Rejection, ServerJson, ServerName, UrlTemplate};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};

/// The most URLs of one version, a template counted once for each origin that it can have. A version could
/// otherwise claim tens of thousands, each of which stays in the memory of every replica for ever.
const MAX_CLAIMS: usize = 256;

/// Origin, the index of the entry that published the template first, and its number within that entry:
/// templates on one origin stand together, the oldest first.
pub(crate) type TemplateKey = (String, u64, u32);

/// A server's claim to all that a template can become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TemplateClaim {
    pub(crate) server: ServerName,
    pub(crate) url: Arc<UrlTemplate>,
}

/// The claims of all servers. None ever ends: descriptors for a deleted server's URL may still be out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// URLs without placeholders, normalised.
    pub(crate) literals: OrdMap<String, ServerName>,
    pub(crate) templates: OrdMap<TemplateKey, TemplateClaim>,
}

impl Claims {
    /// The one server that may have descriptors for `endpoint`. A URL that a server wrote out is that
    /// server's; of templates that can become it, the one that was published first owns it.
    pub(crate) fn owner(&self, endpoint: &Endpoint) -> Option<&ServerName> {
        let oldest = || self.templates_on(endpoint.origin()).find(|claim| claim.url.matches(endpoint));
        self.literals.get(endpoint.normalised()).or_else(|| oldest().map(|claim| &claim.server))
    }

    /// Whether `document` may have its remotes: they are not too many, and none is another server's.
    pub(crate) fn check(&self, document: &ServerJson) -> Result<(), Rejection> {
        let mut urls = document.remotes().iter().map(|remote| &remote.url);
        if urls.clone().map(|url| url.origin_choices().len()).sum::<usize>() > MAX_CLAIMS {
            return Err(Rejection::Invalid(format!(
                "a version has at most {MAX_CLAIMS} remotes and origins"
            )));
        }
        match urls.find(|url| self.is_taken(document.name(), url)) {
            Some(url) => Err(Rejection::RemoteUrlTaken { url: url.as_str().to_owned() }),
            None => Ok(()),
        }
    }

    /// Enters the remotes of `document`, which the entry at `index` publishes. Tells the servers from which that
    /// takes a URL that a template of theirs could become: their descriptors for that URL end here.
    pub(crate) fn claim(&mut self, document: &ServerJson, index: u64) -> BTreeSet<ServerName> {
        let mut losers = BTreeSet::new();
        for remote in document.remotes() {
            match remote.url.literal() {
                Some(endpoint) => losers.extend(self.claim_literal(document.name(), &endpoint)),
                None => self.claim_template(document.name(), &remote.url, index),
            }
        }
        losers
    }

    fn claim_literal(&mut self, server: &ServerName, endpoint: &Endpoint) -> Option<ServerName> {
        let loser = self.owner(endpoint).filter(|owner| *owner != server).cloned();
        self.literals.entry(endpoint.normalised().into()).or_insert_with(|| server.clone());
        loser
    }

    /// Enters a template once. The same text with other choices is another template: it can become
    /// other URLs, which may belong to someone else by now.
    fn claim_template(&mut self, server: &ServerName, url: &UrlTemplate, index: u64) {
        let claim = TemplateClaim { server: server.clone(), url: Arc::new(url.clone()) };
        for origin in url.origin_choices() {
            if self.templates_on(origin).any(|known| *known == claim) {
                continue;
            }
            let key = (origin.clone(), index, self.next_number(origin, index));
            self.templates.insert(key, claim.clone());
        }
    }

    fn next_number(&self, origin: &str, index: u64) -> u32 {
        let of_entry = (origin.to_owned(), index, 0)..=(origin.to_owned(), index, u32::MAX);
        self.templates.range(of_entry).next_back().map_or(0, |((.., number), _)| number.saturating_add(1))
    }

    /// Whether another server wrote just this, placeholders included.
    fn is_taken(&self, name: &ServerName, url: &UrlTemplate) -> bool {
        if let Some(endpoint) = url.literal() {
            return self.literals.get(endpoint.normalised()).is_some_and(|owner| owner != name);
        }
        let same = |claim: &TemplateClaim| claim.server != *name && claim.url.as_str() == url.as_str();
        url.origin_choices().iter().any(|origin| self.templates_on(origin).any(same))
    }

    fn templates_on(&self, origin: &str) -> impl Iterator<Item = &TemplateClaim> {
        let from = self.templates.range((origin.to_owned(), 0, 0)..);
        from.take_while(move |((at, ..), _)| at == origin).map(|(_, claim)| claim)
    }
}
