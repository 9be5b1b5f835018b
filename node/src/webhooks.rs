//! Telling others of what is done. The leader does it; whoever leads next goes on from what the log says.
//!
//! Each webhook is told of one event after the other: none is left out, and none comes before an earlier one was taken.
//! How far that has come is written down now and then, so that after a change of the leader some are told again, under the
//! same id. Two leaders at a time do no harm: each tells of an event only once the one before it was taken.

mod counters;
mod courier;

use crate::{outbound::Outbound, signing::Signing};
use counters::Counters;
use courier::Courier;
use hapi_raft::{Replica, Role};
use hapi_registry_state::{Timestamp, WebhookId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

/// How often it is looked whether this node leads, and who is to be told.
const LOOK: Duration = Duration::from_secs(1);

/// What this process has seen of a webhook since it began to tell it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) last_success: Option<Timestamp>,
    /// What went wrong last, unless something was taken since.
    pub(crate) error: Option<String>,
    /// How many tries have failed, one after the other.
    pub(crate) failures: u32,
}

/// The webhooks, as far as this process tells them.
pub(crate) struct Webhooks {
    seen: Mutex<BTreeMap<WebhookId, Seen>>,
    counters: Counters,
    outbound: Arc<Outbound>,
    signing: Arc<Signing>,
}

/// One that is told, by the settings of that index. It ends with this.
struct Telling {
    index: u64,
    task: JoinHandle<()>,
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Webhooks {
    pub(crate) fn new(outbound: Arc<Outbound>, signing: Arc<Signing>) -> prometheus::Result<Self> {
        Ok(Self { seen: Mutex::default(), counters: Counters::new()?, outbound, signing })
    }

    /// To be registered where `/metrics` is made.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn prometheus::core::Collector>> {
        self.counters.collectors()
    }

    /// The way out, by which a URL is judged before it is taken.
    pub(crate) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// What this process has seen of a webhook; none if it does not tell it.
    pub(crate) fn seen(&self, id: &WebhookId) -> Option<Seen> {
        self.lock().get(id).cloned()
    }

    /// Tells who is to be told while this node leads, until the process ends.
    pub(crate) async fn keep(self: Arc<Self>, replica: Replica) {
        replica.formed().await;
        let mut told = BTreeMap::new();
        loop {
            self.look(&replica, &mut told);
            sleep(LOOK).await;
        }
    }

    fn look(self: &Arc<Self>, replica: &Replica, told: &mut BTreeMap<WebhookId, Telling>) {
        let state = replica.state();
        let leads = replica.status().role == Role::Leader;
        let active = state.webhooks().filter(|(_, webhook)| webhook.settings.active && leads);
        let wanted: BTreeMap<_, _> = active.map(|(id, webhook)| (id.clone(), webhook.index)).collect();
        told.retain(|id, telling| wanted.get(id) == Some(&telling.index) && !telling.task.is_finished());
        self.keep_only(&told.keys().cloned().collect());
        for (id, index) in wanted {
            told.entry(id.clone()).or_insert_with(|| {
                self.lock().insert(id.clone(), Seen::default());
                self.counters.begin(&id);
                let courier = Courier::new(self.clone(), replica.clone(), id, index);
                Telling { index, task: tokio::spawn(courier.run()) }
            });
        }
    }

    fn keep_only(&self, ids: &BTreeSet<WebhookId>) {
        self.counters.keep_only(ids);
        self.lock().retain(|id, _| ids.contains(id));
    }

    fn change(&self, id: &WebhookId, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.lock().get_mut(id) {
            change(seen);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WebhookId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
