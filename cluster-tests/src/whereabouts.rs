//! Where each node's public API is, across restarts.

use std::sync::{Arc, Mutex};

/// The address of every place, `host:port`, while its node runs; clones follow along.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts(Arc<Mutex<Vec<Option<Arc<str>>>>>);

impl Whereabouts {
    /// The address of the node at `place`, if it runs.
    pub fn of(&self, place: usize) -> Option<Arc<str>> {
        self.0.lock().expect("no holder panics").get(place).cloned().flatten()
    }

    /// The addresses of all nodes that run.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        self.0.lock().expect("no holder panics").iter().flatten().cloned().collect()
    }

    /// Notes the base URL of the node at `place`.
    pub(crate) fn set(&self, place: usize, url: Option<&str>) {
        let mut places = self.0.lock().expect("no holder panics");
        let length = places.len().max(place + 1);
        places.resize(length, None);
        places[place] = url.map(|url| url.trim_start_matches("http://").trim_end_matches('/').into());
    }
}
