//! Who this node is: an id that is never used twice, and the key that speaks for it.

use crate::{
    Environment,
    certificate::{CertificateError, key_from_seed, key_sha256},
    wire::{self, WireError},
};
use hapi_storage::MetaStore;
use rcgen::KeyPair;
use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use thiserror::Error;
use zeroize::Zeroizing;

pub(crate) const META_KEY: &str = "identity";
const KEY_FILE: &str = "peer.key";

/// Why a node cannot say who it is.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The key file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key in the file is not the one the members of the cluster know.
    #[error(
        "{0} is not the key with which this node made itself known; put the old file back, or start with an \
         empty data folder to rejoin as a new node"
    )]
    ForeignKey(PathBuf),
    /// The key file is gone though the node has a place in a cluster.
    #[error("{0} is missing; put it back, or start with an empty data folder to rejoin as a new node")]
    MissingKey(PathBuf),
    /// The key file does not hold a key.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: CertificateError,
    },
    /// The stored id cannot be read or written.
    #[error("the stored node id: {0}")]
    Store(String),
}

impl From<WireError> for IdentityError {
    fn from(error: WireError) -> Self {
        Self::Store(error.to_string())
    }
}

/// What is wrong with the key that speaks for a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyCondition {
    /// The node was never started, or its id could not be read.
    #[default]
    Unknown,
    /// It is the one that is pinned to the node's id.
    Good,
    /// It is gone.
    Missing,
    /// It is another one.
    Foreign,
    /// It cannot be read.
    Unreadable(String),
}

/// Looks at the key of the data folder `dir`, whose hash is `pinned` to the node's id.
pub(crate) fn look_at_key(dir: &Path, pinned: &[u8; 32]) -> KeyCondition {
    match read_key(&dir.join(KEY_FILE)) {
        Ok(Some(key)) if key_sha256(&key) == *pinned => KeyCondition::Good,
        Ok(Some(_)) => KeyCondition::Foreign,
        Ok(None) => KeyCondition::Missing,
        Err(error) => KeyCondition::Unreadable(error.to_string()),
    }
}

/// The id and the key pair of this node.
pub(crate) struct Identity {
    pub(crate) id: u64,
    pub(crate) key: KeyPair,
}

impl Identity {
    /// Reads the identity of the data folder `dir`, or makes one at the first start.
    ///
    /// The key is durable before the id that it stands for, so that an id without its key can only mean
    /// that the file was taken away.
    pub(crate) async fn load(
        dir: &Path,
        meta: &MetaStore,
        environment: &dyn Environment,
    ) -> Result<Self, IdentityError> {
        let path = dir.join(KEY_FILE);
        let stored = meta.get(META_KEY).map_err(|error| IdentityError::Store(error.to_string()))?;
        let Some(stored) = stored else {
            return Self::make(&path, meta, environment).await;
        };
        let (id, pinned): (u64, [u8; 32]) = wire::decode(&stored)?;
        let Some(key) = read_key(&path)? else {
            return Err(IdentityError::MissingKey(path));
        };
        if key_sha256(&key) != pinned {
            return Err(IdentityError::ForeignKey(path));
        }
        Ok(Self { id, key })
    }

    async fn make(
        path: &Path,
        meta: &MetaStore,
        environment: &dyn Environment,
    ) -> Result<Self, IdentityError> {
        let key = match read_key(path)? {
            Some(key) => key,
            None => make_key(path, environment)?,
        };
        let id = random_id(environment);
        let stored = wire::encode(&(id, key_sha256(&key)))?;
        meta.put(META_KEY, stored).await.map_err(|error| IdentityError::Store(error.to_string()))?;
        Ok(Self { id, key })
    }
}

fn random_id(environment: &dyn Environment) -> u64 {
    let mut bytes = [0; 8];
    // Zero means "none" in places; a fair generator leaves this loop at once.
    while bytes == [0; 8] {
        environment.fill_random(&mut bytes);
    }
    u64::from_be_bytes(bytes)
}

fn read_key(path: &Path) -> Result<Option<KeyPair>, IdentityError> {
    let pem = match fs::read_to_string(path) {
        Ok(pem) => Zeroizing::new(pem),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::File { path: path.into(), source }),
    };
    let key = KeyPair::from_pem(&pem);
    key.map(Some).map_err(|error| IdentityError::Key { path: path.into(), source: error.into() })
}

fn make_key(path: &Path, environment: &dyn Environment) -> Result<KeyPair, IdentityError> {
    let mut seed = Zeroizing::new([0; 32]);
    environment.fill_random(seed.as_mut());
    let key = key_from_seed(&seed).map_err(|source| IdentityError::Key { path: path.into(), source })?;
    let pem = Zeroizing::new(key.serialize_pem());
    write_private(path, pem.as_bytes())
        .map_err(|source| IdentityError::File { path: path.into(), source })?;
    Ok(key)
}

/// Writes a file that only its owner reads: whole or not at all, and durable on return.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("key.new");
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
