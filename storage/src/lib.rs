//! Raft log, vote and snapshots, durable, on sled; generic over openraft's type configuration.
//!
//! What it promises, and where that is kept:
//!
//! - **Persist, then speak.** A callback fires, and a call returns, only after an fsync that covers
//!   its operation. One thread writes (`writer.rs`); all operations that wait share its next fsync.
//! - **One order.** Votes, appends, truncations and purges take effect, also on disk, in the order
//!   in which they were queued (`queue.rs`). Readers see them at once (`tail.rs`).
//! - **Nothing is skipped silently.** At start every entry is read and checked, and compared with
//!   what was acknowledged (`recovery.rs`, `watermark.rs`). A folder that has lost something is refused
//!   by name; the way back is an empty folder and a new node.
//! - **A failed fsync is final.** The store stops, every later call gets the reason, and the process
//!   should end ([`Failure`]). A writer that hangs aborts the process ([`Options::watchdog`]).
//!
//! Absent on purpose: retries, repair by guessing, a second database, caching of whole entries
//! beyond the end of the log, and anything that knows what an entry or a snapshot means.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should panic, and says where it is")
)]

mod codec;
mod damage;
mod disk;
mod entries;
mod error;
mod failure;
mod folder;
mod frame;
mod inspect;
mod log_id;
mod log_store;
mod log_writer;
mod meta_store;
mod metrics;
mod open;
mod options;
mod piece;
mod queue;
mod recovery;
mod remedy;
mod set_aside;
mod shared;
mod snapshot;
mod space;
mod tail;
#[cfg(test)]
mod tests;
mod watchdog;
mod watermark;
mod writer;

#[cfg(test)]
extern crate self as hapi_storage;

pub use crate::{
    damage::{Damage, FrameFault},
    error::{OpenError, SnapshotError, StorageError},
    failure::Failure,
    inspect::{Inspection, SeenFile, inspect},
    log_store::LogStore,
    meta_store::MetaStore,
    metrics::{HistogramData, StorageMetrics},
    open::Storage,
    options::{Options, Stalled},
    set_aside::{condemn, legacy, set_aside},
    snapshot::{
        Incoming, MAX_HEADER_BYTES, MAX_RECORD_BYTES, Records, SnapshotFile, SnapshotStore, SnapshotStream,
        SnapshotWriter, snapshot_name,
    },
    space::free_bytes,
};

/// The largest encoded log entry, in bytes: as many pieces as one batch has keys, so that an entry
/// is always written and deleted as a whole.
pub const MAX_ENTRY_BYTES: usize = disk::BATCH_KEYS * piece::PIECE_BYTES;
/// The largest key and value of [`MetaStore::put`] together, in bytes: like a piece of an entry, so
/// that no page of the database outgrows its log file.
pub const MAX_META_BYTES: usize = piece::PIECE_BYTES;
