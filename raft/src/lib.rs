//! openraft glue: peer plane, formation, replication of the registry.
//!
//! A [`Replica`] is one node's copy of the registry. [`Replica::propose`] brings a command into the log of
//! whichever node leads, [`Replica::read_index`] makes a read linearizable, [`Replica::state`] is the copy
//! itself. Everything between nodes runs on a Tokio runtime of its own, so that clients of the public API,
//! however many, cannot starve elections and replication.
//!
//! Nodes find each other by names and a shared [`ClusterSecret`]; see `formation` for how they become one
//! cluster without any of them being special, and `certificate` and `directory` for who is believed what.

mod aside;
mod assemble;
mod autopilot;
mod backup;
mod bootstrap;
mod certificate;
mod compaction;
mod config;
mod counters;
mod directory;
mod environment;
mod fitness;
mod formation;
mod handover;
mod identity;
mod inspect;
mod lease;
mod lingering;
mod machine;
mod metrics;
mod network;
mod node;
mod peer;
mod propose;
mod read_index;
mod replica;
mod runtime;
mod secret;
mod secrets;
mod snapshot;
mod start;
mod status;
mod tls;
pub mod trace;
mod types;
mod versions;
mod voters;
mod wire;

pub use backup::{
    Backup, BackupError, BackupFile, BackupFileError, Founded, RestoreError, Restored, Restoring, recover,
    restore,
};
pub use bootstrap::{BootstrapError, propose_bootstrap};
pub use certificate::CertificateError;
pub use config::{ClusterFacts, Config, RaftTuning};
pub use environment::Environment;
pub use fitness::{DiskStatus, Room, Unfit};
pub use formation::phase::Stage;
pub use handover::{Handler, HandoverError};
pub use identity::{IdentityError, KeyCondition};
pub use inspect::{Checkup, SeenFile, checkup};
pub use lease::{
    clock::Reading,
    granter::SessionStatus,
    outlook::{GivenLease, Outlook},
    permit::{Permit, Verdict},
    rules::{Mutant, Rules},
    sealing::{SealError, SealReceipt},
    session::{Cover, Covered},
};
pub use lingering::Lingering;
pub use machine::Checkpoint;
pub use node::Ending;
pub use peer::{dial::DialError, resolve::ResolveError};
pub use propose::{Committed, ProposeError};
pub use read_index::ReadError;
pub use replica::{Replica, TransferError, WeakReplica};
pub use secret::{ClusterSecret, WeakSecret};
pub use secrets::SecretsInForce;
pub use start::{MOST_FOUNDERS, StartError};
pub use status::{LeaseStatus, MemberStatus, Role, Status};
pub use tls::TlsError;
pub use types::{Applied, Logged, PeerNode, TypeConfig};
pub use wire::WireError;

#[cfg(test)]
mod tests;
