//! `keys`: what the nodes sign with.

use super::percent::encode;
use super::seal::{Follow, covers};
use super::{Failure, Remote, table};
use hapi_client::Method;
use serde_json::{Value, json};

const COLUMNS: &[table::Column] = &[
    ("KEY", "/kid"),
    ("NODE", "/node"),
    ("STATE", "/state"),
    ("PUBLISHED", "/published_at"),
    ("CHANGED", "/changed_at"),
];

/// List, retire and revoke the keys that the nodes sign descriptors with.
///
/// Each node makes its own and keeps a spare, so that none is added by hand.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry keys list
      Which node signs with which key, and which keys are out of use.")]
pub(crate) enum Keys {
    /// List the keys of all nodes, with an auditor, moderator or operator token.
    #[command(after_help = "Example:
  hapi-registry keys list
      Which node signs with which key, and which keys are out of use.")]
    List(List),
    /// Let a key sign no more, with an operator token. What it has signed stays valid to its end.
    #[command(after_help = "Example:
  hapi-registry keys retire NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
      Its node goes on with its spare.")]
    Retire(Retire),
    /// Let a key verify nothing any more, with an operator token: what it has signed is dead, too.
    #[command(after_help = "Example:
  hapi-registry keys revoke NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --reason stolen
      Its node goes on with its spare.")]
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Retire {
    /// The thumbprint that `keys list` shows; behind `--` if it begins with -h or -V
    #[arg(allow_hyphen_values = true)]
    key: String,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The thumbprint that `keys list` shows; behind `--` if it begins with -h or -V
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// Why; it stands in the audit chain
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

impl Keys {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(List { remote }) => remote.session()?.list("/v1/keys", "keys", COLUMNS).await,
            Self::Retire(Retire { key, follow, remote }) => end(&key, "retire", None, follow, &remote).await,
            Self::Revoke(Revoke { key, reason, follow, remote }) => {
                end(&key, "revoke", Some(json!({ "reason": reason })), follow, &remote).await
            }
        }
    }
}

async fn end(
    key: &str,
    act: &str,
    body: Option<Value>,
    follow: Follow,
    remote: &Remote,
) -> Result<(), Failure> {
    let session = remote.session()?;
    let path = format!("/v1/keys/{}/{act}", encode(key));
    let answer = follow.write(&session, Method::POST, &path, body).await?;
    session.show(&answer, |receipt| {
        format!("{act}: done at index {} (key {key}){}", receipt["index"], covers(receipt))
    })
}
