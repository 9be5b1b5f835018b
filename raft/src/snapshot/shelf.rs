//! The newest snapshot of this node, and how one is made of the registry and back.

use crate::{
    snapshot::{Header, Image, restore::restore},
    types::{LogId, SnapshotMeta, StoredMembership},
    wire,
};
use hapi_registry_state::{Registry, snapshot};
use hapi_storage::{SnapshotFile, SnapshotStore, snapshot_name};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// How many snapshot files stay: the newest, and the one before it for a transfer under way.
const KEPT_FILES: usize = 2;

/// The snapshot files; clones share them.
#[derive(Clone)]
pub(crate) struct Shelf {
    store: SnapshotStore,
    newest: Arc<Mutex<Option<(SnapshotMeta, SnapshotFile)>>>,
}

impl Shelf {
    /// Finds the newest snapshot, whose content the store has checked. Blocking.
    pub(crate) fn open(store: SnapshotStore) -> io::Result<Self> {
        let newest =
            store.newest()?.map(|file| header(&file).map(|header| (header.meta, file))).transpose()?;
        Ok(Self { store, newest: Arc::new(Mutex::new(newest)) })
    }

    pub(crate) fn newest(&self) -> Option<(SnapshotMeta, SnapshotFile)> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes `registry` as the snapshot at `last`. Blocking, and long.
    pub(crate) fn write(
        &self,
        registry: &Registry,
        last: LogId,
        membership: StoredMembership,
    ) -> io::Result<(SnapshotMeta, SnapshotFile)> {
        let meta = SnapshotMeta { last_log_id: Some(last), last_membership: membership };
        let header = Header { meta: meta.clone(), records: snapshot::form(registry) };
        let header = wire::encode(&header).map_err(io::Error::other)?;
        let name = snapshot_name(last.committed_leader_id().term, last.index);
        let mut writer = self.store.create(&header, &name)?;
        for record in snapshot::records(registry) {
            writer.push(&record)?;
        }
        let file = writer.finish()?;
        self.place(&meta, &file)?;
        Ok((meta, file))
    }

    /// Reads the registry out of `image` and makes it the newest snapshot. Blocking, and long.
    pub(crate) fn read(&self, meta: &SnapshotMeta, image: Image) -> io::Result<Registry> {
        let file = image.settle()?;
        let header = header(&file)?;
        let registry = restore(&file, header.records)?;
        let expected = meta.last_log_id.map_or(0, |id| id.index);
        if header.meta != *meta || registry.applied() != expected {
            let text = format!(
                "snapshot {} holds the state at index {}, {expected} was announced",
                file.path.display(),
                registry.applied()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.place(meta, &file)?;
        Ok(registry)
    }

    /// A snapshot that was begun before a newer one was installed does not take its place.
    fn place(&self, meta: &SnapshotMeta, file: &SnapshotFile) -> io::Result<()> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_none_or(|(kept, _)| kept.last_log_id <= meta.last_log_id) {
            *newest = Some((meta.clone(), file.clone()));
        }
        self.store.prune(KEPT_FILES)?;
        Ok(())
    }
}

/// Reads a snapshot whole, as a start would, and tells up to which index it reaches. Blocking, and long.
pub(crate) fn look_at(file: &SnapshotFile) -> io::Result<u64> {
    restore(file, header(file)?.records).map(|registry| registry.applied())
}

fn header(file: &SnapshotFile) -> io::Result<Header> {
    wire::decode(&file.header).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("snapshot {}: header {error}", file.path.display()),
        )
    })
}
