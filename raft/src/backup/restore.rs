//! A registry goes on as a new cluster: from a backup, or from what one node has left.

use crate::{
    ClusterFacts, ClusterSecret, Environment, StartError,
    backup::{
        file::BackupFile,
        found::{self, Founded},
        salvage::{Salvaged, salvage},
    },
    lease::clock::Terms,
};
use hapi_registry_state::{Command, Entry, Outcome, Principal, Registry, SecretFingerprint, Timestamp};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use thiserror::Error;

/// No descriptor lives longer, whatever the settings were.
const LONGEST_TTL: Duration = Duration::from_secs(120);

/// What a registry is to go on with.
#[derive(Debug)]
pub struct Restoring<'a> {
    /// The data folder to be: empty, or not there.
    pub data_dir: &'a Path,
    /// The secret of the new cluster. Not that of the old one.
    pub secret: &'a ClusterSecret,
    /// The incarnation; without it, the one after that of the state.
    pub incarnation: Option<u64>,
    /// The issuer; without it, that of the old cluster.
    pub issuer: Option<String>,
    /// Since when no node of the old cluster has issued anything; without it, since now.
    pub stopped_at: Option<Timestamp>,
    /// The version of this program.
    pub version: &'a str,
}

/// A new cluster, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new cluster and its first node.
    pub founded: Founded,
    /// The cluster that it comes from.
    pub from: u128,
    /// The issuer that its nodes must be started with.
    pub issuer: String,
    /// The index of the old state; the new history begins after it.
    pub index: u64,
    /// The hash of the old state.
    pub hash: [u8; 32],
    /// The last index that the old node knew to be committed; for a backup the same as `index`.
    pub committed: u64,
    /// The incarnation.
    pub incarnation: u64,
    /// Nothing is issued before this instant, nor before an operator has confirmed the moderation state.
    pub hold_until: Timestamp,
}

/// Why no new cluster was made.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The folder has something in it.
    #[error("{} is not empty: name a folder that is, or that does not exist", .0.display())]
    NotEmpty(PathBuf),
    /// The folder cannot be looked into.
    #[error("{path}: {source}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The old cluster has this secret.
    #[error(
        "this is the cluster secret of the old cluster, or one that it gave up: a part of that one which still runs \
         would go on in this one's name. Make a new secret"
    )]
    SameSecret,
    /// The instant lies in the future.
    #[error("the old cluster cannot have stopped at {stopped_at}: it is {now} now")]
    Future {
        /// What was said.
        stopped_at: Timestamp,
        /// This machine's clock.
        now: Timestamp,
    },
    /// The state refuses to begin anew.
    #[error("{0}")]
    Refused(String),
    /// The folder cannot be made, or the old one not read.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A state, and what is known of the cluster that left it.
struct Legacy {
    registry: Registry,
    facts: ClusterFacts,
    cluster_id: u128,
    secrets: BTreeSet<SecretFingerprint>,
    committed: u64,
}

/// Makes the first node of a new cluster out of a backup.
///
/// # Errors
/// [`RestoreError`]. A folder that was not finished is refused at a start.
pub async fn restore(
    backup: BackupFile,
    restoring: Restoring<'_>,
    environment: &dyn Environment,
) -> Result<Restored, RestoreError> {
    let BackupFile { header, registry } = backup;
    let facts = ClusterFacts { issuer: header.issuer, lease_duration_ms: header.lease_duration_ms };
    let legacy = Legacy {
        registry,
        facts,
        cluster_id: header.cluster_id,
        secrets: header.secrets,
        committed: header.index,
    };
    begin(legacy, restoring, environment).await
}

/// Makes the first node of a new cluster out of the folder of a node whose cluster has lost its majority. The old
/// folder stays as it is.
///
/// # Errors
/// [`RestoreError`].
pub async fn recover(
    from: &Path,
    restoring: Restoring<'_>,
    environment: &dyn Environment,
) -> Result<Restored, RestoreError> {
    check_folder(restoring.data_dir)?;
    let Salvaged { registry, facts, cluster_id, secrets, committed } = salvage(from).await?;
    let legacy = Legacy { registry, facts, cluster_id, secrets, committed };
    begin(legacy, restoring, environment).await
}

async fn begin(
    legacy: Legacy,
    restoring: Restoring<'_>,
    environment: &dyn Environment,
) -> Result<Restored, RestoreError> {
    check_folder(restoring.data_dir)?;
    let Legacy { mut registry, facts, cluster_id: from, secrets, committed } = legacy;
    let secret = restoring.secret.fingerprint();
    if secrets.contains(&secret) || registry.is_given_up(secret).is_some() {
        return Err(RestoreError::SameSecret);
    }
    let (index, hash) = (registry.applied(), registry.hash());
    let incarnation = restoring.incarnation.unwrap_or(registry.incarnation() + 1);
    let now = environment.now().max(registry.at());
    let hold_until = hold_until(&facts, restoring.stopped_at, now)?;
    let command = Command::BeginIncarnation { incarnation, until: hold_until };
    match registry.apply(index + 1, &Entry::new(now, Principal::System, command)) {
        Outcome::Done => {}
        Outcome::Rejected(rejection) => return Err(RestoreError::Refused(rejection.to_string())),
        other => return Err(RestoreError::Refused(format!("{other:?}"))),
    }
    let facts = ClusterFacts { issuer: restoring.issuer.unwrap_or(facts.issuer), ..facts };
    let founded = found::found(restoring.data_dir, registry, &facts, restoring.version, environment).await?;
    Ok(Restored { founded, from, issuer: facts.issuer, index, hash, committed, incarnation, hold_until })
}

/// When the last descriptor of the old cluster has ended: its last lease, and then the longest life.
fn hold_until(
    facts: &ClusterFacts,
    stopped_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Timestamp, RestoreError> {
    let stopped_at = stopped_at.unwrap_or(now);
    if stopped_at > now {
        return Err(RestoreError::Future { stopped_at, now });
    }
    let wait = Terms::new(Duration::from_millis(facts.lease_duration_ms)).wait + LONGEST_TTL;
    // A second more than its whole seconds.
    Ok(stopped_at.plus_seconds(wait.as_secs() + 1))
}

fn check_folder(dir: &Path) -> Result<(), RestoreError> {
    match found::is_empty(dir) {
        Ok(true) => Ok(()),
        Ok(false) => Err(RestoreError::NotEmpty(dir.to_owned())),
        Err(source) => Err(RestoreError::Folder { path: dir.to_owned(), source }),
    }
}
