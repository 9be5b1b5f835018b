//! An executable model of the whole protocol: small clusters whose nodes drive the machines of this module
//! over an abstract Raft and a bad network, on clocks that run fast and slow.
//!
//! True time exists here and nowhere else, and so here alone can be judged what no node can know: whether a
//! descriptor was issued after the denial that forbids it had been acknowledged. The [`walk`]s look for such
//! a descriptor at random, the [`schedules`] on purpose, and [`exhaustive`] everywhere within a small bound.
//! None must be found while all rules hold, and one for each rule that is left out: a checker that cannot
//! fail proves nothing.
//!
//! | file | noun |
//! |---|---|
//! | [`clocks`] | the clocks of one node, against true time |
//! | [`network`] | messages in flight, cuts |
//! | [`log`], [`replica`] | entries and the abstract Raft |
//! | [`view`] | the state that issuers see |
//! | [`leader`], [`issuer`], [`node`] | the steps of the driver around the machines |
//! | [`oracle`] | what was acknowledged, what was late |
//! | [`event`], [`world`] | what can happen, and the cluster that it happens to |
//!
//! Absent: hand-over, which is an issuance on another node; strict mode, which uses no lease; snapshots,
//! which only take leases away; the order of loads and stores in memory, which [`super::board`] tests.

mod clocks;
mod dice;
mod event;
mod exhaustive;
mod issuer;
mod leader;
mod log;
mod network;
mod node;
mod oracle;
mod play;
mod replica;
mod schedules;
mod tests;
mod view;
mod walk;
mod world;

/// Nodes are numbered from 0; no cluster of the model has more.
const MOST_NODES: usize = 3;

/// A set of nodes, as bits.
type Nodes = u8;

const fn bit(node: usize) -> Nodes {
    1 << node
}

/// The name of a node in transcripts.
fn name(node: usize) -> char {
    ['A', 'B', 'C'][node]
}
