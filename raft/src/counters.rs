//! What a replica counts as it happens.

use crate::{
    lease::{
        renewal::Renewal,
        seat::Loss,
        session::{Cover, Covered},
    },
    peer::route::Route,
};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};
use std::time::Duration;

/// From a confirmation at once to a lease that has to run out.
const SEAL_SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Present from the start, so that a rate over the first of a kind is not lost.
fn labelled<const N: usize>(counter: IntCounterVec, labels: [&str; N]) -> IntCounterVec {
    for label in labels {
        counter.with_label_values(&[label]);
    }
    counter
}

/// Counters; clones share them.
#[derive(Clone)]
pub(crate) struct Counters {
    pub(crate) sent: IntCounterVec,
    pub(crate) refused: IntCounter,
    pub(crate) strangers: IntCounter,
    pub(crate) forwarded: IntCounterVec,
    pub(crate) read_rounds: IntCounter,
    pub(crate) reads: IntCounter,
    pub(crate) snapshots_built: IntCounter,
    pub(crate) snapshots_installed: IntCounter,
    pub(crate) snapshots_sent: IntCounter,
    pub(crate) promotions: IntCounter,
    pub(crate) demotions: IntCounter,
    pub(crate) replacements: IntCounter,
    pub(crate) removals: IntCounter,
    pub(crate) renewals: IntCounterVec,
    pub(crate) lease_drops: IntCounterVec,
    pub(crate) seals: IntCounter,
    pub(crate) covers: IntCounterVec,
    pub(crate) seal_seconds: Histogram,
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
            strangers: IntCounter::new(
                "hapi_peer_handshakes_refused_total",
                "Connections to the peer port that did not prove a cluster secret.",
            )?,
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
            demotions: IntCounter::new(
                "hapi_raft_demotions_total",
                "Dead voters made learners by this leader.",
            )?,
            replacements: IntCounter::new(
                "hapi_raft_replacements_total",
                "Dead voters whose place this leader gave to a learner.",
            )?,
            removals: IntCounter::new(
                "hapi_raft_removals_total",
                "Removed nodes taken out of the membership by this leader.",
            )?,
            renewals: labelled(
                vec(
                    "hapi_lease_renewals_total",
                    "Requests for a serving lease, by what came of them.",
                    "result",
                )?,
                Renewal::ALL.map(Renewal::name),
            ),
            lease_drops: labelled(
                vec("hapi_lease_drops_total", "Serving leases that were lost, by reason.", "reason")?,
                Loss::ALL.map(Loss::name),
            ),
            seals: IntCounter::new("hapi_seals_total", "Seals that this node completed as leader.")?,
            covers: labelled(
                vec("hapi_seal_covers_total", "Nodes covered in those seals, by how.", "cover")?,
                [Cover::Confirmed.name(), Cover::LeaseExpired.name()],
            ),
            seal_seconds: Histogram::with_opts(
                HistogramOpts::new("hapi_seal_seconds", "Time from commit to seal.")
                    .buckets(SEAL_SECONDS.into()),
            )?,
        })
    }

    /// Counts a seal that is complete.
    pub(crate) fn sealed(&self, nodes: &[Covered]) {
        self.seals.inc();
        for covered in nodes {
            self.covers.with_label_values(&[covered.cover.name()]).inc();
        }
        let slowest = nodes.iter().map(|covered| covered.ms).max().unwrap_or_default();
        self.seal_seconds.observe(Duration::from_millis(slowest).as_secs_f64());
    }

    /// Everything, for registration and scraping.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn prometheus::core::Collector>> {
        vec![
            Box::new(self.sent.clone()),
            Box::new(self.refused.clone()),
            Box::new(self.strangers.clone()),
            Box::new(self.forwarded.clone()),
            Box::new(self.read_rounds.clone()),
            Box::new(self.reads.clone()),
            Box::new(self.snapshots_built.clone()),
            Box::new(self.snapshots_installed.clone()),
            Box::new(self.snapshots_sent.clone()),
            Box::new(self.promotions.clone()),
            Box::new(self.demotions.clone()),
            Box::new(self.replacements.clone()),
            Box::new(self.removals.clone()),
            Box::new(self.renewals.clone()),
            Box::new(self.lease_drops.clone()),
            Box::new(self.seals.clone()),
            Box::new(self.covers.clone()),
            Box::new(self.seal_seconds.clone()),
        ]
    }
}
