//! What can be told of a data folder without starting the node that it belongs to.

use crate::{
    ClusterFacts, Stage, TypeConfig, formation,
    formation::phase::Phase,
    identity::{self, KeyCondition},
    snapshot::shelf,
    start,
    wire::{self, WireError},
};
use hapi_registry_state::NodeId;
use hapi_storage::{Inspection, SnapshotFile};
use serde::de::DeserializeOwned;
use std::{io, path::Path};

pub use hapi_storage::SeenFile;

/// What a look at a data folder has found.
#[derive(Debug, Default)]
pub struct Checkup {
    /// Whether a process has it open: what is in the database was left alone then.
    pub is_locked: bool,
    /// Free space of its file system, in bytes.
    pub free: Option<u64>,
    /// A start needs so much.
    pub start_needs: u64,
    /// Who owns the folder itself.
    pub user: u32,
    /// Everything in it.
    pub files: Vec<SeenFile>,
    /// What this process may not read, or cannot.
    pub unread: Vec<String>,
    /// What is broken, one sentence each.
    pub damage: Vec<String>,
    /// The format of the folder, where it is not the one that this program reads, and that one.
    pub foreign_format: Option<(u32, u32)>,
    /// The last index that was acknowledged.
    pub acknowledged: Option<u64>,
    /// The first and the last index of the log.
    pub log: Option<(u64, u64)>,
    /// Up to where the newest snapshot reaches.
    pub snapshot: Option<u64>,
    /// The node that it belongs to.
    pub node: Option<NodeId>,
    /// What is wrong with the key that speaks for it.
    pub key: KeyCondition,
    /// How far it has come on its way into a cluster.
    pub stage: Option<Stage>,
    /// What it agreed on with its cluster.
    pub facts: Option<ClusterFacts>,
}

/// Looks at the data folder `dir`, and changes nothing in it. What has to be copied is copied to a folder below `scratch`
/// for as long as this takes. Blocks.
///
/// # Errors
/// The folder cannot be listed, or the copy cannot be made.
pub fn checkup(dir: &Path, scratch: &Path) -> io::Result<Checkup> {
    let seen = hapi_storage::inspect::<TypeConfig>(dir, scratch)?;
    let mut checkup = Checkup::default();
    checkup.read_records(&seen, dir);
    checkup.read_snapshot(seen.snapshot.as_ref());
    Ok(checkup.with_folder(seen))
}

impl Checkup {
    fn with_folder(self, seen: Inspection) -> Self {
        let foreign = seen.format.filter(|format| *format != seen.supported_format);
        let damage = seen.damage.iter().map(ToString::to_string).chain(self.damage).collect();
        Self {
            is_locked: seen.is_locked,
            free: seen.free,
            start_needs: seen.start_needs,
            user: seen.user,
            files: seen.files,
            unread: seen.unread,
            damage,
            foreign_format: foreign.map(|format| (format, seen.supported_format)),
            acknowledged: seen.acknowledged,
            log: seen.log,
            ..self
        }
    }

    fn read_records(&mut self, seen: &Inspection, dir: &Path) {
        let identity: Option<(u64, [u8; 32])> = self.record(seen, identity::META_KEY);
        self.node = identity.map(|(id, _)| NodeId(id));
        self.key = identity.map_or(KeyCondition::Unknown, |(_, pinned)| identity::look_at_key(dir, &pinned));
        let phase: Option<Phase> = self.record(seen, formation::desk::META_KEY);
        // Absent until the first step was taken.
        self.stage = identity.map(|_| phase.unwrap_or_default().stage());
        self.facts = self.record(seen, start::FACTS);
    }

    fn record<T: DeserializeOwned>(&mut self, seen: &Inspection, key: &str) -> Option<T> {
        let decoded: Result<T, WireError> = wire::decode(seen.records.get(key)?);
        decoded.map_err(|error| self.damage.push(format!("the {key} record: {error}"))).ok()
    }

    fn read_snapshot(&mut self, file: Option<&SnapshotFile>) {
        let read = file.map(shelf::look_at).transpose();
        match read {
            Ok(index) => self.snapshot = index,
            Err(error) => self.damage.push(error.to_string()),
        }
    }
}
