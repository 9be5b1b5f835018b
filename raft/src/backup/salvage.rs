//! Reading what a node of a lost cluster has left.

use crate::{
    ClusterFacts, ClusterSecret, StartError,
    formation::{desk, phase::Phase},
    snapshot::{Image, shelf::Shelf},
    start,
    types::{Logged, TypeConfig},
    wire,
};
use hapi_registry_state::{Registry, SecretFingerprint};
use hapi_storage::{MetaStore, Options, Storage};
use openraft::{
    EntryPayload,
    storage::{RaftLogReader, RaftLogStorage},
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeSet, io, path::Path};
use tokio::task::spawn_blocking;

/// Where it stands which secrets a node had when it ran last.
const SECRETS: &str = "secrets";

/// How many entries are read at a time.
const BATCH: u64 = 1_000;

/// What a node knew.
pub(crate) struct Salvaged {
    pub(crate) registry: Registry,
    pub(crate) facts: ClusterFacts,
    pub(crate) cluster_id: u128,
    pub(crate) secrets: BTreeSet<SecretFingerprint>,
    /// The last entry that it knew to be committed.
    pub(crate) committed: u64,
}

/// Notes by which secrets this node runs, for whoever has to recover from its folder.
pub(crate) async fn note_secrets(meta: &MetaStore, secrets: &[ClusterSecret]) -> Result<(), StartError> {
    let noted: BTreeSet<SecretFingerprint> = secrets.iter().map(ClusterSecret::fingerprint).collect();
    let failed = |error: &dyn std::fmt::Display| StartError::Config(format!("the noted secrets: {error}"));
    let bytes = wire::encode(&noted).map_err(|error| failed(&error))?;
    if meta.get(SECRETS).map_err(|error| failed(&error))?.as_deref() == Some(&bytes) {
        return Ok(());
    }
    meta.put(SECRETS, bytes).await.map_err(|error| failed(&error))
}

/// Reads the newest snapshot in `dir` and every entry behind it, also those that the node did not know to be
/// committed: whatever was acknowledged and reached this node is among them.
pub(crate) async fn salvage(dir: &Path) -> Result<Salvaged, StartError> {
    let opened = dir.to_owned();
    let storage = spawn_blocking(move || Storage::<TypeConfig>::open(&opened, Options::default())).await??;
    let salvaged = read(&storage, dir).await;
    storage.close().await;
    salvaged
}

async fn read(storage: &Storage<TypeConfig>, dir: &Path) -> Result<Salvaged, StartError> {
    let nobody = || StartError::Config(format!("{} holds no node that was in a cluster", dir.display()));
    let phase: Phase = stored(&storage.meta, desk::META_KEY)?.ok_or_else(nobody)?;
    let cluster_id = phase.cluster_id().ok_or_else(nobody)?;
    let facts = stored(&storage.meta, start::FACTS)?.ok_or_else(nobody)?;
    let secrets = stored(&storage.meta, SECRETS)?.unwrap_or_default();
    let mut log = storage.log.clone();
    let committed = log.read_committed().await.map_err(StartError::Snapshot)?;
    let registry = replay(storage).await.map_err(StartError::Snapshot)?;
    let committed = committed.map_or(0, |id| id.index);
    Ok(Salvaged { registry, facts, cluster_id, secrets, committed })
}

async fn replay(storage: &Storage<TypeConfig>) -> io::Result<Registry> {
    let snapshots = storage.snapshots.clone();
    let mut registry =
        spawn_blocking(move || newest(&Shelf::open(snapshots)?)).await.map_err(io::Error::other)??;
    let mut log = storage.log.clone();
    let last = log.get_log_state().await?.last_log_id.map_or(0, |id| id.index);
    let mut next = registry.applied() + 1;
    while next <= last {
        for entry in log.try_get_log_entries(next..(next + BATCH).min(last + 1)).await? {
            next = entry.log_id.index + 1;
            match entry.payload {
                EntryPayload::Normal(Logged(entry)) => drop(registry.apply(next - 1, &entry)),
                EntryPayload::Membership(_) | EntryPayload::Blank => registry.skip(next - 1),
            }
        }
    }
    Ok(registry)
}

fn newest(shelf: &Shelf) -> io::Result<Registry> {
    match shelf.newest() {
        Some((meta, file)) => shelf.read(&meta, Image::Kept(file)),
        None => Ok(Registry::default()),
    }
}

fn stored<T: DeserializeOwned>(meta: &MetaStore, key: &'static str) -> Result<Option<T>, StartError> {
    let unreadable = |error: &dyn std::fmt::Display| StartError::Config(format!("the stored {key}: {error}"));
    let bytes = meta.get(key).map_err(|error| unreadable(&error))?;
    bytes.map(|bytes| wire::decode(&bytes)).transpose().map_err(|error| unreadable(&error))
}
