//! The files with the cluster secret: read at the start, and again on SIGHUP or once they have changed.

use crate::{
    metrics::Metrics,
    rotation::{self, list},
};
use hapi_raft::{ClusterSecret, Replica, SecretsInForce, TlsError, WeakSecret};
use hapi_registry_state::{GivenUp, SecretFingerprint};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{signal::unix::Signal, task::spawn_blocking, time::sleep};
use zeroize::Zeroizing;

/// How often the files are looked at. A change counts when a second look finds the same: then whoever writes them is
/// done.
const LOOK: Duration = Duration::from_secs(2);

/// The files: the first holds the secret that signs. The second may be missing or empty, as it is while no secret is
/// being changed.
#[derive(Clone, Debug)]
pub(crate) struct SecretFiles {
    paths: Vec<PathBuf>,
    /// What they looked like when they were read last.
    taken: Look,
    /// The secrets in force that were reported as known to a removed node.
    reported: BTreeSet<SecretFingerprint>,
}

/// The content of a file, wiped when it is dropped.
type Content = Zeroizing<Vec<u8>>;

/// Tells one state of the files from another.
type Look = [u8; 32];

/// Why the secrets in the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("the cluster secret {path} cannot be read: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the cluster secret {path} is weak: {source}", path = path.display())]
    Weak { path: PathBuf, source: WeakSecret },
    #[error(transparent)]
    Unusable(#[from] TlsError),
    #[error("the files were not read: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

impl SecretFiles {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let mut files = Self { paths, taken: Look::default(), reported: BTreeSet::new() };
        files.taken = files.look();
        files
    }

    /// Reads the secrets.
    pub(crate) fn read(&self) -> Result<Vec<ClusterSecret>, SecretError> {
        self.contents()?.into_iter().map(|(path, bytes)| parse(path, &bytes)).collect()
    }

    fn contents(&self) -> Result<Vec<(&Path, Content)>, SecretError> {
        let mut contents = Vec::new();
        for path in &self.paths {
            let is_second = !contents.is_empty();
            match std::fs::read(path).map(Zeroizing::new) {
                Ok(bytes) if is_second && bytes.trim_ascii().is_empty() => {}
                Err(error) if is_second && error.kind() == io::ErrorKind::NotFound => {}
                Ok(bytes) => contents.push((path.as_path(), bytes)),
                Err(source) => return Err(SecretError::File { path: path.clone(), source }),
            }
        }
        Ok(contents)
    }

    fn look(&self) -> Look {
        let mut digest = Sha256::new();
        match self.contents() {
            Ok(contents) => {
                contents.iter().for_each(|(_, bytes)| digest.update(Sha256::digest(bytes.as_slice())))
            }
            Err(error) => digest.update(error.to_string()),
        }
        digest.finalize().into()
    }

    /// Takes over what is in the files, on SIGHUP or when it has changed, until the process ends.
    pub(crate) async fn keep(mut self, mut hangups: Signal, replica: Replica, metrics: Arc<Metrics>) {
        tell(&replica, "cluster secrets are in force");
        let mut last = self.taken;
        loop {
            let asked = tokio::select! {
                hangup = hangups.recv() => hangup.is_some(),
                () = sleep(LOOK) => false,
            };
            let files = self.clone();
            let Ok(look) = spawn_blocking(move || files.look()).await else { return };
            if asked || (look == last && look != self.taken) {
                self.taken = look;
                self.take_over(&replica, &metrics).await;
            }
            last = look;
            self.report_compromise(&replica);
        }
    }

    /// Says it once for each secret.
    fn report_compromise(&mut self, replica: &Replica) {
        let state = replica.state();
        for secret in replica.secrets().verifies {
            if let Some(GivenUp { node, .. }) = state.is_given_up(secret)
                && self.reported.insert(secret)
            {
                tracing::warn!(
                    %secret,
                    removed = %node,
                    "a removed node knows a cluster secret that is in force here: change it, see \
                     `hapi-registry cluster secrets`"
                );
            }
        }
    }

    async fn take_over(&self, replica: &Replica, metrics: &Metrics) {
        let result = match self.exchange(replica).await {
            Ok(true) => {
                tell(replica, "other cluster secrets are in force");
                "exchanged"
            }
            Ok(false) => {
                tracing::info!("the cluster secret was read again, and is the same");
                "unchanged"
            }
            Err(error) => {
                tracing::error!(%error, "the cluster secret was not taken over: the one from before stays in force");
                "refused"
            }
        };
        metrics.reloaded(result);
    }

    async fn exchange(&self, replica: &Replica) -> Result<bool, SecretError> {
        let files = self.clone();
        let secrets = spawn_blocking(move || files.read()).await??;
        let members = replica.secrets_of_members().await;
        let exchanged = replica.exchange_secrets(&secrets).await?;
        if exchanged {
            for warning in rotation::cut_off(replica.node_id(), &replica.secrets(), &members) {
                tracing::warn!("{warning}");
            }
        }
        Ok(exchanged)
    }
}

/// Names the secrets by their fingerprints.
fn tell(replica: &Replica, what: &str) {
    let SecretsInForce { signs, verifies } = replica.secrets();
    tracing::info!(%signs, verifies = list(&verifies), "{what}");
}

/// Reads a file with one cluster secret.
pub(crate) fn read_secret(path: &PathBuf) -> Result<ClusterSecret, SecretError> {
    let bytes = std::fs::read(path).map(Zeroizing::new);
    parse(path, &bytes.map_err(|source| SecretError::File { path: path.clone(), source })?)
}

/// The bytes are wiped when the parsed secret has been made.
fn parse(path: &Path, bytes: &[u8]) -> Result<ClusterSecret, SecretError> {
    ClusterSecret::parse(bytes).map_err(|source| SecretError::Weak { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use std::fs;

    const ONE: &str = "q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiOoTzVwBk=";
    const OTHER: &str = "B8k2Vz0TqXo1g6eAd4hNtR5LcWm7Ku9pJx3FvYbZs0Q=";

    /// How many secrets the files hold, or what is wrong.
    fn count(files: &SecretFiles) -> Result<usize, String> {
        files.read().map(|secrets| secrets.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_second_file_may_be_missing_or_empty_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        let files = SecretFiles::new(vec![first.clone(), second.clone()]);
        assert!(count(&files).unwrap_err().contains("first"));
        fs::write(&first, ONE).unwrap();
        let alone = files.look();
        assert_eq!(count(&files), Ok(1));
        fs::write(&second, "\n").unwrap();
        assert_eq!(count(&files), Ok(1));
        assert_eq!(files.look(), alone, "nothing is different");
        fs::write(&second, "short").unwrap();
        assert!(count(&files).unwrap_err().contains("has 5 bytes"));
        fs::write(&second, OTHER).unwrap();
        assert_eq!(count(&files), Ok(2));
        assert_ne!(files.look(), alone);
        fs::write(&first, "").unwrap();
        assert!(count(&files).unwrap_err().contains("first is weak"));
        fs::remove_file(&first).unwrap();
        fs::create_dir(&first).unwrap();
        assert!(count(&files).unwrap_err().contains("first cannot be read"));
    }
}
