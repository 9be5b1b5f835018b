//! Asking for leases, again and again, as long as the process lives.

use crate::{
    lease::{
        holder::{Declined, Grant},
        seat::Loss,
    },
    node::Node,
    peer::{
        link::AskError,
        message::{LeaseAnswer, LeaseRequest, Refusal},
        route::Lane,
    },
};
use hapi_registry_state::{MemberState, NodeId};
use openraft::async_runtime::watch::WatchReceiver;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::sleep;

/// Rest after a request that came to nothing.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Rest of a node that is not on the roster, or whose clock is too far off: neither is over in a moment.
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// What became of a request for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    Granted,
    /// Granted, but the state did not reach the threshold in time.
    Late,
    Refused,
    Unreachable,
    Skewed,
    Stray,
    NoLeader,
    /// Not asked for: this node is not on the roster, or is draining.
    OffRoster,
}

impl Renewal {
    pub(crate) const ALL: [Self; 8] = [
        Self::Granted,
        Self::Late,
        Self::Refused,
        Self::Unreachable,
        Self::Skewed,
        Self::Stray,
        Self::NoLeader,
        Self::OffRoster,
    ];

    /// The label in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Skewed => "skewed",
            Self::Stray => "stray",
            Self::NoLeader => "no_leader",
            Self::OffRoster => "off_roster",
        }
    }
}

/// Keeps a lease, as far as there is one to be had, until the runtime ends.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        node.seat.inspect(&node.environment.clocks());
        let leader = node.leader();
        // Who waits for an answer of a leader that is no more asks the next one at once.
        let renewal = tokio::select! {
            renewal = node.renew(leader) => renewal,
            () = node.leader_is_not(leader) => Renewal::Unreachable,
        };
        node.counters.renewals.with_label_values(&[renewal.name()]).inc();
        let rest = match renewal {
            Renewal::Granted => node.jittered(node.terms.renewal()),
            Renewal::Skewed | Renewal::OffRoster => LONG_PAUSE,
            _ => RETRY_PAUSE,
        };
        tokio::select! {
            () = sleep(rest) => {}
            () = node.leader_is_not(leader) => {}
        }
    }
}

impl Node {
    async fn renew(&self, leader: Option<u64>) -> Renewal {
        if !self.published.state().is_active_member(NodeId(self.id)) {
            self.seat.give_up(Loss::Roster);
            // A node that is being removed looks whether it still is a member.
            self.is_lost.fetch_or(self.is_leaving(), Ordering::Relaxed);
            return Renewal::OffRoster;
        }
        let Some(leader) = leader else { return Renewal::NoLeader };
        if self.unfit_clock().is_err() {
            // As leader it would find its own clock right.
            self.seat.inspect(&self.environment.clocks());
            return Renewal::Skewed;
        }
        let nonce = self.nonce();
        let now = self.environment.clocks();
        // Noted before it is sent: the lease runs from here.
        self.seat.ask(nonce, now);
        match self.ask_lease(leader, nonce).await {
            Ok(LeaseAnswer::Granted(grant)) => self.take(leader, &grant).await,
            Ok(LeaseAnswer::Refused(reason)) => {
                tracing::debug!(reason, "no lease was granted");
                Renewal::Refused
            }
            Err(()) => Renewal::Unreachable,
        }
    }

    async fn ask_lease(&self, leader: u64, nonce: u64) -> Result<LeaseAnswer, ()> {
        if leader == self.id {
            return Ok(self.grant(self.id, nonce).await);
        }
        let request = LeaseRequest { nonce, applied: self.published.state().applied() };
        let within = self.terms.duration / 3;
        self.pool.ask(leader, Lane::Pulse, &request, within).await.map_err(|error| {
            tracing::debug!(%error, "the leader was not asked for a lease");
            if matches!(error, AskError::Refused(Refusal::NotMember(_))) {
                self.is_lost.store(true, Ordering::Relaxed);
            }
        })
    }

    fn is_leaving(&self) -> bool {
        let (state, own) = (self.published.state(), NodeId(self.id));
        state.has_departed(own)
            || state.member(own).is_some_and(|member| member.state == MemberState::Draining)
    }

    async fn take(&self, leader: u64, grant: &Grant) -> Renewal {
        match self.seat.accept(grant, &self.environment.clocks()) {
            Err(Declined::Stray) => return Renewal::Stray,
            Err(Declined::Skewed { ahead_us }) => {
                self.report_skew(leader, ahead_us);
                self.seat.inspect(&self.environment.clocks());
                return Renewal::Skewed;
            }
            Ok(()) => self.forget_skew(),
        }
        // A lease below its threshold stays with the holder; a later grant replaces it.
        if let Some(threshold) = self.seat.awaited() {
            self.wait_applied(threshold, self.terms.renewal()).await;
        }
        if self.seat.take_up(self.published.applied_index()) { Renewal::Granted } else { Renewal::Late }
    }

    /// Waits until the leader that this node knows is another one than `leader`.
    pub(crate) async fn leader_is_not(&self, leader: Option<u64>) {
        let mut metrics = self.raft.metrics();
        while metrics.borrow_watched().current_leader == leader {
            if metrics.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn nonce(&self) -> u64 {
        let mut bytes = [0; 8];
        self.environment.fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Nine tenths to eleven tenths of `time`, so that nodes that started together do not stay together.
    fn jittered(&self, time: Duration) -> Duration {
        let thousandths = u32::try_from(900 + self.nonce() % 201).unwrap_or(1_000);
        time * thousandths / 1_000
    }
}
