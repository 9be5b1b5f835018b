//! Looking around: who is there, and what do they say?

use crate::{
    certificate::{Peer, Subject},
    directory::Standing,
    formation::phase::{Sighting, Stage},
    node::Node,
    peer::{dial::DialError, link::AskError, message::Hello, route::ASK_TIMEOUT},
};
use futures::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::PoisonError,
};

/// A node that answered, and where.
pub(crate) struct Met {
    pub(crate) address: SocketAddr,
    pub(crate) hello: Hello,
}

impl Node {
    /// Says hello to every address that names, members and callers give, and takes in what is answered.
    pub(crate) async fn look_around(&self) -> Vec<Met> {
        let addresses = self.addresses().await;
        self.pool.keep_strangers(&addresses);
        let hello = self.hello().await;
        let asked = addresses.into_iter().map(|address| {
            let hello = &hello;
            async move { (address, self.pool.ask_stranger(address, hello, ASK_TIMEOUT).await) }
        });
        let (mut met, mut strangers) = (BTreeMap::new(), BTreeMap::new());
        for (address, answer) in join_all(asked).await {
            match answer {
                Ok((hello, peer)) if is_own(&hello.sighting, &peer) && hello.sighting.node != self.id => {
                    self.warn_of_another_cluster(address, &hello.sighting);
                    self.take_in(&hello, &peer);
                    met.insert(hello.sighting.node, Met { address, hello });
                }
                Ok(_) => {}
                Err(AskError::Dial(error @ DialError::Handshake { .. })) => {
                    strangers.insert(address, error.to_string());
                }
                Err(error) => tracing::debug!(%address, %error, "nobody met"),
            }
        }
        self.warn_of_strangers(&strangers);
        met.into_values().collect()
    }

    /// Nobody at home is everyday; somebody with another secret is a mistake that an operator must see, once for all
    /// whom this look has found.
    fn warn_of_strangers(&self, strangers: &BTreeMap<SocketAddr, String>) {
        let mut known = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.extend(strangers.keys());
        if known.len() > before {
            let errors: Vec<_> = strangers.values().map(String::as_str).collect();
            tracing::error!(
                errors = errors.join("; "),
                "nodes that `cluster.join` or the membership names have another cluster secret, or are none of ours: give \
                 this node the secret of its cluster (`cluster.secret_file`), or take the addresses out of `cluster.join`"
            );
        }
    }

    /// A member that meets a member of another cluster was given a wrong folder, or a wrong address.
    fn warn_of_another_cluster(&self, address: SocketAddr, other: &Sighting) {
        let (Some(own), Stage::Member { cluster_id }) = (self.desk.phase().cluster_id(), other.stage) else {
            return;
        };
        if own != cluster_id && self.is_news(format!("{own} {cluster_id}")) {
            tracing::error!(
                %address,
                "this data folder belongs to cluster {own:032x}, and the node there to cluster {cluster_id:032x}: start \
                 with the folder that is meant for that cluster, or with an empty one to join it as a new node; or name \
                 nodes of this one in `cluster.join`"
            );
        }
    }

    async fn addresses(&self) -> Vec<SocketAddr> {
        let mut targets: BTreeSet<String> = self.join.iter().cloned().collect();
        targets.extend(self.directory.members().keys().filter_map(|member| self.directory.address(*member)));
        targets.extend(std::mem::take(&mut *self.callers.lock().unwrap_or_else(PoisonError::into_inner)));
        let found = targets.iter().map(|target| self.pool.dialer().names.lookup(target));
        let mut addresses = BTreeSet::new();
        for found in join_all(found).await {
            match found {
                Ok(found) => addresses.extend(found),
                Err(error) => tracing::debug!(%error, "a name to join leads nowhere"),
            }
        }
        addresses.into_iter().collect()
    }

    /// What a member says of itself and of the membership counts, proven by its pinned key.
    pub(crate) fn take_in(&self, hello: &Hello, peer: &Peer) {
        let node = hello.sighting.node;
        if self.directory.standing(node, &peer.key_sha256) == Standing::Pinned {
            self.directory.announce(node, hello.sighting.record.clone());
            self.directory.tell(hello.roll.clone());
        }
    }
}

/// Whether a sighting is the sender's own, and of sane length.
pub(crate) fn is_own(sighting: &Sighting, peer: &Peer) -> bool {
    peer.subject == Subject::Node(sighting.node)
        && peer.key_sha256 == sighting.record.key_sha256
        && sighting.record.is_modest()
}
