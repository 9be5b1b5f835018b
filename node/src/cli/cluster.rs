//! `cluster`: the nodes, and whether they hold the same state.

use super::{Failure, Remote, table};
use hapi_client::Method;
use serde_json::Value;

const FIELDS: &[table::Column] = &[
    ("cluster", "/cluster_id"),
    ("asked node", "/node/id"),
    ("its role", "/node/role"),
    ("leader", "/leader"),
    ("term", "/term"),
    ("applied", "/node/applied"),
    ("committed", "/node/committed"),
    ("servers", "/catalog/servers"),
    ("versions", "/catalog/versions"),
    ("checkpoint", "/checkpoint/index"),
    ("state hash", "/checkpoint/hash"),
];

const MEMBERS: &[table::Column] = &[
    ("NODE", "/id"),
    ("ROLE", "/role"),
    ("STATE", "/state"),
    ("LAG", "/lag"),
    ("VERSION", "/version"),
    ("HTTP", "/http"),
    ("PEER", "/peer"),
];

/// Show the cluster, and compare its nodes.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry cluster status --node http://10.0.0.7:8080
      Members, roles and lags, as this node knows them.")]
pub(crate) enum Cluster {
    /// Show members, leader and progress, with an auditor, moderator or operator token.
    #[command(after_help = "Example:
  hapi-registry cluster status
      Members, roles and lags, as the asked node knows them.")]
    Status(On),
    /// Let every node publish the hash of its state at one index, with an operator token.
    ///
    /// Afterwards `cluster status` of every node shows the same hash; one that differs has not applied the
    /// same log.
    #[command(after_help = "Example:
  hapi-registry cluster checkpoint
      The index and the hash that every node must arrive at.")]
    Checkpoint(On),
}

#[derive(Debug, clap::Args)]
pub(crate) struct On {
    #[command(flatten)]
    remote: Remote,
}

impl Cluster {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Status(On { remote }) => {
                let session = remote.session()?;
                let answer = session.get("/v1/cluster").await?;
                session.show(&answer, status)
            }
            Self::Checkpoint(On { remote }) => {
                let session = remote.session()?;
                let answer = session.act(Method::POST, "/v1/cluster/checkpoint").await?;
                session.show(&answer, checkpoint)
            }
        }
    }
}

/// A leader is a voter; people look for the word.
fn status(answer: &Value) -> String {
    let mut members = answer["members"].as_array().cloned().unwrap_or_default();
    for member in members.iter_mut().filter(|member| member["id"] == answer["leader"]) {
        member["role"] = "leader".into();
    }
    format!("{}\n{}", table::fields(FIELDS, answer), table::table(MEMBERS, &members))
}

fn checkpoint(answer: &Value) -> String {
    format!("index {}  state hash {}", answer["index"], answer["hash"].as_str().unwrap_or("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_leader_is_named_among_the_members() {
        let member =
            |id: &str, role: &str, lag: u64| json!({"id": id, "role": role, "state": "active", "lag": lag});
        let answer = json!({
            "cluster_id": "c1", "term": 2, "leader": "b2",
            "node": {"id": "a1", "role": "follower", "applied": 7, "committed": 8},
            "members": [member("a1", "voter", 1), member("b2", "voter", 0), member("c3", "learner", 5)],
        });
        insta::assert_snapshot!(status(&answer), @r"
        cluster:     c1
        asked node:  a1
        its role:    follower
        leader:      b2
        term:        2
        applied:     7
        committed:   8

        NODE  ROLE     STATE   LAG  VERSION  HTTP  PEER
        a1    voter    active  1    -        -     -
        b2    leader   active  0    -        -     -
        c3    learner  active  5    -        -     -
        ");
    }
}
