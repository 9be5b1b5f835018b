//! One user of the cluster, who may ask every node.

use crate::addresses::{Addresses, Nodes};
use hapi_client::Client;
use tokio::sync::watch;

/// A client of all nodes that are known now.
pub(crate) struct Caller {
    nodes: watch::Receiver<Nodes>,
    token: String,
    place: usize,
    client: Client,
}

impl Caller {
    /// `place` says which node is asked first.
    pub(crate) fn new(addresses: &Addresses, token: String, place: usize) -> Self {
        let mut nodes = addresses.subscribe();
        let client = build(&nodes.borrow_and_update(), &token, place);
        Self { nodes, token, place, client }
    }

    /// The client, a new one if the addresses have changed.
    pub(crate) fn client(&mut self) -> &Client {
        if self.nodes.has_changed().unwrap_or(false) {
            self.client = build(&self.nodes.borrow_and_update(), &self.token, self.place);
        }
        &self.client
    }

    /// What was known of the nodes when the client was made, for messages.
    pub(crate) fn nodes(&self) -> String {
        self.nodes.borrow().join(" ")
    }
}

fn build(nodes: &Nodes, token: &str, place: usize) -> Client {
    let builder = Client::builder().nodes(nodes.iter()).credential(token).start_at(place);
    builder.build().expect("addresses and token are sound")
}
