//! Following other registries. The leader does it; whoever leads next goes on from what the log says.
//!
//! What is followed, and how far that has come, is replicated; what varies from try to try is this process's own:
//! errors, the last success, what was rejected and why. A pass that finds nothing new writes nothing.

mod counters;
mod pass;
mod source;
mod walk;

pub(crate) use pass::REPORTED;
pub(crate) use source::{Bounds, OFFICIAL, Page, Question, Source, SourceError, base_url};
pub(crate) use walk::Walk;

use crate::{clock, entries::RejectedEntry, outbound::Outbound};
use counters::Counters;
use hapi_raft::{ProposeError, ReadError, Replica, Role};
use hapi_registry_state::{MirrorId, Rejection, Timestamp};
use pass::Pass;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinHandle, time::sleep};

/// The first release whose programs know of mirrors.
pub(crate) const SINCE: &str = "0.2";

/// How often it is looked whether this node leads, and what is to be followed.
const LOOK: Duration = Duration::from_secs(1);

/// Rest after the first failure, which doubles with each, and the longest.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(900);

/// How many pages are read and taken over at a time, of all sources together: each may be large.
const PAGES: usize = 2;

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("what was read could not be written: {0}")]
    Propose(#[from] ProposeError),
    #[error("this node does not know how far the mirror has come: {0}")]
    Read(#[from] ReadError),
    #[error("what was read was not taken: {0}")]
    Rejected(#[from] Rejection),
}

/// What this process has seen of a mirror since it began to follow it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) last_success: Option<Timestamp>,
    /// What went wrong last, unless a pass has succeeded since.
    pub(crate) error: Option<String>,
    /// How many passes have failed, one after the other.
    pub(crate) failures: u32,
    /// Entries of the present or the last pass, by what came of them.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Some of those that were rejected in it.
    pub(crate) rejected: Vec<RejectedEntry>,
}

/// The mirrors, as far as this process follows them.
pub(crate) struct Mirrors {
    seen: Mutex<BTreeMap<MirrorId, Seen>>,
    counters: Counters,
    pages: Semaphore,
    outbound: Outbound,
}

/// One that is followed, by the settings of that index. It ends with this.
struct Following {
    index: u64,
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mirrors {
    pub(crate) fn new(outbound: Outbound) -> prometheus::Result<Self> {
        let (counters, pages) = (Counters::new()?, Semaphore::new(PAGES));
        Ok(Self { seen: Mutex::default(), counters, pages, outbound })
    }

    /// To be registered where `/metrics` is made.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn prometheus::core::Collector>> {
        self.counters.collectors()
    }

    /// What this process has seen of a mirror; none if it does not follow it.
    pub(crate) fn seen(&self, id: &MirrorId) -> Option<Seen> {
        self.lock().get(id).cloned()
    }

    /// Follows what is to be followed while this node leads, until the process ends.
    pub(crate) async fn keep(self: Arc<Self>, replica: Replica) {
        replica.formed().await;
        let mut followed = BTreeMap::new();
        loop {
            self.look(&replica, &mut followed);
            sleep(LOOK).await;
        }
    }

    fn look(self: &Arc<Self>, replica: &Replica, followed: &mut BTreeMap<MirrorId, Following>) {
        let state = replica.state();
        let leads = replica.status().role == Role::Leader && replica.all_run(SINCE);
        let wanted: BTreeMap<_, _> = state.mirrors().map(|(id, mirror)| (id.clone(), mirror.index)).collect();
        self.counters.keep_only(&wanted.keys().cloned().collect());
        followed.retain(|id, following| {
            leads && wanted.get(id) == Some(&following.index) && !following.task.is_finished()
        });
        self.forget_all_but(&followed.keys().cloned().collect());
        for (id, index) in wanted.into_iter().filter(|_| leads) {
            followed.entry(id.clone()).or_insert_with(|| {
                let task = tokio::spawn(self.clone().follow(id, replica.clone()));
                Following { index, task }
            });
        }
    }

    fn forget_all_but(&self, ids: &BTreeSet<MirrorId>) {
        self.lock().retain(|id, _| ids.contains(id));
    }

    async fn follow(self: Arc<Self>, id: MirrorId, replica: Replica) {
        self.lock().insert(id.clone(), Seen::default());
        self.counters.begin(&id, clock::now());
        // By when everything is known to be here, beyond what the log says: see `Pass`.
        let mut reached = None;
        loop {
            let result = self.pass(&id, &replica, &mut reached).await;
            let interval = replica.state().mirror(&id).map_or(0, |mirror| mirror.settings.interval);
            let rest = self.note(&id, result, Duration::from_secs(interval.into()));
            sleep(jittered(rest)).await;
        }
    }

    /// One pass; anew, if the place where the last one stopped is not known there any more.
    async fn pass(
        &self,
        id: &MirrorId,
        replica: &Replica,
        reached: &mut Option<Timestamp>,
    ) -> Result<(), MirrorError> {
        // What an earlier leader wrote last may not be applied here yet.
        replica.read_index().await?;
        let Some(mirror) = replica.state().mirror(id).cloned() else { return Ok(()) };
        self.change(id, |seen| (seen.counts, seen.rejected) = Default::default());
        let mut pass = Pass::begin(self, replica, id, mirror, *reached)?;
        match pass.run().await {
            Err(MirrorError::Source(error)) if pass.is_stale(&error) => {
                tracing::info!(mirror = %id, %error, "the source does not know any more where the mirror was: anew");
                pass.restart()?;
                pass.run().await?;
            }
            result => result?,
        }
        *reached = pass.began().max(*reached);
        Ok(())
    }

    /// Notes what came of a pass; how long to rest.
    fn note(&self, id: &MirrorId, result: Result<(), MirrorError>, interval: Duration) -> Duration {
        match result {
            Ok(()) => {
                let now = clock::now();
                self.counters.succeeded(id, now);
                self.change(id, |seen| {
                    (seen.error, seen.failures, seen.last_success) = (None, 0, Some(now));
                });
                interval
            }
            Err(error) => {
                tracing::warn!(mirror = %id, %error, "a mirror has not come to its end");
                self.counters.failed(id);
                let mut failures = 0;
                self.change(id, |seen| {
                    seen.failures = seen.failures.saturating_add(1);
                    (seen.error, failures) = (Some(error.to_string()), seen.failures);
                });
                let wanted = match &error {
                    MirrorError::Source(error) => error.retry_after().unwrap_or_default(),
                    _ => Duration::ZERO,
                };
                rest_after(failures).max(wanted.min(LONGEST_REST))
            }
        }
    }

    fn count(&self, id: &MirrorId, outcome: &'static str, rejected: Option<RejectedEntry>) {
        self.counters.count(id, outcome);
        self.change(id, |seen| {
            *seen.counts.entry(outcome).or_default() += 1;
            seen.rejected.extend(rejected.filter(|_| seen.rejected.len() < REPORTED));
        });
    }

    fn change(&self, id: &MirrorId, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.lock().get_mut(id) {
            change(seen);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MirrorId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rest_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    FIRST_REST.saturating_mul(doubled).min(LONGEST_REST)
}

/// Between nine and eleven tenths: many that follow one source must not ask it at once.
fn jittered(rest: Duration) -> Duration {
    let [chance, ..] = clock::random_name();
    rest.mul_f64(0.9 + 0.2 * f64::from(chance) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_doubles_up_to_the_longest() {
        let rests = [1, 2, 3, 10, 11, 1_000].map(|failures| rest_after(failures).as_secs());
        assert_eq!(rests, [1, 2, 4, 512, 900, 900]);
    }

    #[test]
    fn a_rest_varies_by_a_tenth() {
        let rests = std::iter::repeat_with(|| jittered(Duration::from_secs(100))).take(1_000);
        assert!(rests.map(|rest| rest.as_secs()).all(|rest| (90..=110).contains(&rest)));
    }
}
