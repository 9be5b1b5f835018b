//! `backup`: the whole registry as one file.

use super::{Failure, Remote, progress, restore::shown};
use crate::api::hex;
use hapi_client::Download;
use hapi_raft::BackupFile;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Take a backup of a running cluster into a new file, with an operator token.
///
/// It holds all that was acknowledged before, at one index: catalog, moderation, settings, clients, and the hashes of
/// tokens. No private key and no secret is in it; keep it like one all the same. The file appears under its name only
/// when it is complete and has been read back. `restore` makes a new cluster of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry backup registry-2026-11-26.backup --token-file operator.token
      Every hour, from cron: the cluster goes on meanwhile.")]
pub(crate) struct Backup {
    /// The file to be made
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

impl Backup {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if self.file.exists() {
            return Err(Failure::usage(format!("{} exists already", self.file.display()))
                .hint("name a new file: a backup replaces none"));
        }
        let session = self.remote.session()?;
        let download = session.client().download("/v1/backup").await?;
        let partial = Partial::beside(&self.file);
        partial.receive(download).await?;
        let backup =
            BackupFile::read(&partial.0, |_| {}).map_err(|error| Failure::refused(error.to_string()))?;
        partial.publish(&self.file).map_err(|error| unwritable(&self.file, &error))?;
        let answer = summary(&backup, &self.file)?;
        session.show(&answer, |answer| {
            format!(
                "{}: index {}, {} bytes, state hash {}",
                self.file.display(),
                answer["index"],
                answer["bytes"],
                shown(answer, "state_sha256")
            )
        })
    }
}

fn summary(backup: &BackupFile, file: &Path) -> Result<Value, Failure> {
    let bytes = fs::metadata(file).map_err(|error| unwritable(file, &error))?.len();
    Ok(json!({
        "file": file,
        "bytes": bytes,
        "index": backup.index(),
        "state_sha256": hex(&backup.hash()),
        "taken_at": backup.taken_at().to_string(),
        "cluster_id": format!("{:032x}", backup.cluster_id()),
        "issuer": backup.issuer(),
    }))
}

/// A file that is not whole yet, for its owner only. Dropped before it is published, it leaves nothing.
struct Partial(PathBuf);

impl Partial {
    fn beside(file: &Path) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(".partial");
        Self(name.into())
    }

    async fn receive(&self, mut download: Download) -> Result<(), Failure> {
        let unwritable = |error: io::Error| unwritable(&self.0, &error);
        let mut file = self.create().map_err(unwritable)?;
        let bar = progress::stream();
        while let Some(piece) = download.piece().await? {
            file.write_all(&piece).map_err(unwritable)?;
            bar.inc(piece.len() as u64);
        }
        bar.finish_and_clear();
        file.sync_all().map_err(unwritable)
    }

    /// What an interrupted backup has left is replaced.
    fn create(&self) -> io::Result<File> {
        let _ = fs::remove_file(&self.0);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.0)
    }

    /// Gives it its name, unless that was taken meanwhile.
    fn publish(&self, file: &Path) -> io::Result<()> {
        fs::hard_link(&self.0, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // The published file is another name of the same content.
        let _ = fs::remove_file(&self.0);
    }
}

fn unwritable(file: &Path, error: &io::Error) -> Failure {
    Failure::refused(format!("{}: {error}", file.display()))
}
