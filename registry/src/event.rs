//! What changed, entry by entry, for whoever follows this registry.
//!
//! An event is a record of the audit chain whose act was done: so there is one for an index at most, they come in the
//! order of the log, and all are kept. An entry that takes over many versions is one event, which lists them: a batch is
//! bounded where it is made, and its index alone is a place from which a reader can go on.

use crate::{AuditRecord, Imported, Mirrored, Registry, ServerName, Version};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The first release that keeps what an import has brought. While a member runs an older one, which does not, none may:
/// equal entries must give equal states.
const KEEPS_IMPORTS: (u64, u64) = (0, 2);

/// What an entry for many versions did to one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Of which server.
    pub name: ServerName,
    /// The version.
    pub version: Version,
    /// What was done: something that changes.
    pub what: Mirrored,
}

impl Change {
    pub(crate) fn of(entry: &Imported, what: Mirrored) -> Self {
        Self { name: entry.document.name().clone(), version: entry.document.version().clone(), what }
    }
}

/// An entry that was done.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Who did what, and when.
    pub record: &'a AuditRecord,
    /// What became of each version, where the entry was for many.
    pub changes: &'a [Change],
}

/// What subjects may be, by the word before their slash.
const KINDS: [&str; 13] = [
    "server",
    "servers",
    "version",
    "versions",
    "namespace",
    "client",
    "tenant",
    "token",
    "key",
    "node",
    "mirror",
    "webhook",
    "settings",
];

impl Event<'_> {
    /// What its subject is; what concerns the whole cluster is of the kind `cluster`.
    pub fn kind(&self) -> &'static str {
        // Its subject is where the node is reached.
        if self.record.act == "join_roster" {
            return "node";
        }
        let word = self.record.subject.split('/').next().unwrap_or_default();
        KINDS.into_iter().find(|kind| *kind == word).unwrap_or("cluster")
    }
}

impl Registry {
    /// What was done behind `index`, oldest first.
    pub fn events_after(&self, index: u64) -> impl Iterator<Item = Event<'_>> {
        let done = self.audit_chain_after(index).filter(|chained| chained.record.outcome == "done");
        done.map(|chained| {
            let changes = self.changes.get(&chained.record.index);
            Event { record: &chained.record, changes: changes.map_or(&[], |changes| changes) }
        })
    }

    /// Keeps what the present entry has done.
    pub(crate) fn keep_changes(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.changes.insert(self.applied, Arc::new(changes));
        }
    }

    /// Whether every node keeps what an import brings.
    pub(crate) fn keeps_imports(&self) -> bool {
        !self.roster.is_empty() && self.roster.values().all(|member| runs(&member.version, KEEPS_IMPORTS))
    }

    /// With the names that the catalog has already, so that each is in memory once.
    pub(crate) fn restore_changes(&mut self, index: u64, mut changes: Vec<Change>) {
        for change in &mut changes {
            let Some((name, server)) = self.servers.get_key_value(&change.name) else { continue };
            change.name = name.clone();
            if let Some(published) = server.versions.get(&change.version) {
                change.version = published.document.version().clone();
            }
        }
        self.changes.insert(index, Arc::new(changes));
    }
}

/// Whether a version such as `0.2.0` is of this release or a later one.
fn runs(version: &str, release: (u64, u64)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let (major, minor) = (parts.next().flatten(), parts.next().flatten());
    major.zip(minor).is_some_and(|of| of >= release)
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn releases_are_compared_by_number() {
        for (version, is_later) in [
            ("0.1.9", false),
            ("0.2.0", true),
            ("0.10.0", true),
            ("1.0.0-rc.1", true),
            ("2", false),
            ("new", false),
        ] {
            assert_eq!(runs(version, (0, 2)), is_later, "{version}");
        }
    }
}
