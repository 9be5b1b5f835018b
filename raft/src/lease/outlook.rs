//! What a leader sees of the others, for people who watch: how far each has come, which leases are out, and whom a seal
//! that is under way still waits for. Nothing is decided by it.

use crate::{
    lease::session::Covered,
    node::Node,
    peer::{message::OutlookRequest, route::Lane},
};
use hapi_registry_state::NodeId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How long the leader may take. It answers from memory; one of an older release answers that it knows no such question.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// The leader's word on the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// How many entries of the leader's log each node lacks.
    pub lags: BTreeMap<NodeId, u64>,
    /// The youngest lease that each node was granted in the leader's present session, if it may still be held.
    pub leases: BTreeMap<NodeId, GivenLease>,
    /// Whom the seal has to cover that was asked about, and how each was; empty if none such is under way.
    pub seal: BTreeMap<NodeId, Option<Covered>>,
}

/// A lease, as who gave it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenLease {
    /// How long ago it was granted, in milliseconds.
    pub age_ms: u64,
    /// Its holder decides on states at or above this index.
    pub threshold: u64,
}

impl Node {
    /// What this node sees as leader; nothing while it has no session.
    pub(crate) fn outlook_here(&self, seal: Option<u64>) -> Option<Outlook> {
        let outlook = self.granter.outlook(seal, &self.environment.clocks())?;
        let members = self.status().members.into_iter();
        let lags = members.filter_map(|member| Some((member.id, member.lag?))).collect();
        Some(Outlook { lags, ..outlook })
    }

    /// What the leader sees, whichever node it is; nothing if it does not answer, or cannot.
    pub(crate) async fn outlook(&self, seal: Option<u64>) -> Option<Outlook> {
        match self.leader()? {
            leader if leader == self.id => self.outlook_here(seal),
            leader => {
                let request = OutlookRequest { seal };
                self.pool.ask(leader, Lane::Talk, &request, ASK_TIMEOUT).await.ok().flatten()
            }
        }
    }
}
