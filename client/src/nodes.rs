//! The nodes of the cluster, and which of them to ask first.

use std::sync::atomic::{AtomicUsize, Ordering};

use url::Url;

/// The nodes, and the one that last answered.
///
/// Any node can answer anything, so the client stays with one that works: its connections are warm, and what
/// it has confirmed it also shows. A node that fails is left for the next in the list.
#[derive(Debug)]
pub(crate) struct Nodes {
    urls: Vec<Url>,
    preferred: AtomicUsize,
}

impl Nodes {
    /// `start_at` is taken modulo the number of nodes; there must be one at least.
    pub(crate) fn new(urls: Vec<Url>, start_at: usize) -> Self {
        let preferred = AtomicUsize::new(start_at % urls.len().max(1));
        Self { urls, preferred }
    }

    /// Every node once, by position, the preferred one first.
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, first) = (self.urls.len(), self.preferred.load(Ordering::Relaxed));
        (0..count).map(move |step| (first + step) % count)
    }

    pub(crate) fn url(&self, position: usize) -> &Url {
        &self.urls[position]
    }

    /// Moves on from a node that failed, unless another call has moved on already.
    pub(crate) fn failed(&self, position: usize) {
        let next = (position + 1) % self.urls.len();
        let _ = self.preferred.compare_exchange(position, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn nodes(start_at: usize) -> Nodes {
        let urls = ["http://a", "http://b", "http://c"];
        Nodes::new(urls.map(|url| Url::parse(url).unwrap()).to_vec(), start_at)
    }

    fn order(nodes: &Nodes) -> Vec<usize> {
        nodes.order().collect()
    }

    #[test]
    fn every_node_is_asked_once() {
        assert_eq!(order(&nodes(0)), [0, 1, 2]);
        assert_eq!(order(&nodes(5)), [2, 0, 1]);
    }

    #[test]
    fn a_node_that_failed_comes_last() {
        let nodes = nodes(2);
        nodes.failed(2);
        assert_eq!(order(&nodes), [0, 1, 2]);
    }

    #[test]
    fn two_calls_that_saw_the_same_failure_move_on_once() {
        let nodes = nodes(0);
        nodes.failed(0);
        nodes.failed(0);
        assert_eq!(order(&nodes), [1, 2, 0]);
    }
}
