//! The session that this node holds as leader, behind one lock, and what it has sealed.

use crate::{
    lease::{
        clock::{Reading, Terms},
        outlook::{GivenLease, Outlook},
        rules::Rules,
        session::{Covered, Denied, Session},
    },
    types::{Leadership, LogId},
};
use hapi_registry_state::NodeId;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How many receipts a session keeps. Older seals are known to be complete, and not how.
const RECEIPTS: usize = 10_000;

/// What is known of the seal of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Complete; how each node was covered, if that is still known.
    Sealed(Vec<Covered>),
    /// Under way, or waits for the session to open.
    Pending,
    /// Nobody has begun it.
    Unknown,
    /// This node has no session.
    NotLeading,
}

/// What a session looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// Whether its opening entry is committed.
    pub open: bool,
    /// Thresholds are at or above this index.
    pub floor: u64,
    /// Seals under way, by index.
    pub pending_seals: Vec<u64>,
}

#[derive(Default)]
struct Granting {
    session: Option<Session<Leadership>>,
    /// Everything at or below is sealed. Survives the session: what is sealed stays sealed.
    sealed: u64,
    receipts: BTreeMap<u64, Vec<Covered>>,
}

/// Grants and seals of this node as leader.
pub(crate) struct Granter {
    rules: Rules,
    terms: Terms,
    me: NodeId,
    granting: Mutex<Granting>,
    changes: watch::Sender<()>,
}

impl Granter {
    pub(crate) fn new(rules: Rules, terms: Terms, me: NodeId) -> Self {
        Self { rules, terms, me, granting: Mutex::default(), changes: watch::Sender::new(()) }
    }

    /// Tells whenever a session, a seal or a confirmation is new.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Begins a session under `leadership`, which was seen before `now` was read.
    pub(crate) fn begin(&self, leadership: Leadership, now: Reading) {
        let session = Session::new(self.rules, self.terms, self.me, leadership, now);
        self.granting().session = Some(session);
        self.changes.send_replace(());
    }

    /// This node leads no more. Who waits for a seal asks the next leader.
    pub(crate) fn end(&self) {
        let ended = self.granting().session.take();
        if ended.is_some() {
            self.changes.send_replace(());
        }
    }

    /// The leadership of the present session.
    pub(crate) fn leadership(&self) -> Option<Leadership> {
        self.granting().session.as_ref().map(Session::leadership)
    }

    /// The opening entry is committed.
    pub(crate) fn open(
        &self,
        entry: &LogId,
        roster: impl IntoIterator<Item = NodeId>,
        now: Reading,
    ) -> Result<(), Denied> {
        self.with(|session| session.open(*entry.committed_leader_id(), entry.index, roster, now))
    }

    /// Grants `node` a lease. The table has it before this returns; `now` is read under the lock.
    pub(crate) fn grant(
        &self,
        node: NodeId,
        read: &LogId,
        on_roster: bool,
        now: impl FnOnce() -> Reading,
    ) -> Result<u64, Denied> {
        let mut granting = self.granting();
        let session = granting.session.as_mut().ok_or(Denied::Over)?;
        session.grant(node, *read.committed_leader_id(), read.index, on_roster, now())
    }

    /// Begins, or joins, the seal of `index`, which is at or below the committed `entry`.
    pub(crate) fn seal(
        &self,
        entry: &LogId,
        index: u64,
        roster: impl IntoIterator<Item = NodeId>,
        now: Reading,
    ) -> Result<(), Denied> {
        self.with(|session| session.seal(*entry.committed_leader_id(), index, roster, now))
    }

    fn with(&self, act: impl FnOnce(&mut Session<Leadership>) -> Result<(), Denied>) -> Result<(), Denied> {
        let done = act(self.granting().session.as_mut().ok_or(Denied::Over)?);
        self.changes.send_replace(());
        done
    }

    /// The issuers of `node` see every entry up to `applied`.
    pub(crate) fn confirm(&self, node: NodeId, applied: u64, now: &Reading) {
        if let Some(session) = self.granting().session.as_mut() {
            session.confirm(node, applied, now);
        }
    }

    /// Takes out the seals that are complete at `now`.
    pub(crate) fn settle(&self, now: &Reading) -> Vec<(u64, Vec<Covered>)> {
        let mut granting = self.granting();
        let settled = granting.session.as_mut().map(|session| session.settle(now)).unwrap_or_default();
        for (index, receipt) in &settled {
            granting.sealed = granting.sealed.max(*index);
            granting.receipts.insert(*index, receipt.clone());
        }
        while granting.receipts.len() > RECEIPTS {
            granting.receipts.pop_first();
        }
        settled
    }

    /// Tells whoever waits that something was settled.
    pub(crate) fn announce(&self) {
        self.changes.send_replace(());
    }

    /// What is known of the seal of `index`. A seal above it covers it; `recorded` is what a committed entry
    /// says to be sealed.
    pub(crate) fn progress(&self, index: u64, recorded: u64) -> Progress {
        let granting = self.granting();
        let Some(session) = &granting.session else { return Progress::NotLeading };
        if index <= granting.sealed.max(recorded) {
            let receipt = granting.receipts.range(index..).next().map(|(_, receipt)| receipt.clone());
            return Progress::Sealed(receipt.unwrap_or_default());
        }
        let is_coming = !session.is_open() || session.pending().any(|pending| pending >= index);
        if is_coming { Progress::Pending } else { Progress::Unknown }
    }

    /// The nodes that some seal waits for, each with the index that it is to confirm.
    pub(crate) fn awaited(&self) -> Vec<(NodeId, u64)> {
        let granting = self.granting();
        let Some(session) = &granting.session else { return Vec::new() };
        let awaited = session.awaited().into_iter();
        awaited.filter_map(|node| session.wanted_of(node).map(|index| (node, index))).collect()
    }

    /// How long until time alone covers one node more.
    pub(crate) fn next_expiry(&self, now: &Reading) -> Option<Duration> {
        self.granting().session.as_ref().and_then(|session| session.next_expiry(now))
    }

    /// Everything at or below is known here to be sealed.
    pub(crate) fn sealed(&self) -> u64 {
        self.granting().sealed
    }

    pub(crate) fn status(&self) -> Option<SessionStatus> {
        let granting = self.granting();
        let session = granting.session.as_ref()?;
        let pending_seals = session.pending().collect();
        Some(SessionStatus { open: session.is_open(), floor: session.floor(), pending_seals })
    }

    /// The leases that are out at `now`, and how far the seal of `seal` has come; nothing without a session.
    pub(crate) fn outlook(&self, seal: Option<u64>, now: &Reading) -> Option<Outlook> {
        let granting = self.granting();
        let session = granting.session.as_ref()?;
        let lease = |(node, (age, threshold)): (NodeId, (Duration, u64))| {
            (node, GivenLease { age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX), threshold })
        };
        let leases = session.held(now).map(lease).collect();
        let seal = seal.map(|index| session.standing(index)).unwrap_or_default();
        Some(Outlook { lags: BTreeMap::new(), leases, seal })
    }

    fn granting(&self) -> MutexGuard<'_, Granting> {
        self.granting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
