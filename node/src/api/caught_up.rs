//! Whether this node may speak from memory.

use super::Api;
use crate::problem::Problem;
use axum::{extract::FromRequestParts, http::request::Parts};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// How long a reader waits for the first word of a majority. Another node has the answer already.
const WAIT: Duration = Duration::from_secs(1);

/// Rest between two tries of the node's own.
const REST: Duration = Duration::from_millis(100);

/// At some moment since this process started it had all that was acknowledged in the cluster.
///
/// The memory of a node that is new is empty, and that of one that was away lacks what happened meanwhile, such as the
/// keys that sign today. A list without them, believed for as long as lists may be kept, makes good descriptors bad.
/// Once caught up, a node answers from memory whatever becomes of the majority.
pub(crate) struct CaughtUp;

impl FromRequestParts<Arc<Api>> for CaughtUp {
    type Rejection = Problem;

    async fn from_request_parts(_parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        api.catch_up().await
    }
}

impl Api {
    /// Catches up though nobody asks, so that a majority may be lost before anybody does.
    pub(crate) async fn until_caught_up(&self) {
        while self.catch_up().await.is_err() {
            sleep(REST).await;
        }
    }

    /// Asks a majority until it has answered once.
    pub(crate) async fn catch_up(&self) -> Result<CaughtUp, Problem> {
        if !self.caught_up.load(Ordering::Relaxed) {
            // A lease is granted by a majority, and taken up with a state that has all up to then.
            if self.replica.permit().is_none() {
                let read = timeout(WAIT, self.replica.read_index()).await;
                read.is_ok_and(|read| read.is_ok()).then_some(()).ok_or_else(Problem::not_caught_up)?;
            }
            self.caught_up.store(true, Ordering::Relaxed);
        }
        Ok(CaughtUp)
    }
}
