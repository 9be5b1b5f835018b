//! How a leader learns that a deny-type entry binds every node, and how others learn it from the leader.

use crate::{
    lease::{clock::Reading, granter::Progress, rules::Mutant, session::Cover, session::Covered},
    node::Node,
    peer::{
        message::{Confirm, SealAnswer, SealRequest},
        route::Lane,
    },
    read_index::Round,
    trace,
    types::LogId,
};
use hapi_registry_state::{Command, NodeId, Principal};
use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout_at},
};

/// How long a node may take to see the entry that it is asked about.
pub(crate) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);

/// Rest before a node that did not confirm is asked again, or the next leader.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Slack for a question that waits at the leader for as long as its caller wants.
const NETWORK: Duration = Duration::from_millis(500);

/// How it is known that an index binds every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealReceipt {
    /// The index.
    pub index: u64,
    /// How each node was covered; empty if that is not known any more.
    pub nodes: Vec<Covered>,
}

/// Why there is no receipt.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// Not sealed within the time. It is being sealed, or will be by the next leader.
    #[error("the entry at index {0} does not bind every node yet")]
    Pending(u64),
    /// The log does not reach that far.
    #[error("there is no entry at index {0}")]
    Beyond(u64),
}

/// Collects confirmations and settles seals, until the runtime ends. Does nothing while no seal is open.
pub(crate) async fn run(node: Arc<Node>) {
    let mut changes = node.granter.changes();
    let mut asked = JoinSet::new();
    let mut under_way = BTreeSet::new();
    let mut applied = node.published.applied();
    loop {
        changes.mark_unchanged();
        let own = *applied.borrow_and_update();
        let now = node.environment.clocks();
        node.granter.confirm(NodeId(node.id), own, &now);
        node.settle(&now);
        let awaited = node.granter.awaited();
        for (other, index) in awaited.iter().filter(|(other, _)| other.0 != node.id) {
            if under_way.insert(*other) {
                asked.spawn(ask(node.clone(), *other, *index));
            }
        }
        let expiry = node.granter.next_expiry(&now);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            // Only a seal makes this node's own progress worth a look.
            _ = applied.changed(), if !awaited.is_empty() => {}
            Some(answered) = asked.join_next() => if let Ok(other) = answered { under_way.remove(&other); },
            () = sleep(expiry.unwrap_or(Duration::MAX).max(Duration::from_millis(1))), if expiry.is_some() => {}
        }
    }
}

/// Asks `other` for its word on `index`, once.
async fn ask(node: Arc<Node>, other: NodeId, index: u64) -> NodeId {
    let within = CONFIRM_TIMEOUT + NETWORK;
    match node.pool.ask(other.0, Lane::Pulse, &Confirm { index }, within).await {
        Ok(applied) => node.granter.confirm(other, applied, &node.environment.clocks()),
        Err(error) => {
            tracing::debug!(node = %other, index, %error, "not confirmed");
            sleep(RETRY_PAUSE).await;
        }
    }
    other
}

impl Node {
    fn settle(self: &Arc<Self>, now: &Reading) {
        let settled = self.granter.settle(now);
        let Some((highest, _)) = settled.last() else { return };
        let highest = *highest;
        // Read once all are covered, and before anybody is told.
        let acked_at_boottime_ns = self.environment.boottime_ns();
        for (index, nodes) in &settled {
            tracing::info!(index, acked_at_boottime_ns, covers = covers(nodes), "sealed");
            self.counters.sealed(nodes);
        }
        self.granter.announce();
        self.record_seal(highest);
    }

    /// Commits that everything up to `index` is sealed. It spares later sessions a barrier, and no more than
    /// that: nobody waits for it.
    fn record_seal(self: &Arc<Self>, index: u64) {
        let node = self.clone();
        tokio::spawn(async move {
            let deadline = Instant::now() + CONFIRM_TIMEOUT;
            node.commit_here(Principal::System, Command::Sealed { index }, deadline).await;
        });
    }

    /// Begins the seal of `index` on this leader, which just committed `entry` at or above it. Under another
    /// leadership, or before the session is open, the opening entry seals it.
    pub(crate) fn begin_seal(&self, entry: &LogId, index: u64) {
        if let Err(denied) = self.granter.seal(entry, index, self.roster(), self.environment.clocks()) {
            tracing::debug!(?denied, index, "the opening entry of a session seals this");
        }
    }

    /// Waits until `index` is sealed, at whichever node leads.
    pub(crate) async fn sealed(&self, index: u64, within: Duration) -> Result<SealReceipt, SealError> {
        let deadline = Instant::now() + within;
        loop {
            match self.ask_seal(index, deadline).await {
                SealAnswer::Sealed(nodes) => return Ok(SealReceipt { index, nodes }),
                SealAnswer::Beyond => return Err(SealError::Beyond(index)),
                SealAnswer::Pending | SealAnswer::NotLeader => {}
            }
            let pause = Instant::now() + RETRY_PAUSE;
            if pause >= deadline {
                return Err(SealError::Pending(index));
            }
            sleep_until(pause).await;
        }
    }

    async fn ask_seal(&self, index: u64, deadline: Instant) -> SealAnswer {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.leader() {
            None => SealAnswer::NotLeader,
            Some(leader) if leader == self.id => self.seal_here(index, left).await,
            Some(leader) => {
                let wait_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                let request = SealRequest { index, wait_ms };
                let asked = self.pool.ask(leader, Lane::Talk, &request, left + NETWORK);
                tokio::select! {
                    answer = asked => answer.unwrap_or(SealAnswer::NotLeader),
                    () = self.leader_is_not(Some(leader)) => SealAnswer::NotLeader,
                }
            }
        }
    }

    /// As leader, waits until `index` is sealed.
    pub(crate) async fn seal_here(&self, index: u64, within: Duration) -> SealAnswer {
        trace::step("seal", self.wait_sealed(index, within)).await
    }

    async fn wait_sealed(&self, index: u64, within: Duration) -> SealAnswer {
        trace::note("hapi.index", index);
        let deadline = Instant::now() + within;
        let mut changes = self.granter.changes();
        loop {
            changes.mark_unchanged();
            match self.granter.progress(index, self.published.state().sealed()) {
                Progress::Sealed(nodes) => return SealAnswer::Sealed(nodes),
                Progress::NotLeading => return SealAnswer::NotLeader,
                Progress::Unknown => {
                    if let Some(answer) = self.seal_late(index).await {
                        return answer;
                    }
                }
                Progress::Pending => {
                    if timeout_at(deadline, changes.changed()).await.is_err() {
                        return SealAnswer::Pending;
                    }
                }
            }
        }
    }

    /// Begins the seal of an index that nobody is sealing. A round proves that it is committed under this
    /// leadership or before: only then do the leases of later leaders have thresholds above it.
    async fn seal_late(&self, index: u64) -> Option<SealAnswer> {
        match self.own_rounds.join().await {
            Some(Round::At(read)) if index > read.index => Some(SealAnswer::Beyond),
            Some(Round::At(read)) => {
                // The roster must be that of the index or later.
                if !self.wait_applied(index, CONFIRM_TIMEOUT).await {
                    return Some(SealAnswer::Pending);
                }
                let sealing = self.granter.seal(&read, index, self.roster(), self.environment.clocks());
                sealing.is_err().then_some(SealAnswer::NotLeader)
            }
            _ => Some(SealAnswer::NotLeader),
        }
    }

    /// Whether a repetition that changed nothing still waits for the seal of what it repeats.
    pub(crate) fn seals_repetitions(&self) -> bool {
        self.rules.hold(Mutant::RepetitionAcknowledged)
    }
}

fn covers(nodes: &[Covered]) -> String {
    let mut text = String::new();
    for Covered { node, cover, ms } in nodes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{node}:{}:{ms} ", cover.name());
    }
    text.trim_end().to_owned()
}

impl Cover {
    /// The name in receipts, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::LeaseExpired => "lease_expired",
        }
    }
}
