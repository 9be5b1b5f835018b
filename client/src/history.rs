//! What has happened with each server, so that a later call can know better than to ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use crate::budget::Budget;
use crate::problem::Problem;

/// What has happened with one `server_ref`.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The hard stop that forbids asking again.
    pub(crate) stop: Option<Problem>,
    /// The tries that have not led to success.
    pub(crate) budget: Budget,
}

/// The histories, by `server_ref`.
///
/// One call at a time holds a history while it asks: so the budget is exact, and when a server goes away, a
/// hundred waiting calls learn of it from the first instead of asking a hundred times.
#[derive(Debug, Default)]
pub(crate) struct Histories(Mutex<HashMap<String, Arc<AsyncMutex<History>>>>);

impl Histories {
    pub(crate) fn of(&self, server_ref: &str) -> Arc<AsyncMutex<History>> {
        // The map is sound whatever a thread that panicked was doing: only whole entries are put in.
        let mut histories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(histories.entry(server_ref.to_owned()).or_default())
    }
}
