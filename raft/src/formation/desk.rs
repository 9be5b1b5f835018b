//! The desk at which decisions are written down.

use crate::{
    config::ClusterFacts,
    directory::Directory,
    formation::{
        phase::{Phase, Sighting},
        rules::Formation,
    },
    types::PeerNode,
    wire,
};
use hapi_storage::MetaStore;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

pub(crate) const META_KEY: &str = "formation";

/// Where the phase is kept: one decision at a time, durable before anyone hears of it.
pub(crate) struct Desk {
    formation: Mutex<Formation>,
    shown: watch::Sender<Phase>,
    meta: MetaStore,
    directory: Arc<Directory>,
}

impl Desk {
    /// Goes on where an earlier process of this data folder stood.
    pub(crate) fn open(
        meta: MetaStore,
        directory: Arc<Directory>,
        (me, record): (u64, PeerNode),
        facts: ClusterFacts,
        expect: Option<u16>,
    ) -> Result<Self, String> {
        let stored = meta.get(META_KEY).map_err(|error| error.to_string())?;
        let phase = stored.map(|bytes| wire::decode(&bytes)).transpose();
        let phase: Phase =
            phase.map_err(|error| format!("stored phase of formation: {error}"))?.unwrap_or_default();
        directory.tell(phase.roll());
        let shown = watch::Sender::new(phase.clone());
        let formation = Mutex::new(Formation::new(me, record, facts, expect, phase));
        Ok(Self { formation, shown, meta, directory })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.shown.borrow().clone()
    }

    /// Waits until this node knows itself to be a member.
    pub(crate) async fn joined(&self) {
        let mut shown = self.shown.subscribe();
        // The sender lives as long as this.
        let _ = shown.wait_for(|phase| matches!(phase, Phase::Member { .. })).await;
    }

    pub(crate) async fn epoch(&self) -> u64 {
        self.formation.lock().await.epoch()
    }

    pub(crate) async fn sighting(&self) -> Sighting {
        self.formation.lock().await.sighting()
    }

    /// Lets `rule` decide. If the phase changes, it is durable before this returns.
    pub(crate) async fn decide<T>(&self, rule: impl FnOnce(&mut Formation) -> T) -> Result<T, String> {
        let mut formation = self.formation.lock().await;
        let mut next = formation.clone();
        let answer = rule(&mut next);
        if next.phase() != formation.phase() {
            let bytes = wire::encode(next.phase()).map_err(|error| error.to_string())?;
            self.meta.put(META_KEY, bytes).await.map_err(|error| error.to_string())?;
            self.show(next.phase());
            *formation = next;
        }
        Ok(answer)
    }

    fn show(&self, phase: &Phase) {
        match phase {
            Phase::Searching => self.directory.forget_told(),
            phase => self.directory.tell(phase.roll()),
        }
        tracing::info!(stage = ?phase.stage(), "formation");
        self.shown.send_replace(phase.clone());
    }
}
