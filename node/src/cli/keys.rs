//! `keys`: what the nodes sign with.

use super::percent::encode;
use super::seal::{Follow, covers};
use super::{Failure, Remote, table};
use hapi_client::Method;
use hapi_registry_state::NodeId;
use serde_json::{Value, json};

const COLUMNS: &[table::Column] = &[
    ("KEY", "/kid"),
    ("NODE", "/node"),
    ("STATE", "/state"),
    ("PUBLISHED", "/published_at"),
    ("CHANGED", "/changed_at"),
];

const ROTATED: &[table::Column] = &[("NODE", "/node"), ("INDEX", "/index")];

/// List, rotate, retire and revoke the keys that the nodes sign descriptors with.
///
/// Each node makes its own, keeps a spare, and changes them daily, so that none is added by hand.
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
    /// Let nodes sign with their spare keys from now on, with an operator token.
    ///
    /// No moment is without a key that signs. What the former key has signed stays valid to its end; to end that too,
    /// revoke it.
    #[command(after_help = "Example:
  hapi-registry keys rotate --of 00c0ffee00c0ffee
      This node signs with its spare; without --of every node does.")]
    Rotate(Rotate),
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
pub(crate) struct Rotate {
    /// The node whose key is to change, by the id that `cluster status` shows; without it, one node after the other
    #[arg(long, value_name = "NODE")]
    of: Option<NodeId>,
    #[command(flatten)]
    follow: Follow,
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
            Self::Rotate(rotate) => rotate.run().await,
            Self::Retire(Retire { key, follow, remote }) => end(&key, "retire", None, follow, &remote).await,
            Self::Revoke(Revoke { key, reason, follow, remote }) => {
                end(&key, "revoke", Some(json!({ "reason": reason })), follow, &remote).await
            }
        }
    }
}

impl Rotate {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let nodes = match self.of {
            Some(node) => vec![node.to_string()],
            None => issuing(&session.get("/v1/cluster").await?),
        };
        let mut receipts = Vec::new();
        for node in nodes {
            let body = json!({ "node": node });
            let receipt = self.follow.write(&session, Method::POST, "/v1/keys/rotate", Some(body)).await;
            let mut receipt = receipt.map_err(|failure| stopped_at(&node, failure))?;
            receipt["node"] = node.into();
            receipts.push(receipt);
        }
        let answer = json!({ "rotated": receipts });
        session
            .show(&answer, |answer| table::table(ROTATED, answer["rotated"].as_array().into_iter().flatten()))
    }
}

/// Those before it are done: each is rotated for itself.
fn stopped_at(node: &str, mut failure: Failure) -> Failure {
    failure.message = format!("node {node}: {}", failure.message);
    failure.hint.get_or_insert_with(|| "`keys list` shows who signs with what".into());
    failure
}

/// The nodes that sign.
fn issuing(status: &Value) -> Vec<String> {
    let members = status["members"].as_array().into_iter().flatten();
    let issuing = members.filter(|member| member["state"] == "active");
    issuing.filter_map(|member| Some(member["id"].as_str()?.to_owned())).collect()
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
