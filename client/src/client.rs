//! The client itself.

use std::sync::Arc;

use crate::authority::Authority;
use crate::builder::Builder;
use crate::history::Histories;
use crate::nodes::Nodes;
use crate::pause::Pause;
use crate::transport::Transport;

/// A client of one cluster. Cheap to clone; clones share connections, key set, budgets and hard stops.
#[derive(Debug, Clone)]
pub struct Client(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) nodes: Nodes,
    pub(crate) transport: Transport,
    pub(crate) authority: Authority,
    pub(crate) histories: Histories,
    pub(crate) pause: Pause,
}

impl Client {
    /// Starts to set one up.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(nodes: Nodes, transport: Transport, issuer: Option<String>) -> Self {
        let (authority, histories, pause) = (Authority::new(issuer), Histories::default(), Pause::default());
        Self(Arc::new(Inner { nodes, transport, authority, histories, pause }))
    }
}
