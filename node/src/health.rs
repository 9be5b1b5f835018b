//! Which servers answer: the leader asks those behind the health gate, and the log keeps what has changed.
//!
//! What is known stands in the state, so that the next leader finds it there, and a restarted one too; how often a server has
//! failed since is the leader's own memory, and begins anew with each. Two leaders at a time do no harm: each says what it
//! sees, and only one is heard.

mod counters;
mod probe;
mod prober;
mod round;
mod streaks;

#[cfg(test)]
pub(crate) use probe::{Seen, probe};

use crate::outbound::Outbound;
use counters::Counters;
use hapi_raft::{Replica, Role};
use prober::Prober;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The first release whose programs know of it.
const SINCE: &str = "0.2";

/// How often it is looked whether this node leads, and whether anybody is to be asked.
const LOOK: Duration = Duration::from_secs(1);

/// What asking needs.
pub(crate) struct Health {
    outbound: Outbound,
    counters: Counters,
}

impl Health {
    pub(crate) fn new(outbound: Outbound) -> prometheus::Result<Self> {
        Ok(Self { outbound, counters: Counters::new()? })
    }

    /// To be registered where `/metrics` is made.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn prometheus::core::Collector>> {
        self.counters.collectors()
    }

    /// Asks the servers behind the gate while this node leads, until the process ends.
    pub(crate) async fn keep(self: Arc<Self>, replica: Replica) {
        replica.formed().await;
        loop {
            self.show(&replica);
            if is_wanted(&replica) {
                Prober::new(self.clone(), replica.clone()).run().await;
                self.counters.rest();
            }
            sleep(LOOK).await;
        }
    }

    fn show(&self, replica: &Replica) {
        self.counters.down(replica.state().servers_down().len());
    }
}

/// Whether this node is the one that asks, and there is anybody to be asked.
fn is_wanted(replica: &Replica) -> bool {
    replica.state().health_gate().is_used() && replica.status().role == Role::Leader && replica.all_run(SINCE)
}
