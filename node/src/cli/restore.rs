//! `restore`: a new cluster out of a backup; and the word that it may issue.

use super::{Failure, Output, Remote, output, progress, say, seal::Follow};
use crate::{api::hex, clock::SystemEnvironment, secret_files::read_secret};
use hapi_client::Method;
use hapi_raft::{BackupFile, RestoreError, Restored, Restoring, StartError};
use hapi_registry_state::Timestamp;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Make the first node of a new cluster out of a backup.
///
/// The new cluster has the old one's registry, and everything else anew: its id, its nodes, their keys and the cluster
/// secret, so that a part of the old cluster that still runs cannot pass for it. Start one node in the folder with that
/// secret, then others with the same secret and empty folders: they join it. Nothing is issued until an operator has
/// looked at what was suspended or revoked since the backup, and says `restore confirm`; whoever holds the new secret may
/// make an operator token with `bootstrap`, once more.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:
  head -c 32 /dev/urandom | base64 > new-secret
  hapi-registry restore registry.backup --data-dir /var/lib/hapi --secret-file new-secret
      Then `serve` in that folder with that secret, look, and `restore confirm`."
)]
pub(crate) struct Restore {
    #[command(subcommand)]
    step: Option<Step>,
    /// The backup
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// The data folder to be made: empty, or not there
    #[arg(long, value_name = "DIR", required = true)]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    anew: Anew,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Step {
    /// Say that the moderation state of a restored registry is right, with an operator token: it issues from then on.
    ///
    /// What was suspended or revoked after the backup is not in it. Do that again first.
    #[command(after_help = "Example:
  hapi-registry restore confirm --token-file operator.token
      After `audit` and `moderate` have shown and mended what the backup lacks.")]
    Confirm(Confirm),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Confirm {
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

/// With what a registry goes on.
#[derive(Debug, clap::Args)]
pub(super) struct Anew {
    /// The file with the secret of the new cluster, which must not be that of the old one
    #[arg(long, value_name = "FILE", required = true)]
    secret_file: Option<PathBuf>,
    /// The incarnation: higher than that of every cluster that was made of this registry before; by default one more
    /// than that of the state
    #[arg(long, value_name = "N")]
    incarnation: Option<u64>,
    /// The issuer, if the new cluster has another one
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Since when surely no node of the old cluster has issued anything (RFC 3339); without it, since now. What it
    /// issued before must have ended before the new cluster issues
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    stopped_at: Option<Timestamp>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Output::Table, env = "HAPI_OUTPUT")]
    output: Output,
}

impl Restore {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match (self.step, self.file, self.data_dir) {
            (Some(Step::Confirm(confirm)), ..) => confirm.run().await,
            (None, Some(file), Some(data_dir)) => restore(&file, &data_dir, self.anew).await,
            // clap has asked for both.
            (None, ..) => Err(Failure::usage("name the backup and --data-dir")),
        }
    }
}

impl Confirm {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let receipt = self.follow.write(&session, Method::POST, "/v1/restore/confirm", None).await?;
        session.show(&receipt, |receipt| {
            format!("descriptors are issued again, since index {}", receipt["index"])
        })
    }
}

async fn restore(file: &Path, data_dir: &Path, anew: Anew) -> Result<(), Failure> {
    let length = std::fs::metadata(file).map_err(|error| {
        Failure::usage(format!("{}: {error}", file.display())).hint("name a file that `backup` has made")
    })?;
    let bar = progress::bytes(length.len());
    let backup =
        BackupFile::read(file, |bytes| bar.inc(bytes)).map_err(|error| Failure::refused(error.to_string()));
    bar.finish_and_clear();
    let backup = backup?;
    anew.make(data_dir, async |restoring| hapi_raft::restore(backup, restoring, &SystemEnvironment).await)
        .await
}

impl Anew {
    /// Lets `make` make the folder, and tells what to do with it.
    pub(super) async fn make(
        self,
        data_dir: &Path,
        make: impl AsyncFnOnce(Restoring<'_>) -> Result<Restored, RestoreError>,
    ) -> Result<(), Failure> {
        let secret_file = self.secret_file.ok_or_else(|| Failure::usage("name --secret-file"))?;
        let secret = read_secret(&secret_file)?;
        let restoring = Restoring {
            data_dir,
            secret: &secret,
            incarnation: self.incarnation,
            issuer: self.issuer,
            stopped_at: self.stopped_at,
            version: env!("CARGO_PKG_VERSION"),
        };
        let restored = make(restoring).await?;
        let answer = summary(&restored, data_dir);
        match self.output {
            Output::Json => say(&format!("{answer:#}"))?,
            Output::Table => say(&told(&answer))?,
        }
        output::note(&next(&restored, data_dir, &secret_file));
        Ok(())
    }
}

fn summary(restored: &Restored, data_dir: &Path) -> Value {
    json!({
        "data_dir": data_dir,
        "from_cluster_id": format!("{:032x}", restored.from),
        "index": restored.index,
        "known_committed": restored.committed,
        "state_sha256": hex(&restored.hash),
        "cluster_id": format!("{:032x}", restored.founded.cluster_id),
        "node": restored.founded.node.to_string(),
        "incarnation": restored.incarnation,
        "issuer": restored.issuer,
        "hold_until": restored.hold_until.to_string(),
    })
}

fn told(answer: &Value) -> String {
    let fields = [
        ("from cluster", "from_cluster_id"),
        ("its index", "index"),
        ("known committed", "known_committed"),
        ("its state hash", "state_sha256"),
        ("new cluster", "cluster_id"),
        ("first node", "node"),
        ("incarnation", "incarnation"),
        ("issuer", "issuer"),
        ("on hold until", "hold_until"),
    ];
    let lines = fields.map(|(name, key)| format!("{name:<16} {}", shown(answer, key)));
    lines.join("\n")
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "an instant is written as 2026-11-26T03:00:00Z".into())
}

/// A value without the quotes of JSON.
pub(super) fn shown(answer: &Value, key: &str) -> String {
    answer[key].as_str().map_or_else(|| answer[key].to_string(), str::to_owned)
}

fn next(restored: &Restored, data_dir: &Path, secret_file: &Path) -> String {
    format!(
        "next:\n\
         1. hapi-registry serve --data-dir {} --secret-file {} --issuer {}\n\
         2. start further nodes with this secret, empty folders and --join: they join\n\
         3. suspend or revoke again what was suspended or revoked after index {}\n\
         4. not before {}: hapi-registry restore confirm",
        data_dir.display(),
        secret_file.display(),
        restored.issuer,
        restored.index,
        restored.hold_until
    )
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let message = error.to_string();
        match error {
            RestoreError::Start(StartError::Storage(_) | StartError::Snapshot(_))
            | RestoreError::Refused(_) => Self::refused(message),
            _ => Self::usage(message),
        }
    }
}
