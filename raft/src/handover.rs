//! Connects that a node without a lease hands to the leader.
//!
//! This crate carries them and does not read them: what is in them, and who decides, is the node's business.

use crate::{
    node::Node,
    peer::{
        message::{Handover, HandoverAnswer},
        route::Lane,
    },
    trace,
};
use futures::future::BoxFuture;
use std::{sync::OnceLock, time::Duration};
use thiserror::Error;
use tokio::runtime::Handle;

/// Decides a connect that was handed over. `None` if this node may not decide it either.
pub type Handler = Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>> + Send + Sync>;

/// Why a connect that was handed over has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandoverError {
    /// No leader is known, or it is this node.
    #[error("there is no other node to hand the request to")]
    NoLeader,
    /// The leader may not decide either.
    #[error("the leader has no serving lease")]
    NoLease,
    /// The leader did not answer.
    #[error("the leader did not answer: {0}")]
    Failed(String),
}

/// Who answers, once it is there, and on which runtime: not on the one of Raft.
#[derive(Default)]
pub(crate) struct Handovers(OnceLock<(Handle, Handler)>);

impl Handovers {
    pub(crate) fn set(&self, runtime: Handle, handler: Handler) {
        // A second handler would be a mistake of the caller; the first stays.
        let _ = self.0.set((runtime, handler));
    }

    pub(crate) async fn answer(&self, request: Vec<u8>) -> Option<Vec<u8>> {
        let (runtime, handler) = self.0.get()?;
        runtime.spawn(trace::carry(handler(request))).await.ok().flatten()
    }
}

impl Node {
    /// Hands a connect to the leader: one hop, and never back.
    pub(crate) async fn hand_to_leader(
        &self,
        request: Vec<u8>,
        within: Duration,
    ) -> Result<Vec<u8>, HandoverError> {
        let leader = self.leader().filter(|leader| *leader != self.id).ok_or(HandoverError::NoLeader)?;
        let asked = self.pool.ask(leader, Lane::Talk, &Handover(request), within).await;
        let HandoverAnswer(answer) = asked.map_err(|error| HandoverError::Failed(error.to_string()))?;
        answer.ok_or(HandoverError::NoLease)
    }
}
