//! The backup file: a snapshot file with a header of its own.

use crate::wire::{self, WireError};
use hapi_registry_state::{Registry, SecretFingerprint, Timestamp, snapshot};
use hapi_storage::{SnapshotFile, SnapshotStream};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// What a header begins with, so that no snapshot of a data folder passes for a backup.
const KIND: &str = "hapi-registry backup 1";

/// What stands at the head of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    kind: String,
    /// The cluster.
    pub(crate) cluster_id: u128,
    /// The issuer in its descriptors.
    pub(crate) issuer: String,
    /// How long its leases last.
    pub(crate) lease_duration_ms: u64,
    /// Which secrets its nodes have.
    pub(crate) secrets: BTreeSet<SecretFingerprint>,
    /// The version of the program that wrote it.
    pub(crate) version: String,
    /// When.
    pub(crate) taken_at: Timestamp,
    /// The index of the state.
    pub(crate) index: u64,
    /// The hash of the state, as [`Registry::hash`] gives it.
    pub(crate) hash: [u8; 32],
    /// The form of the records.
    pub(crate) records: u16,
}

/// Of which cluster a backup is.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) cluster_id: u128,
    pub(crate) issuer: String,
    pub(crate) lease_duration_ms: u64,
    pub(crate) secrets: BTreeSet<SecretFingerprint>,
    pub(crate) version: String,
}

impl Header {
    pub(crate) fn new(origin: Origin, registry: &Registry, hash: [u8; 32], taken_at: Timestamp) -> Self {
        let Origin { cluster_id, issuer, lease_duration_ms, secrets, version } = origin;
        Self {
            kind: KIND.into(),
            cluster_id,
            issuer,
            lease_duration_ms,
            secrets,
            version,
            taken_at,
            index: registry.applied(),
            hash,
            records: snapshot::form(registry),
        }
    }
}

/// Writes a backup. Blocking.
pub(crate) fn write(header: &Header, registry: &Registry, out: impl Write) -> io::Result<u64> {
    let header = wire::encode(header).map_err(io::Error::other)?;
    let mut stream = SnapshotStream::start(out, &header)?;
    for record in snapshot::records(registry) {
        stream.push(&record)?;
    }
    let (mut out, _, bytes) = stream.finish()?;
    out.flush()?;
    Ok(bytes)
}

/// Why a file is not restored.
#[derive(Debug, Error)]
pub enum BackupFileError {
    /// The file cannot be read, or its checksums say that it is not as it was written.
    #[error("{0}: take another copy of the backup")]
    Container(#[from] hapi_storage::SnapshotError),
    /// A snapshot file of a node, most likely.
    #[error("{} is no backup: make one with `hapi-registry backup FILE`", .0.display())]
    NoBackup(PathBuf),
    /// Made by a program that this one does not know.
    #[error("{}: {source}: restore it with the version that made it, then upgrade", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is unknown.
        source: WireError,
    },
    /// The records do not make a state.
    #[error("{}: {source}", path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: snapshot::SnapshotError,
    },
    /// The state is another one than was backed up.
    #[error("{}: the state in it has another {what} than its header says: take another copy", path.display())]
    OtherState {
        /// The file.
        path: PathBuf,
        /// In what it differs.
        what: &'static str,
    },
}

/// A backup that has been read whole and found intact.
#[derive(Debug)]
pub struct BackupFile {
    pub(crate) header: Header,
    pub(crate) registry: Registry,
}

impl BackupFile {
    /// Reads and checks a backup: its checksums, its records, and that they make the very state whose hash the
    /// nodes have published. Tells `progress` the bytes of records as they are read. Blocking.
    ///
    /// # Errors
    /// [`BackupFileError`], which names the file and what is wrong with it.
    pub fn read(path: &Path, progress: impl FnMut(u64)) -> Result<Self, BackupFileError> {
        let file = SnapshotFile::open(path.to_owned())?;
        let header = header(&file)?;
        let registry = registry(&file, header.records, progress)?;
        let other = |what| BackupFileError::OtherState { path: path.to_owned(), what };
        if registry.applied() != header.index {
            return Err(other("index"));
        }
        if registry.hash() != header.hash {
            return Err(other("hash"));
        }
        Ok(Self { header, registry })
    }

    /// The index of the state in it.
    pub fn index(&self) -> u64 {
        self.header.index
    }

    /// The hash of that state; every node of the cluster has published the same for this index.
    pub fn hash(&self) -> [u8; 32] {
        self.header.hash
    }

    /// When it was taken.
    pub fn taken_at(&self) -> Timestamp {
        self.header.taken_at
    }

    /// The issuer of the cluster.
    pub fn issuer(&self) -> &str {
        &self.header.issuer
    }

    /// The cluster.
    pub fn cluster_id(&self) -> u128 {
        self.header.cluster_id
    }
}

fn header(file: &SnapshotFile) -> Result<Header, BackupFileError> {
    match wire::decode::<Header>(&file.header) {
        Ok(header) if header.kind == KIND => Ok(header),
        Err(source @ WireError::Version { .. }) => {
            Err(BackupFileError::Form { path: file.path.clone(), source })
        }
        _ => Err(BackupFileError::NoBackup(file.path.clone())),
    }
}

fn registry(
    file: &SnapshotFile,
    form: u16,
    mut progress: impl FnMut(u64),
) -> Result<Registry, BackupFileError> {
    let wrong = |source| BackupFileError::Records { path: file.path.clone(), source };
    let mut builder = snapshot::Builder::new(form).map_err(wrong)?;
    for record in file.records()? {
        let record = record?;
        progress(record.len() as u64);
        builder.push(&record).map_err(wrong)?;
    }
    builder.finish().map_err(wrong)
}
