//! `/v1/cluster`: the nodes, how far each is, and whether their states agree.

use super::{Api, audit::hex};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_raft::{Checkpoint, MemberStatus, Role};
use hapi_registry_state::{Command, MemberState, Registry, Right};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;

/// How long hashing the state at a checkpoint may take.
const HASH_WAIT: Duration = Duration::from_secs(30);
const HASH_LOOK: Duration = Duration::from_millis(10);

/// The cluster as this node knows it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    node: ThisNode,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    term: u64,
    members: Vec<ShownMember>,
    /// The last checkpoint: nodes that show the same index must show the same hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<ShownCheckpoint>,
    snapshots: Snapshots,
    catalog: Catalog,
    /// The index of the state that this node answers from.
    index: u64,
}

/// The node that answers.
#[derive(Serialize, ToSchema)]
struct ThisNode {
    id: String,
    http: String,
    /// `leader`, `follower`, `candidate`, `learner` or `stopped`.
    role: &'static str,
    last_log: Option<u64>,
    committed: Option<u64>,
    applied: Option<u64>,
    snapshot: Option<u64>,
    purged: Option<u64>,
    version: &'static str,
}

/// A member of the cluster.
#[derive(Serialize, ToSchema)]
struct ShownMember {
    id: String,
    http: String,
    peer: String,
    /// `voter` or `learner`.
    role: &'static str,
    /// On the roster of nodes that issue: `active`, `draining` or `absent`.
    state: &'static str,
    /// How many entries of the leader's log it lacks; known only to the leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    version: String,
}

/// The hash of the whole state at an index.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownCheckpoint {
    index: u64,
    /// SHA-256, hexadecimal.
    hash: String,
}

/// What this process did with snapshots since it started.
#[derive(Serialize, ToSchema)]
struct Snapshots {
    built: u64,
    installed: u64,
    sent: u64,
}

/// The size of the catalog.
#[derive(Serialize, ToSchema)]
struct Catalog {
    servers: usize,
    versions: usize,
}

/// Show the cluster. Answers from this node's own knowledge, so that it works without a leader too.
#[utoipa::path(
    get, path = "/v1/cluster", tag = "cluster",
    responses((status = 200, body = ClusterStatus), (status = "default", body = ProblemBody))
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<ClusterStatus>, Problem> {
    caller.require(Right::ReadGovernance)?;
    let (status, state) = (api.replica.status(), api.replica.state());
    let (servers, versions) = state.catalog_size();
    Ok(Answer(ClusterStatus {
        cluster_id: status.cluster_id.map(|id| format!("{id:032x}")),
        node: ThisNode {
            id: status.id.to_string(),
            http: api.http.clone(),
            role: role(status.role),
            last_log: status.last_log,
            committed: status.committed,
            applied: status.applied,
            snapshot: status.snapshot,
            purged: status.purged,
            version: env!("CARGO_PKG_VERSION"),
        },
        leader: status.leader.map(|id| id.to_string()),
        term: status.term,
        members: status.members.iter().map(|member| shape(member, &state)).collect(),
        checkpoint: status.checkpoint.as_ref().map(shown),
        snapshots: Snapshots {
            built: status.snapshots_built,
            installed: status.snapshots_installed,
            sent: status.snapshots_sent,
        },
        catalog: Catalog { servers, versions },
        index: state.applied(),
    }))
}

/// Commit a checkpoint, at which every node hashes its state.
#[utoipa::path(
    post, path = "/v1/cluster/checkpoint", tag = "cluster",
    responses((status = 200, body = ShownCheckpoint), (status = "default", body = ProblemBody))
)]
pub(crate) async fn checkpoint(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<ShownCheckpoint>, Problem> {
    caller.require(Right::Operate)?;
    let index = api.write(&caller, Command::Checkpoint).await?.index;
    let hashed = async {
        loop {
            let checkpoint = api.replica.status().checkpoint.filter(|checkpoint| checkpoint.index >= index);
            match checkpoint {
                Some(checkpoint) => break checkpoint,
                None => tokio::time::sleep(HASH_LOOK).await,
            }
        }
    };
    let checkpoint = tokio::time::timeout(HASH_WAIT, hashed).await;
    let checkpoint = checkpoint.map_err(|_| {
        Problem::unavailable(
            "outcome_unknown",
            format!("committed at index {index}, but not hashed here yet"),
        )
    })?;
    Ok(Answer(shown(&checkpoint)))
}

fn shown(checkpoint: &Checkpoint) -> ShownCheckpoint {
    ShownCheckpoint { index: checkpoint.index, hash: hex(&checkpoint.hash) }
}

fn shape(member: &MemberStatus, state: &Registry) -> ShownMember {
    let on_roster = state.member(member.id).map(|member| member.state);
    ShownMember {
        id: member.id.to_string(),
        http: member.record.http.clone(),
        peer: member.record.peer.clone(),
        role: if member.is_voter { "voter" } else { "learner" },
        state: match on_roster {
            Some(MemberState::Active) => "active",
            Some(MemberState::Draining) => "draining",
            None => "absent",
        },
        lag: member.lag,
        version: member.record.version.clone(),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    }
}
