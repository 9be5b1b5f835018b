//! Taking a backup of a running cluster.

use crate::{
    ProposeError, Replica,
    backup::file::{self, Header, Origin},
    machine::Checkpoint,
};
use hapi_registry_state::{Command, Outcome, Principal, Registry, Rejection};
use std::{
    io::{self, Write},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};

/// How long this node may take to apply and hash the checkpoint.
const CAPTURE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no backup.
#[derive(Debug, Error)]
pub enum BackupError {
    /// This node belongs to no cluster yet.
    #[error("this node is in no cluster yet")]
    NoCluster,
    /// The checkpoint was not committed.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The caller may not.
    #[error("{0}")]
    Rejected(Rejection),
    /// This node did not apply the checkpoint, or did so by a snapshot of another node.
    #[error("this node did not pass the checkpoint at index {0}: ask again, or another node")]
    Missed(u64),
}

/// A state at a checkpoint, kept until it has been shown to whoever waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) registry: Registry,
}

/// One state of the registry, ready to be written. It costs what has changed since.
#[derive(Debug)]
pub struct Backup {
    header: Header,
    registry: Registry,
}

impl Backup {
    /// The index of the state.
    pub fn index(&self) -> u64 {
        self.header.index
    }

    /// Its hash, which every node publishes for that index.
    pub fn hash(&self) -> [u8; 32] {
        self.header.hash
    }

    /// Writes the file; yields its length in bytes. Blocking.
    ///
    /// # Errors
    /// When `out` fails. What was written so far is no backup, and every reader says so.
    pub fn write(&self, out: impl Write) -> io::Result<u64> {
        file::write(&self.header, &self.registry, out)
    }
}

impl Replica {
    /// Commits a checkpoint in the name of `by`, and keeps the state at it. So it holds all that was acknowledged
    /// before the call.
    ///
    /// # Errors
    /// [`BackupError`]: no majority, no right, or this node lags.
    pub async fn backup(&self, by: Principal) -> Result<Backup, BackupError> {
        let cluster_id = self.cluster_id().ok_or(BackupError::NoCluster)?;
        let captures = self.node().published.captures();
        let committed = self.propose(by, Command::Checkpoint).await?;
        if let Outcome::Rejected(rejection) = committed.outcome {
            return Err(BackupError::Rejected(rejection));
        }
        let index = committed.index;
        let captured = timeout(CAPTURE_TIMEOUT, at(captures, index)).await.ok().flatten();
        let Captured { checkpoint, registry } = captured.ok_or(BackupError::Missed(index))?;
        let node = self.node();
        let origin = Origin {
            cluster_id,
            issuer: node.facts.issuer.clone(),
            lease_duration_ms: node.facts.lease_duration_ms,
            secrets: self.secrets().verifies,
            version: node.version.clone(),
        };
        let header = Header::new(origin, &registry, checkpoint.hash, node.environment.now());
        Ok(Backup { header, registry })
    }
}

/// The state at the checkpoint of this index, once it is hashed.
async fn at(mut captures: Receiver<Captured>, index: u64) -> Option<Captured> {
    loop {
        match captures.recv().await {
            Ok(captured) if captured.checkpoint.index == index => return Some(captured),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}
