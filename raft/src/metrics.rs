//! Gauges, read at the moment of a scrape.

mod storage;

use crate::{
    node::Node,
    status::{Role, Status},
};
use prometheus::{
    Gauge, IntGauge, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use std::sync::Weak;

/// Turns the state of a replica into gauges whenever it is asked. It does not keep the replica alive.
pub(crate) struct Scrape {
    node: Weak<Node>,
    term: IntGauge,
    is_leader: IntGauge,
    committed: IntGauge,
    applied: IntGauge,
    last_log: IntGauge,
    purged: IntGauge,
    members: IntGaugeVec,
    lag: IntGaugeVec,
    lease_valid: IntGauge,
    lease_age: Gauge,
    sealed: IntGauge,
    queue: IntGauge,
    on_hold: IntGauge,
    secrets: IntGauge,
    compromised: IntGauge,
    disk_reserve: IntGauge,
    unfit: IntGauge,
}

impl Scrape {
    pub(crate) fn new(node: Weak<Node>) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let vec = |name: &str, help: &str, label| IntGaugeVec::new(Opts::new(name, help), &[label]);
        Ok(Self {
            node,
            term: gauge("hapi_raft_term", "Current term.")?,
            is_leader: gauge("hapi_raft_is_leader", "1 if this node leads.")?,
            committed: gauge("hapi_raft_commit_index", "Known to be committed up to here.")?,
            applied: gauge("hapi_raft_applied_index", "Applied up to here.")?,
            last_log: gauge("hapi_raft_last_log_index", "Last index of the log.")?,
            purged: gauge("hapi_raft_purged_index", "The log begins after this index.")?,
            members: vec("hapi_raft_members", "Members by their vote.", "role")?,
            lag: vec("hapi_raft_lag_entries", "Entries a member lacks, as its leader knows.", "node")?,
            lease_valid: gauge("hapi_lease_valid", "1 if this node has a valid serving lease.")?,
            lease_age: Gauge::new("hapi_lease_age_seconds", "How long ago the present lease was asked for.")?,
            sealed: gauge("hapi_sealed_index", "Everything at or below is known here to bind every node.")?,
            queue: gauge("hapi_storage_queue_depth", "Writes that wait for the disk.")?,
            on_hold: gauge(
                "hapi_issuance_on_hold",
                "1 while a restored registry waits for its moderation state to be confirmed.",
            )?,
            secrets: gauge(
                "hapi_cluster_secrets",
                "Cluster secrets in force here; 2 while they are changed.",
            )?,
            compromised: gauge(
                "hapi_cluster_secret_compromised",
                "1 while a removed node knows a cluster secret that is in force here.",
            )?,
            disk_reserve: gauge("hapi_disk_reserve_bytes", "Below so much free space writes are refused.")?,
            unfit: gauge(
                "hapi_unfit",
                "1 if this node takes no writes, for want of disk or of a right clock.",
            )?,
        })
    }

    fn gauges(&self) -> [&dyn Collector; 17] {
        [
            &self.term,
            &self.is_leader,
            &self.committed,
            &self.applied,
            &self.last_log,
            &self.purged,
            &self.members,
            &self.lag,
            &self.lease_valid,
            &self.lease_age,
            &self.sealed,
            &self.queue,
            &self.on_hold,
            &self.secrets,
            &self.compromised,
            &self.disk_reserve,
            &self.unfit,
        ]
    }

    fn read(&self, status: &Status) {
        let index = |value: Option<u64>| value.unwrap_or(0) as i64;
        self.term.set(status.term as i64);
        self.is_leader.set(i64::from(status.role == Role::Leader));
        self.committed.set(index(status.committed));
        self.applied.set(index(status.applied));
        self.last_log.set(index(status.last_log));
        self.purged.set(index(status.purged));
        self.lease_valid.set(i64::from(status.lease.is_some_and(|lease| lease.valid)));
        self.lease_age.set(status.lease.map_or(0.0, |lease| lease.age.as_secs_f64()));
        self.sealed.set(status.sealed as i64);
        self.disk_reserve.set(i64::try_from(status.disk.reserve).unwrap_or(i64::MAX));
        self.unfit.set(i64::from(status.unfit.is_some()));
        let voters = status.members.iter().filter(|member| member.is_voter).count();
        self.members.with_label_values(&["voter"]).set(voters as i64);
        self.members.with_label_values(&["learner"]).set((status.members.len() - voters) as i64);
        // Members come and go: a label of one that left must not stay.
        self.lag.reset();
        for member in &status.members {
            if let Some(lag) = member.lag {
                self.lag.with_label_values(&[&member.id.to_string()]).set(lag as i64);
            }
        }
    }
}

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(node) = self.node.upgrade() else {
            return Vec::new();
        };
        self.read(&node.status());
        self.queue.set(node.storage.queue_depth() as i64);
        self.on_hold.set(i64::from(node.published.state().hold().is_some()));
        let (secrets, state) = (node.tls().keys().in_force.clone(), node.published.state());
        self.secrets.set(secrets.verifies.len() as i64);
        let is_known_outside = secrets.verifies.iter().any(|secret| state.is_given_up(*secret).is_some());
        self.compromised.set(i64::from(is_known_outside));
        let mut families: Vec<_> = self.gauges().into_iter().flat_map(Collector::collect).collect();
        families.extend(storage::families(&node.storage));
        families
    }
}
