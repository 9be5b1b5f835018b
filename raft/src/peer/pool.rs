//! Connections to all peers, by node and purpose.

use crate::{
    certificate::{Peer, Subject},
    directory::{Directory, Standing},
    peer::{
        dial::{DialError, Dialer},
        link::{AskError, Link, Reply},
        message::Ask,
        route::Lane,
    },
    secrets::Heard,
    trace,
};
use bytes::Bytes;
use prometheus::IntCounterVec;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Keeps one [`Link`] per member and lane, and one per address for nodes that are not members yet.
pub(crate) struct Pool {
    dialer: Dialer,
    directory: Arc<Directory>,
    sent: IntCounterVec,
    heard: Heard,
    members: Mutex<HashMap<(u64, Lane), Arc<Link>>>,
    strangers: Mutex<HashMap<SocketAddr, Arc<Link>>>,
}

impl Pool {
    pub(crate) fn new(dialer: Dialer, directory: Arc<Directory>, sent: IntCounterVec) -> Arc<Self> {
        Arc::new(Self {
            dialer,
            directory,
            sent,
            heard: Heard::default(),
            members: Mutex::default(),
            strangers: Mutex::default(),
        })
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// What members say of their secrets.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Asks the member `node`, whose pinned key is demanded.
    pub(crate) async fn ask<A: Ask>(
        &self,
        node: u64,
        lane: Lane,
        message: &A,
        within: Duration,
    ) -> Result<A::Answer, AskError> {
        self.count::<A>();
        let reply = trace::asking(A::ROUTE, node, self.member(node, lane).ask(message, within)).await?;
        Ok(self.listen(node, reply))
    }

    /// As [`Self::ask`], for a body that is encoded already.
    pub(crate) async fn send<A: Ask>(
        &self,
        node: u64,
        lane: Lane,
        body: Bytes,
        within: Duration,
    ) -> Result<A::Answer, AskError> {
        self.count::<A>();
        Ok(self.listen(node, self.member(node, lane).send::<A>(body, within).await?))
    }

    /// Takes the answer of a member, and what it says beside.
    fn listen<T>(&self, node: u64, reply: Reply<T>) -> T {
        self.heard.note(node, &reply.headers);
        reply.answer
    }

    /// Asks whoever listens at `address` and proves the secret, and tells who that was.
    pub(crate) async fn ask_stranger<A: Ask>(
        &self,
        address: SocketAddr,
        message: &A,
        within: Duration,
    ) -> Result<(A::Answer, Peer), AskError> {
        self.count::<A>();
        let Reply { answer, peer, .. } = self.stranger(address).ask(message, within).await?;
        Ok((answer, peer))
    }

    /// Forgets connections to all addresses but these.
    pub(crate) fn keep_strangers(&self, addresses: &[SocketAddr]) {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        strangers.retain(|address, _| addresses.contains(address));
    }

    fn count<A: Ask>(&self) {
        self.sent.with_label_values(&[A::ROUTE.name()]).inc();
    }

    fn member(&self, node: u64, lane: Lane) -> Arc<Link> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let link = members.entry((node, lane)).or_insert_with(|| {
            let (dialer, directory) = (self.dialer.clone(), self.directory.clone());
            Link::new(move || {
                let (dialer, directory) = (dialer.clone(), directory.clone());
                async move {
                    let address = directory.address(node).ok_or(DialError::NoAddress(node))?;
                    dialer.dial(&address, |peer| expect_member(&directory, node, peer)).await
                }
            })
        });
        link.clone()
    }

    fn stranger(&self, address: SocketAddr) -> Arc<Link> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let link = strangers.entry(address).or_insert_with(|| {
            let (dialer, directory) = (self.dialer.clone(), self.directory.clone());
            Link::new(move || {
                let (dialer, directory) = (dialer.clone(), directory.clone());
                async move { dialer.dial_address(address, |peer| expect_any(&directory, peer)).await }
            })
        });
        link.clone()
    }
}

fn expect_member(directory: &Directory, node: u64, peer: &Peer) -> Result<(), String> {
    if peer.subject != Subject::Node(node) {
        return Err(format!("{} answered where node {node:016x} was expected", peer.subject));
    }
    match directory.standing(node, &peer.key_sha256) {
        Standing::Pinned => Ok(()),
        Standing::WrongKey => {
            Err(format!("node {node:016x} answered with another key than it is known with"))
        }
        Standing::Unknown => Err(format!("node {node:016x} is not known as a member")),
    }
}

fn expect_any(directory: &Directory, peer: &Peer) -> Result<(), String> {
    match peer.subject {
        Subject::Node(node) if directory.standing(node, &peer.key_sha256) == Standing::WrongKey => {
            Err(format!("node {node:016x} answered with another key than it is known with"))
        }
        Subject::Node(_) => Ok(()),
        Subject::Operator => Err("a command-line tool answered".into()),
    }
}
