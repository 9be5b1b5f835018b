//! The kinds of message, their paths, bounds and gates.

use std::time::Duration;

/// Who may send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Any node that proved the secret: what is needed before its key is pinned.
    Asking,
    /// Members with their pinned key.
    Member,
    /// A command-line tool that proved the secret.
    Operator,
}

/// Connections of different purpose are kept apart: a snapshot on its way must not hold up a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Log entries.
    Log,
    /// Heartbeats, votes, read indexes, leases and confirmations: small, and late ones are useless.
    Pulse,
    /// Snapshots.
    Bulk,
    /// Proposals and everything else.
    Talk,
}

/// One kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Hello,
    Invite,
    Release,
    Join,
    Bootstrap,
    Propose,
    ReadIndex,
    Lease,
    Confirm,
    Seal,
    Handover,
    Abdicate,
    Append,
    Vote,
    PreVote,
    TransferLeader,
    SnapshotBegin,
    SnapshotChunk,
    SnapshotInstall,
    Secrets,
    Outlook,
}

/// What a request may hold unless its kind needs more.
const SMALL: usize = 256 << 10;

/// The largest batch of log entries on the wire. The sender splits what is larger.
pub(crate) const APPEND_BYTES: usize = 8 << 20;

/// The largest command. Storage takes entries of 1 MiB; the rest is left for what surrounds a command.
pub(crate) const COMMAND_BYTES: usize = (1 << 20) - (16 << 10);

/// How much of a snapshot is sent at once.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

impl Route {
    pub(crate) const ALL: [Self; 21] = [
        Self::Hello,
        Self::Invite,
        Self::Release,
        Self::Join,
        Self::Bootstrap,
        Self::Propose,
        Self::ReadIndex,
        Self::Lease,
        Self::Confirm,
        Self::Seal,
        Self::Handover,
        Self::Abdicate,
        Self::Append,
        Self::Vote,
        Self::PreVote,
        Self::TransferLeader,
        Self::SnapshotBegin,
        Self::SnapshotChunk,
        Self::SnapshotInstall,
        Self::Secrets,
        Self::Outlook,
    ];

    /// The label in metrics.
    pub(crate) fn name(self) -> &'static str {
        &self.path()[1..]
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Hello => "/hello",
            Self::Invite => "/invite",
            Self::Release => "/release",
            Self::Join => "/join",
            Self::Bootstrap => "/bootstrap",
            Self::Propose => "/propose",
            Self::ReadIndex => "/read_index",
            Self::Lease => "/lease",
            Self::Confirm => "/confirm",
            Self::Seal => "/seal",
            Self::Handover => "/handover",
            Self::Abdicate => "/abdicate",
            Self::Append => "/append",
            Self::Vote => "/vote",
            Self::PreVote => "/pre_vote",
            Self::TransferLeader => "/transfer_leader",
            Self::SnapshotBegin => "/snapshot_begin",
            Self::SnapshotChunk => "/snapshot_chunk",
            Self::SnapshotInstall => "/snapshot_install",
            Self::Secrets => "/secrets",
            Self::Outlook => "/outlook",
        }
    }

    pub(crate) const fn gate(self) -> Gate {
        match self {
            Self::Hello | Self::Invite | Self::Release | Self::Join => Gate::Asking,
            Self::Bootstrap => Gate::Operator,
            _ => Gate::Member,
        }
    }

    /// The largest request body, in bytes.
    pub(crate) const fn limit(self) -> usize {
        match self {
            Self::Append => APPEND_BYTES + SMALL,
            Self::Propose | Self::Bootstrap => COMMAND_BYTES + SMALL,
            Self::SnapshotChunk => CHUNK_BYTES + SMALL,
            _ => SMALL,
        }
    }

    /// The largest answer, in bytes. An outcome can be about as large as the command it answers.
    pub(crate) const fn answer_limit(self) -> usize {
        match self {
            Self::Propose | Self::Bootstrap => 4 << 20,
            _ => SMALL,
        }
    }
}

/// How long a question of formation may take. Nodes answer from memory and one small write.
pub(crate) const ASK_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn paths_are_distinct_and_raft_is_for_members_alone() {
        let paths: BTreeSet<_> = Route::ALL.iter().map(|route| route.path()).collect();
        assert_eq!(paths.len(), Route::ALL.len());
        let open = Route::ALL.iter().filter(|route| route.gate() == Gate::Asking);
        assert_eq!(open.count(), 4);
        assert_eq!(Route::Append.gate(), Gate::Member);
        assert_eq!(Route::Propose.gate(), Gate::Member);
    }
}
