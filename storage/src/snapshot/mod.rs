//! Snapshot files beside the database: written once, complete or absent, checked whole when read.

mod file;
mod format;
mod incoming;
mod name;
mod records;
mod store;
mod stream;
mod writer;

pub use self::{
    file::SnapshotFile, incoming::Incoming, name::snapshot_name, records::Records, store::SnapshotStore,
    stream::SnapshotStream, writer::SnapshotWriter,
};

/// The largest header, in bytes. It holds a membership and a few ids.
pub const MAX_HEADER_BYTES: usize = 1 << 20;
/// The largest record, in bytes: it bounds what a reader must hold at once.
pub const MAX_RECORD_BYTES: usize = 8 << 20;
