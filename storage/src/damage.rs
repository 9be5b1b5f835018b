//! What damage looks like when it is found.

use std::path::PathBuf;

/// Stored data that is not what was written. Each kind is named, none is skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// sled refused to open its files, or panicked over them.
    #[error("the database cannot be read: {0}")]
    Database(String),
    /// A value's frame is broken.
    #[error("{tree} key {key}: {fault}")]
    Frame {
        /// The tree it stands in.
        tree: &'static str,
        /// The key in readable form.
        key: String,
        /// What is wrong with it.
        fault: FrameFault,
    },
    /// A log entry is incomplete, does not decode, or carries another index than its key.
    #[error("log entry {index}: {reason}")]
    Entry {
        /// The entry's index.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry is missing between two that are present.
    #[error("the log has a gap: expected index {expected}, found {found}")]
    Gap {
        /// The index that is missing.
        expected: u64,
        /// The index that follows the gap.
        found: u64,
    },
    /// The log ends before an entry that was acknowledged.
    #[error(
        "the log has lost its tail: index {acknowledged} was acknowledged, the last one found is {}",
        last.map_or_else(|| "none".to_owned(), |last| last.to_string())
    )]
    LostTail {
        /// The last acknowledged index.
        acknowledged: u64,
        /// The last index found, if any.
        last: Option<u64>,
    },
    /// The entry at the last acknowledged index is not the one that was acknowledged there.
    #[error("log entry {index} is not the entry that was acknowledged at this index")]
    Diverged {
        /// The entry's index.
        index: u64,
    },
    /// The vote found is older than one that was acknowledged.
    #[error("the vote has gone back: {acknowledged} was acknowledged, {found} was found")]
    LostVote {
        /// The acknowledged vote.
        acknowledged: String,
        /// The vote found, or "none".
        found: String,
    },
    /// The watermark is missing or unreadable.
    #[error("the watermark {path} is unusable: {reason}")]
    Watermark {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Entries were purged because a snapshot covers them, but no such snapshot is there.
    #[error("the log is purged up to index {purged}, but the snapshot that covers it ({name}) is missing")]
    MissingSnapshot {
        /// The last purged index.
        purged: u64,
        /// The name of the newest snapshot when the log was purged, or "none".
        name: String,
    },
    /// The newest snapshot file is damaged.
    #[error("the newest snapshot is unusable: {0}")]
    Snapshot(String),
    /// A record of the log does not decode.
    #[error("the {key} record does not decode: {reason}")]
    Record {
        /// The record.
        key: &'static str,
        /// The decoder's own words.
        reason: String,
    },
    /// A record that must be there is not.
    #[error("the {0} record is missing")]
    MissingRecord(&'static str),
}

/// What is wrong with a frame (see `frame.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The value is shorter than a frame's header.
    #[error("the value is cut off")]
    Short,
    /// The frame is of a version this program does not know.
    #[error("frame version {0} is unknown")]
    Version(u8),
    /// The checksum does not match.
    #[error("the checksum does not match")]
    Checksum,
}
