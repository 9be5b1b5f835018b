//! What a replica counts as it happens.

use crate::peer::route::Route;
use prometheus::{IntCounter, IntCounterVec, Opts};

/// Counters; clones share them.
#[derive(Clone)]
pub(crate) struct Counters {
    pub(crate) sent: IntCounterVec,
    pub(crate) refused: IntCounter,
    pub(crate) forwarded: IntCounterVec,
    pub(crate) read_rounds: IntCounter,
    pub(crate) reads: IntCounter,
    pub(crate) snapshots_built: IntCounter,
    pub(crate) snapshots_installed: IntCounter,
    pub(crate) snapshots_sent: IntCounter,
    pub(crate) promotions: IntCounter,
}

impl Counters {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let vec = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let sent = vec("hapi_peer_messages_sent_total", "Messages sent to other nodes.", "kind")?;
        // Present from the start, so that a rate over the first message of a kind is not lost.
        for route in Route::ALL {
            sent.with_label_values(&[route.name()]);
        }
        Ok(Self {
            sent,
            refused: IntCounter::new("hapi_peer_messages_refused_total", "Messages of others turned away.")?,
            forwarded: vec("hapi_raft_forwarded_proposals_total", "Proposals sent to the leader.", "result")?,
            read_rounds: IntCounter::new(
                "hapi_raft_read_index_rounds_total",
                "Rounds for linearizable reads.",
            )?,
            reads: IntCounter::new("hapi_raft_read_index_requests_total", "Reads that shared those rounds.")?,
            snapshots_built: IntCounter::new("hapi_raft_snapshots_built_total", "Snapshots written.")?,
            snapshots_installed: IntCounter::new(
                "hapi_raft_snapshots_installed_total",
                "Snapshots received.",
            )?,
            snapshots_sent: IntCounter::new(
                "hapi_raft_snapshots_sent_total",
                "Snapshots brought to others.",
            )?,
            promotions: IntCounter::new(
                "hapi_raft_promotions_total",
                "Learners made voters by this leader.",
            )?,
        })
    }

    /// Everything, for registration and scraping.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn prometheus::core::Collector>> {
        vec![
            Box::new(self.sent.clone()),
            Box::new(self.refused.clone()),
            Box::new(self.forwarded.clone()),
            Box::new(self.read_rounds.clone()),
            Box::new(self.reads.clone()),
            Box::new(self.snapshots_built.clone()),
            Box::new(self.snapshots_installed.clone()),
            Box::new(self.snapshots_sent.clone()),
            Box::new(self.promotions.clone()),
        ]
    }
}
