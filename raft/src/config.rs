//! What a replica is told at its start.

use crate::{ClusterSecret, Rules};
use serde::{Deserialize, Serialize};
use std::{net::TcpListener, path::PathBuf};

/// The settings of one replica.
#[derive(Debug)]
pub struct Config {
    /// The folder with log, snapshots and peer key; one process at a time.
    pub data_dir: PathBuf,
    /// One secret, or two while the secret is being changed: the first signs, all verify.
    pub secrets: Vec<ClusterSecret>,
    /// Where the peer plane listens; bound by the caller, so that port 0 works.
    pub peer_listener: TcpListener,
    /// The address at which other nodes reach the peer plane, `host:port`.
    pub peer_advertise: String,
    /// The base URL of this node's public API, as members are told it.
    pub http_advertise: String,
    /// Where other nodes may be found, `host:port`. A name may stand for many addresses and is resolved
    /// anew at each try.
    pub join: Vec<String>,
    /// How many nodes form a new cluster; `None` only joins an existing one.
    pub bootstrap_expect: Option<u16>,
    /// What all nodes of a cluster must agree on.
    pub facts: ClusterFacts,
    /// Timings and sizes.
    pub tuning: RaftTuning,
    /// The rules of leases; all of them, unless a fault is injected.
    pub rules: Rules,
    /// The version of this program, shown in the list of members.
    pub version: String,
}

/// Node-local settings that must be alike on all nodes, compared when a node wants to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// The issuer named in every descriptor.
    pub issuer: String,
    /// How long a serving lease lasts, in milliseconds.
    pub lease_duration_ms: u64,
}

impl ClusterFacts {
    /// The first fact in which `other` differs: its name, our value, the other's value.
    pub(crate) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        if self.issuer != other.issuer {
            return Some(("issuer", self.issuer.clone(), other.issuer.clone()));
        }
        let (ours, theirs) = (self.lease_duration_ms, other.lease_duration_ms);
        (ours != theirs).then(|| ("lease.duration_ms", ours.to_string(), theirs.to_string()))
    }
}

/// Timings and sizes of Raft. The defaults suit nodes within one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftTuning {
    /// How often the leader says that it is there.
    pub heartbeat_ms: u64,
    /// The shortest election time-out.
    pub election_timeout_min_ms: u64,
    /// The longest election time-out; also for how long a follower trusts a silent leader before that.
    pub election_timeout_max_ms: u64,
    /// A snapshot is built after so many entries.
    pub snapshot_entries: u64,
    /// So many entries before the newest snapshot stay in the log, for followers that lag a little. A
    /// follower that lags by more than twice as many gets a snapshot.
    pub keep_entries: u64,
    /// A snapshot is built as well when the entries behind the last one have more bytes than this, and than a quarter of
    /// that snapshot.
    pub snapshot_bytes: u64,
    /// Entries that a snapshot covers stay in the log only as far as the log has no more bytes than this.
    pub keep_bytes: u64,
    /// How long one transfer and installation of a snapshot may take before it is started again. What
    /// has arrived is kept, so that the next try goes on where this one ended.
    pub install_timeout_ms: u64,
    /// For how long a learner must have kept up before it becomes a voter.
    pub promote_after_ms: u64,
    /// Learners become voters while there are fewer than these; an odd number.
    pub max_voters: usize,
    /// For how long a voter may be silent before a learner takes its place.
    pub dead_node_grace_ms: u64,
    /// Writes are refused while the data folder has less room than this, in bytes.
    pub disk_reserve_bytes: u64,
}

impl Default for RaftTuning {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_timeout_min_ms: 400,
            election_timeout_max_ms: 800,
            snapshot_entries: 20_000,
            keep_entries: 20_000,
            snapshot_bytes: 16 << 20,
            keep_bytes: 4 << 20,
            install_timeout_ms: 60_000,
            promote_after_ms: 10_000,
            // More would make every commit wait for more disks, and five survive the loss of two.
            max_voters: 5,
            dead_node_grace_ms: 300_000,
            // A snapshot or two of a large catalog, and the log and the votes of many hours.
            disk_reserve_bytes: 128 << 20,
        }
    }
}

impl RaftTuning {
    /// openraft's own form of these settings.
    pub(crate) fn engine(&self, cluster: &str) -> Result<openraft::Config, openraft::ConfigError> {
        openraft::Config {
            cluster_name: cluster.into(),
            heartbeat_interval: self.heartbeat_ms,
            election_timeout_min: self.election_timeout_min_ms,
            election_timeout_max: self.election_timeout_max_ms,
            install_snapshot_timeout: self.install_timeout_ms,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_entries),
            max_in_snapshot_log_to_keep: self.keep_entries,
            replication_lag_threshold: self.keep_entries.saturating_mul(2),
            // Purging takes a lock of the store for each piece; pieces of this size hold it briefly.
            purge_batch_size: self.keep_entries.clamp(1, 256),
            // A resumed leadership within the same term may hand out a read index that is too low; an
            // election costs little and closes that hole.
            enable_leader_restore: Some(false),
            enable_pre_vote: Some(true),
            backoff: "50ms 100ms 200ms 400ms ..1s".into(),
            ..Default::default()
        }
        .validate()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_default_tuning_is_valid_and_never_restores_a_leader() {
        let config = RaftTuning::default().engine("test").unwrap();
        assert_eq!(config.enable_leader_restore, Some(false));
        assert_eq!(config.enable_pre_vote, Some(true));
        assert_eq!(config.replication_lag_threshold, 40_000);
    }

    #[test]
    fn a_difference_names_both_values() {
        let ours = ClusterFacts { issuer: "https://a".into(), lease_duration_ms: 3000 };
        let theirs = ClusterFacts { issuer: "https://b".into(), lease_duration_ms: 3000 };
        assert_eq!(ours.difference(&theirs), Some(("issuer", "https://a".into(), "https://b".into())));
        let slower = ClusterFacts { lease_duration_ms: 5000, ..ours.clone() };
        assert_eq!(ours.difference(&slower), Some(("lease.duration_ms", "3000".into(), "5000".into())));
        assert_eq!(ours.difference(&ours.clone()), None);
    }
}
