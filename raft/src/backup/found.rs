//! Founding a cluster of one node in an empty folder, on a state that another cluster has left.

use crate::{
    ClusterFacts, Environment, PeerNode, StartError,
    certificate::key_sha256,
    formation::{desk, phase::Phase},
    identity::Identity,
    snapshot::shelf::Shelf,
    start,
    types::{LogId, StoredMembership, TypeConfig, Vote},
    wire,
};
use hapi_registry_state::{NodeId, Registry};
use hapi_storage::{Options, Storage};
use openraft::{Membership, storage::RaftLogStorage, vote::RaftLeaderId as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};
use tokio::task::spawn_blocking;

/// Stands in a folder while it is being made. A folder that still has it holds no cluster.
const NOTE: &str = "restoring";

/// The term in which the new cluster's history begins.
const TERM: u64 = 1;

/// A cluster of one node that waits to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founded {
    /// The new cluster.
    pub cluster_id: u128,
    /// Its only node.
    pub node: NodeId,
}

/// Refuses a folder whose making was not finished.
pub(crate) fn check_finished(dir: &Path) -> Result<(), StartError> {
    if dir.join(NOTE).exists() {
        return Err(StartError::Config(format!(
            "a restore into {} was not finished: empty the folder and restore again",
            dir.display()
        )));
    }
    Ok(())
}

/// Makes the data folder `dir` of the first node of a new cluster, whose state is `registry`.
pub(crate) async fn found(
    dir: &Path,
    registry: Registry,
    facts: &ClusterFacts,
    version: &str,
    environment: &dyn Environment,
) -> Result<Founded, StartError> {
    let unwritable = |source: io::Error| StartError::Config(format!("{}: {source}", dir.display()));
    begin(dir).map_err(unwritable)?;
    let opened = dir.to_owned();
    let storage = spawn_blocking(move || Storage::<TypeConfig>::open(&opened, Options::default())).await??;
    let identity = Identity::load(dir, &storage.meta, environment).await?;
    let record = PeerNode {
        // It says where it is once it runs.
        peer: String::new(),
        http: String::new(),
        key_sha256: key_sha256(&identity.key),
        version: version.into(),
    };
    place(&storage, registry, identity.id, record).await.map_err(unwritable)?;
    let mut cluster_id = [0; 16];
    environment.fill_random(&mut cluster_id);
    let cluster_id = u128::from_be_bytes(cluster_id);
    put(&storage, start::FACTS, facts).await?;
    put(&storage, desk::META_KEY, &Phase::Member { cluster_id }).await?;
    storage.close().await;
    finish(dir).map_err(unwritable)?;
    Ok(Founded { cluster_id, node: NodeId(identity.id) })
}

/// Writes the snapshot, and a log that begins behind it.
async fn place(
    storage: &Storage<TypeConfig>,
    registry: Registry,
    id: u64,
    record: PeerNode,
) -> io::Result<()> {
    let vote = Vote::new(TERM, id);
    let last = LogId::new(vote.leader_id().to_committed(), registry.applied());
    let membership = Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, record)]));
    let membership = membership.map_err(io::Error::other)?;
    let membership = StoredMembership::new(Some(last), membership);
    let snapshots = storage.snapshots.clone();
    spawn_blocking(move || Shelf::open(snapshots)?.write(&registry, last, membership))
        .await
        .map_err(io::Error::other)??;
    let mut log = storage.log.clone();
    log.save_vote(&vote).await?;
    log.purge(last).await
}

async fn put(
    storage: &Storage<TypeConfig>,
    key: &'static str,
    value: &impl serde::Serialize,
) -> Result<(), StartError> {
    let bytes = wire::encode(value).map_err(|error| StartError::Config(error.to_string()))?;
    storage.meta.put(key, bytes).await.map_err(|error| StartError::Config(error.to_string()))
}

fn begin(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::File::create(dir.join(NOTE))?.sync_all()?;
    fs::File::open(dir)?.sync_all()
}

fn finish(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join(NOTE))?;
    fs::File::open(dir)?.sync_all()
}

/// Whether nobody has lived in `dir`: what a mount point has of its own does not count.
pub(crate) fn is_empty(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                if entry?.file_name() != "lost+found" {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
