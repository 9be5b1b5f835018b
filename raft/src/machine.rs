//! The registry as Raft's state machine.
//!
//! The order matters: entries are applied to the working copy, the copy is published, the applied index is
//! raised, and only then proposers are answered. Whoever has heard of an index can therefore read a state
//! at or above it.

use crate::{
    aside::aside,
    backup::capture::Captured,
    lease::{
        board,
        holder::Lease,
        seat::{Loss, Seat},
    },
    snapshot::{Image, shelf::Shelf},
    types::{Applied, LogId, Logged, SnapshotMeta, StoredMembership, TypeConfig},
};
use arc_swap::ArcSwap;
use futures::{Stream, TryStreamExt};
use hapi_registry_state::{Command, Entry, Outcome, Registry, Timestamp};
use openraft::{
    EntryPayload,
    alias::SnapshotOf,
    storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine},
};
use prometheus::IntCounter;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    sync::{broadcast, watch},
    task::spawn_blocking,
};

/// How many checkpoints may follow on one that somebody waits for.
const MOST_CAPTURES: usize = 8;

/// A state that all replicas can compare: the hash of the registry at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The index of the checkpoint's entry.
    pub index: u64,
    /// SHA-256 of the registry's canonical records at that index.
    pub hash: [u8; 32],
}

/// What the machine shows to readers. None of it takes a lock.
pub(crate) struct Published {
    state: ArcSwap<Registry>,
    applied: watch::Sender<u64>,
    latest: AtomicU64,
    checkpoint: watch::Sender<Option<Checkpoint>>,
    /// The state at each checkpoint, for those who wait for one; nobody keeps it otherwise.
    captures: broadcast::Sender<Captured>,
}

impl Default for Published {
    fn default() -> Self {
        Self {
            state: ArcSwap::default(),
            applied: watch::Sender::new(0),
            latest: AtomicU64::new(0),
            checkpoint: watch::Sender::new(None),
            captures: broadcast::Sender::new(MOST_CAPTURES),
        }
    }
}

impl Published {
    pub(crate) fn state(&self) -> Arc<Registry> {
        self.state.load_full()
    }

    /// The applied index. The state is at or above it.
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// The applied index at this moment.
    pub(crate) fn applied_index(&self) -> u64 {
        *self.applied.borrow()
    }

    /// The latest instant of any applied entry.
    pub(crate) fn latest(&self) -> Timestamp {
        Timestamp(self.latest.load(Ordering::Relaxed))
    }

    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        *self.checkpoint.borrow()
    }

    /// The states at the checkpoints from now on.
    pub(crate) fn captures(&self) -> broadcast::Receiver<Captured> {
        self.captures.subscribe()
    }

    fn publish(&self, registry: &Registry) {
        board::publish(&self.state, &self.applied, Arc::new(registry.clone()), registry.applied());
    }

    /// The lease in `seat`, and a state that was loaded after it.
    pub(crate) fn capture(&self, seat: &Seat) -> Option<(Lease, Arc<Registry>)> {
        seat.capture(&self.state)
    }

    /// Checkpoints are hashed in parallel; an older one that ends later must not win.
    fn check(&self, checkpoint: Checkpoint) {
        self.checkpoint.send_if_modified(|last| {
            let newer = last.is_none_or(|last| last.index < checkpoint.index);
            if newer {
                *last = Some(checkpoint);
            }
            newer
        });
    }
}

/// The working copy that entries are applied to.
pub(crate) struct Machine {
    registry: Registry,
    last: Option<LogId>,
    membership: StoredMembership,
    published: Arc<Published>,
    seat: Arc<Seat>,
    shelf: Shelf,
    counters: SnapshotCounters,
}

/// How often snapshots were made and taken over.
#[derive(Clone)]
pub(crate) struct SnapshotCounters {
    pub(crate) built: IntCounter,
    pub(crate) installed: IntCounter,
}

impl Machine {
    /// An empty machine; openraft hands it the newest snapshot and the committed entries after it.
    pub(crate) fn new(
        shelf: Shelf,
        published: Arc<Published>,
        seat: Arc<Seat>,
        counters: SnapshotCounters,
    ) -> Self {
        Self {
            registry: Registry::default(),
            last: None,
            membership: StoredMembership::default(),
            published,
            seat,
            shelf,
            counters,
        }
    }

    fn apply_entry(&mut self, log_id: LogId, payload: EntryPayload<Logged, u64, crate::PeerNode>) -> Applied {
        self.last = Some(log_id);
        match payload {
            EntryPayload::Normal(Logged(entry)) => self.apply_command(log_id.index, &entry),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(log_id), membership);
                self.skip(log_id.index)
            }
            EntryPayload::Blank => self.skip(log_id.index),
        }
    }

    fn apply_command(&mut self, index: u64, entry: &Entry) -> Applied {
        self.published.latest.fetch_max(entry.at.0, Ordering::Relaxed);
        let outcome = self.registry.apply(index, entry);
        if matches!(entry.command, Command::Checkpoint) {
            self.hash_aside(index);
        }
        Applied { outcome, denies: self.registry.denied() == index }
    }

    fn skip(&mut self, index: u64) -> Applied {
        self.registry.skip(index);
        Applied { outcome: Outcome::Done, denies: false }
    }

    /// Hashes the state as it is now, while later entries are applied.
    fn hash_aside(&self, index: u64) {
        let (registry, published) = (self.registry.clone(), self.published.clone());
        tokio::spawn(async move {
            let hash = aside("checkpoint", move || (registry.hash(), registry)).await;
            match hash {
                Ok((hash, registry)) => {
                    let checkpoint = Checkpoint { index, hash };
                    published.check(checkpoint);
                    // Without anybody who waits, it is not kept.
                    let _ = published.captures.send(Captured { checkpoint, registry });
                }
                Err(error) => tracing::error!(%error, index, "a checkpoint has no hash"),
            }
        });
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Image;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let mut waiting: Vec<(ApplyResponder<TypeConfig>, Applied)> = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let applied = self.apply_entry(entry.log_id, entry.payload);
            waiting.extend(responder.map(|responder| (responder, applied)));
        }
        self.published.publish(&self.registry);
        for (responder, applied) in waiting {
            responder.send(applied);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            registry: self.registry.clone(),
            last: self.last,
            membership: self.membership.clone(),
            shelf: self.shelf.clone(),
            built: self.counters.built.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, image: Image) -> io::Result<()> {
        // openraft installs this node's own file at start; only what came from others is counted.
        let foreign = matches!(image, Image::Arrived { .. });
        let (shelf, announced) = (self.shelf.clone(), meta.clone());
        let read = spawn_blocking(move || shelf.read(&announced, image)).await;
        self.registry = read.map_err(io::Error::other)??;
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        if foreign {
            self.seat.give_up(Loss::Snapshot);
        }
        self.published.publish(&self.registry);
        self.counters.installed.inc_by(u64::from(foreign));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, Image>>> {
        Ok(self
            .shelf
            .newest()
            .map(|(meta, file)| SnapshotOf::<TypeConfig, Image> { meta, snapshot: Image::Kept(file) }))
    }
}

/// Writes one snapshot out of a clone that costs a few pointers, while the machine goes on.
pub(crate) struct Builder {
    registry: Registry,
    last: Option<LogId>,
    membership: StoredMembership,
    shelf: Shelf,
    built: IntCounter,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, Image>> {
        let last = self.last.ok_or_else(|| io::Error::other("there is nothing to make a snapshot of"))?;
        let (registry, membership, shelf) =
            (self.registry.clone(), self.membership.clone(), self.shelf.clone());
        // Encoding on the runtime would hold up heartbeats and every proposal behind it.
        let written = aside("snapshot", move || shelf.write(&registry, last, membership)).await;
        let (meta, file) = written??;
        self.built.inc();
        Ok(SnapshotOf::<TypeConfig, Image> { meta, snapshot: Image::Kept(file) })
    }
}
