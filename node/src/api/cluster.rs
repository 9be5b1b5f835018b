//! `/v1/cluster`: the nodes, how far each is, and whether their states agree.

use super::{
    Api, Written,
    body::{Json, Path, Query},
    hex,
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    clock, clock_source,
    problem::{Problem, ProblemBody},
    rotation::{Members, Rotation},
};
use axum::{Json as Answer, extract::State, http::StatusCode};
use hapi_raft::{Checkpoint, DiskStatus, MemberStatus, Role, SecretsInForce, SessionStatus, Status};
use hapi_registry_state::{Command, MemberState, NodeId, Outcome, Registry, Rejection, Right};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

/// How long hashing the state at a checkpoint may take.
const HASH_WAIT: Duration = Duration::from_secs(30);
const HASH_LOOK: Duration = Duration::from_millis(10);

/// The cluster as this node knows it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    /// What this node issues under; the same on every node.
    issuer: String,
    /// How long a serving lease lasts, likewise.
    lease_duration_ms: u64,
    node: ThisNode,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    term: u64,
    /// Everything at or below this index is known here to bind every node.
    sealed: u64,
    /// The session of the leader, if this node leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_session: Option<ShownSession>,
    members: Vec<ShownMember>,
    /// The last checkpoint: nodes that show the same index must show the same hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<ShownCheckpoint>,
    /// How often this registry began: 1, and one more for each restore.
    incarnation: u64,
    /// Why nothing is issued, after a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<ShownHold>,
    snapshots: Snapshots,
    catalog: Catalog,
    /// The cluster secrets, and where a change of them stands.
    secrets: Rotation,
    /// The index of the state that this node answers from.
    index: u64,
}

/// A restored registry issues nothing until an operator has confirmed its moderation state.
#[derive(Serialize, ToSchema)]
struct ShownHold {
    /// It cannot be confirmed before this instant: what was issued before the restore may be valid till then.
    until: String,
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
    lease: ShownLease,
    disk: ShownDisk,
    /// Its wall clock, to be compared with that of others.
    time: String,
    /// Why this node takes no writes, as leader or from one; absent if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfit: Option<String>,
    version: &'static str,
}

/// The file system that holds the data folder of the node that answers.
#[derive(Serialize, ToSchema)]
struct ShownDisk {
    free_bytes: u64,
    /// With less free space it takes no more writes.
    reserve_bytes: u64,
}

impl From<DiskStatus> for ShownDisk {
    fn from(DiskStatus { free, reserve, .. }: DiskStatus) -> Self {
        Self { free_bytes: free, reserve_bytes: reserve }
    }
}

/// The serving lease of the node that answers.
#[derive(Serialize, ToSchema)]
struct ShownLease {
    /// Whether the node decides connects itself now; else it hands them to the leader.
    valid: bool,
    /// How long ago it was asked for, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    /// It decides on states at or above this index.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u64>,
    /// Whether a majority confirms every descriptor: by the cluster's setting, or for want of a clock to trust.
    strict: bool,
    /// What the kernel makes time from.
    clock_source: String,
    /// Whether leases rest on it; else a majority confirms every descriptor.
    clock_trusted: bool,
}

/// What a leader knows of leases.
#[derive(Serialize, ToSchema)]
struct ShownSession {
    /// Whether it grants leases yet.
    open: bool,
    /// Leases decide on states at or above this index.
    floor: u64,
    /// Deny-type entries that do not bind every node yet.
    pending_seals: Vec<u64>,
}

impl From<SessionStatus> for ShownSession {
    fn from(SessionStatus { open, floor, pending_seals }: SessionStatus) -> Self {
        Self { open, floor, pending_seals }
    }
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
    /// The cluster secrets that it has in force; absent if neither the leader nor this node has heard of it of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<ShownSecrets>,
}

/// The cluster secrets of a node, by their fingerprints.
#[derive(Serialize, ToSchema)]
struct ShownSecrets {
    /// The one that signs its certificate.
    signs: String,
    /// Those by which it verifies others, the one that signs first.
    verifies: Vec<String>,
}

impl From<&SecretsInForce> for ShownSecrets {
    fn from(SecretsInForce { signs, verifies }: &SecretsInForce) -> Self {
        let others = verifies.iter().filter(|secret| *secret != signs);
        let verifies = std::iter::once(signs).chain(others).map(ToString::to_string).collect();
        Self { signs: signs.to_string(), verifies }
    }
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
    let heard = api.replica.secrets_of_members().await;
    let (status, state) = (api.replica.status(), api.replica.state());
    let secrets: Members =
        status.members.iter().map(|member| (member.id, heard.get(&member.id).cloned())).collect();
    let known_outside = state.given_up().map(|(secret, _)| secret).collect();
    let (servers, versions) = state.catalog_size();
    Ok(Answer(ClusterStatus {
        cluster_id: status.cluster_id.map(|id| format!("{id:032x}")),
        issuer: api.desk.issuer.clone(),
        lease_duration_ms: api.replica.lease_duration_ms(),
        node: ThisNode {
            id: status.id.to_string(),
            http: api.http.clone(),
            role: role(status.role),
            last_log: status.last_log,
            committed: status.committed,
            applied: status.applied,
            snapshot: status.snapshot,
            purged: status.purged,
            lease: lease(&api, &status, &state),
            disk: status.disk.into(),
            time: clock::now().to_string(),
            unfit: status.unfit.as_ref().map(ToString::to_string),
            version: env!("CARGO_PKG_VERSION"),
        },
        leader: status.leader.map(|id| id.to_string()),
        term: status.term,
        sealed: status.sealed,
        leader_session: status.session.clone().map(ShownSession::from),
        members: status.members.iter().map(|member| shape(member, heard.get(&member.id), &state)).collect(),
        checkpoint: status.checkpoint.as_ref().map(shown),
        incarnation: state.incarnation(),
        hold: state.hold().map(|hold| ShownHold { until: hold.until.to_string() }),
        snapshots: Snapshots {
            built: status.snapshots_built,
            installed: status.snapshots_installed,
            sent: status.snapshots_sent,
        },
        catalog: Catalog { servers, versions },
        secrets: Rotation::judge(&secrets, &known_outside),
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

fn lease(api: &Api, status: &Status, state: &Registry) -> ShownLease {
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let distrusts = api.desk.distrusts_clock.load(Ordering::Relaxed);
    ShownLease {
        valid: status.lease.is_some_and(|lease| lease.valid),
        age_ms: status.lease.map(|lease| millis(lease.age)),
        threshold: status.lease.map(|lease| lease.threshold),
        strict: state.settings().strict || distrusts,
        clock_source: clock_source::read().name,
        clock_trusted: !distrusts,
    }
}

/// Rest between two tries to take a drained node off the roster.
const SEAL_LOOK: Duration = Duration::from_millis(20);

/// How a node is removed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveQuery {
    /// Whether somebody else may have its data: then the cluster secret must be changed.
    #[serde(default)]
    compromised: bool,
}

/// Remove a node for good: it issues nothing from then on, leaves the roster and then Raft.
///
/// The receipt says how every node, the removed one too, came to obey. After 202 repeat the request to go on. With
/// `compromised` the cluster secrets in force are given up: they let nobody join any more, and the status of the cluster
/// says so until no node has them in force.
#[utoipa::path(
    delete, path = "/v1/cluster/members/{id}", tag = "cluster",
    params(("id" = String, Path), RemoveQuery),
    responses(
        (status = 200, description = "The node issues nothing any more", body = Receipt),
        (status = 202, description = "It is draining: repeat the request", body = ProblemBody),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(RemoveQuery { compromised }): Query<RemoveQuery>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    let node = parse_node(&id)?;
    let state = api.replica.state();
    if compromised {
        give_up_secrets(&api, &caller, node).await?;
    }
    if state.has_departed(node) {
        return Ok(Answer(Receipt { unchanged: true, ..Receipt::sealed(state.applied(), &[]) }));
    }
    if !state.roster().any(|(other, _)| other != node && state.is_active_member(other)) {
        let detail = "no other node would be left to issue: add one first";
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
    }
    let drained = api.write(&caller, Command::DrainNode(node)).await?;
    leave(&api, &caller, node).await?;
    Ok(Answer(drained.into()))
}

/// Notes that whoever has `node` knows the secrets that are in force on any member. First of all, so that the removed
/// node cannot come back as another by them.
async fn give_up_secrets(api: &Api, caller: &Authenticated, node: NodeId) -> Result<(), Problem> {
    let heard = api.replica.secrets_of_members().await;
    let secrets: BTreeSet<_> = heard.into_values().flat_map(|secrets| secrets.verifies).collect();
    let command = Command::GiveUpSecrets { node, secrets: secrets.into_iter().collect() };
    // The caller's name for the request is for the draining.
    api.write_unnamed(caller, command).await.map(|_| ())
}

/// Takes the node off the roster. The seal of its draining is on record a moment after it is complete.
async fn leave(api: &Api, caller: &Authenticated, node: NodeId) -> Result<Written, Problem> {
    let deadline = Instant::now() + caller.wait();
    loop {
        let committed = api.replica.propose(caller.principal(), Command::LeaveRoster(node)).await?;
        match committed.outcome {
            Outcome::Rejected(Rejection::NodeNotSealed { index, .. }) if Instant::now() >= deadline => {
                return Err(Problem::not_sealed(index));
            }
            Outcome::Rejected(Rejection::NodeNotSealed { .. }) => tokio::time::sleep(SEAL_LOOK).await,
            Outcome::Rejected(rejection) => return Err(Problem::from(rejection).at(committed.index)),
            outcome => return Ok(Written { index: committed.index, outcome, nodes: Vec::new() }),
        }
    }
}

pub(super) fn parse_node(id: &str) -> Result<NodeId, Problem> {
    id.parse().map_err(|_| Problem::invalid("a node id has 16 hexadecimal digits: see `cluster status`"))
}

/// Who is to lead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferBody {
    /// The voter that is to lead; without this the one that has most of the log.
    to: Option<String>,
}

/// Who leads.
#[derive(Serialize, ToSchema)]
pub(crate) struct Transferred {
    leader: String,
}

/// Let another voter lead.
#[utoipa::path(
    post, path = "/v1/cluster/transfer-leader", tag = "cluster", request_body = TransferBody,
    responses((status = 200, body = Transferred), (status = "default", body = ProblemBody))
)]
pub(crate) async fn transfer_leader(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Json(body): Json<TransferBody>,
) -> Result<Answer<Transferred>, Problem> {
    caller.require(Right::Operate)?;
    let heir = body.to.as_deref().map(parse_node).transpose()?;
    let leader = api.replica.transfer_leader(heir).await?;
    Ok(Answer(Transferred { leader: leader.to_string() }))
}

fn shown(checkpoint: &Checkpoint) -> ShownCheckpoint {
    ShownCheckpoint { index: checkpoint.index, hash: hex(&checkpoint.hash) }
}

fn shape(member: &MemberStatus, secrets: Option<&SecretsInForce>, state: &Registry) -> ShownMember {
    ShownMember {
        id: member.id.to_string(),
        http: member.record.http.clone(),
        peer: member.record.peer.clone(),
        role: if member.is_voter { "voter" } else { "learner" },
        state: member_state(state, member.id),
        lag: member.lag,
        version: member.record.version.clone(),
        secrets: secrets.map(ShownSecrets::from),
    }
}

/// How a node stands on the roster of those that issue.
pub(crate) fn member_state(state: &Registry, node: NodeId) -> &'static str {
    match state.member(node).map(|member| member.state) {
        Some(MemberState::Active) if !state.is_active_member(node) => "suspended",
        Some(MemberState::Active) => "active",
        Some(MemberState::Draining) => "draining",
        None => "absent",
    }
}

pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    }
}
