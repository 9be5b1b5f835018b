//! Looking around: who is there, and what do they say?

use crate::{
    certificate::{Peer, Subject},
    directory::Standing,
    formation::phase::Sighting,
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
        let mut met = BTreeMap::new();
        for (address, answer) in join_all(asked).await {
            match answer {
                Ok((hello, peer)) if is_own(&hello.sighting, &peer) && hello.sighting.node != self.id => {
                    self.take_in(&hello, &peer);
                    met.insert(hello.sighting.node, Met { address, hello });
                }
                Ok(_) => {}
                Err(error) => self.report(address, &error),
            }
        }
        met.into_values().collect()
    }

    /// Nobody at home is everyday; somebody with another secret is a mistake that an operator must see.
    fn report(&self, address: SocketAddr, error: &AskError) {
        let stranger = matches!(error, AskError::Dial(DialError::Handshake { .. }));
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if stranger && strangers.insert(address) {
            tracing::warn!(%address, %error, "a node there has another cluster secret, or is none of ours");
        } else {
            tracing::debug!(%address, %error, "nobody met");
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
