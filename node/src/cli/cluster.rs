//! `cluster`: the nodes, and whether they hold the same state.

use super::seal::{Follow, covers};
use super::{Failure, Remote, table};
use hapi_client::Method;
use hapi_registry_state::NodeId;
use serde_json::{Value, json};

const FIELDS: &[table::Column] = &[
    ("cluster", "/cluster_id"),
    ("asked node", "/node/id"),
    ("its role", "/node/role"),
    ("leader", "/leader"),
    ("term", "/term"),
    ("applied", "/node/applied"),
    ("committed", "/node/committed"),
    ("sealed", "/sealed"),
    ("lease valid", "/node/lease/valid"),
    ("its age in ms", "/node/lease/age_ms"),
    ("its threshold", "/node/lease/threshold"),
    ("strict", "/node/lease/strict"),
    ("clock source", "/node/lease/clock_source"),
    ("its disk has", "/node/disk/free_bytes"),
    ("takes no writes", "/node/unfit"),
    ("session open", "/leader_session/open"),
    ("its floor", "/leader_session/floor"),
    ("pending seals", "/leader_session/pending_seals"),
    ("servers", "/catalog/servers"),
    ("versions", "/catalog/versions"),
    ("incarnation", "/incarnation"),
    ("on hold until", "/hold/until"),
    ("checkpoint", "/checkpoint/index"),
    ("state hash", "/checkpoint/hash"),
    ("change secret", "/secrets/due"),
];

const MEMBERS: &[table::Column] = &[
    ("NODE", "/id"),
    ("ROLE", "/role"),
    ("STATE", "/state"),
    ("LAG", "/lag"),
    ("VERSION", "/version"),
    ("SECRETS", "/secrets/verifies"),
    ("HTTP", "/http"),
    ("PEER", "/peer"),
];

const SECRETS: &[table::Column] = &[
    ("NODE", "/id"),
    ("SIGNS WITH", "/secrets/signs"),
    ("VERIFIES", "/secrets/verifies"),
    ("HTTP", "/http"),
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
    /// Show which cluster secrets each node has in force, and the next step of changing them; with an auditor, moderator
    /// or operator token.
    ///
    /// Secrets are named by fingerprints, from which nothing of them can be told. A change has three steps, each on every
    /// node before the next: the new secret becomes the second one of `cluster.secret_file`; it becomes the first, the
    /// old one the second; the old one goes. Nodes take over what is in the files within five seconds, at once on
    /// SIGHUP, or when they start.
    #[command(after_help = "Example:
  hapi-registry cluster secrets
      Whether all nodes have taken a step, and what to do next.")]
    Secrets(On),
    /// Remove a node for good, with an operator token: it issues no more, and leaves the cluster.
    ///
    /// Its id is never used again. Until every node is bound by it, or cannot issue any more, the removal waits.
    #[command(after_help = "Example:
  hapi-registry cluster remove 00c0ffee00c0ffee
      When it has succeeded, this node issues nothing any more, wherever it is.
  hapi-registry cluster remove 00c0ffee00c0ffee --compromised
      Also when somebody else may have its data: the cluster secret must be changed then.")]
    Remove(Remove),
    /// Let another voter lead, with an operator token.
    #[command(after_help = "Example:
  hapi-registry cluster transfer-leader --to 00c0ffee00c0ffee
      Before the machine of the leader is restarted, say.")]
    TransferLeader(TransferLeader),
    /// Show how each node came to be bound by an act, with an auditor, moderator or operator token.
    #[command(after_help = "Example:
  hapi-registry cluster seal 17 --wait 0
      Whether the act at index 17 binds every node by now.")]
    Seal(Seal),
}

#[derive(Debug, clap::Args)]
pub(crate) struct On {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Its id, or its base URL, as `cluster status` shows them
    node: String,
    /// Somebody else may know what it knows: give up the cluster secrets in force. They let nobody join from now on;
    /// `cluster secrets` leads through their change. Goes for a node that was removed before, too
    #[arg(long)]
    compromised: bool,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TransferLeader {
    /// The id of the voter that is to lead; without it, any other
    #[arg(long, value_name = "NODE")]
    to: Option<NodeId>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Seal {
    /// The index that the act was answered with
    index: u64,
    #[command(flatten)]
    follow: Follow,
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
            Self::Secrets(On { remote }) => {
                let session = remote.session()?;
                let answer = session.get("/v1/cluster").await?;
                session.show(&answer, secrets)
            }
            Self::Remove(remove) => remove.run().await,
            Self::TransferLeader(transfer) => transfer.run().await,
            Self::Seal(Seal { index, follow, remote }) => {
                let session = remote.session()?;
                let receipt = follow.seal(&session, index).await?;
                session.show(&receipt, sealed)
            }
        }
    }
}

impl Remove {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let node = match self.node.parse() {
            Ok(node) => node,
            Err(_) => found_at(&session.get("/v1/cluster").await?, &self.node)?,
        };
        let query = if self.compromised { "?compromised=true" } else { "" };
        let path = format!("/v1/cluster/members/{node}{query}");
        let receipt = self.follow.write(&session, Method::DELETE, &path, None).await?;
        session.show(&receipt, |receipt| {
            let text = removed(node, receipt);
            if self.compromised { format!("{text}\n{GIVEN_UP}") } else { text }
        })
    }
}

/// The one member whose public API is at `url`.
fn found_at(status: &Value, url: &str) -> Result<NodeId, Failure> {
    let members = status["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let there = members.iter().filter(|member| member["http"] == url);
    let ids: Vec<&str> = there.filter_map(|member| member["id"].as_str()).collect();
    match ids[..] {
        [id] => id.parse().map_err(|_| Failure::refused(format!("the id of {url} is none: {id}"))),
        [] => Err(Failure::usage(format!("no member is {url}, and it is no id of 16 hexadecimal digits"))
            .hint("`cluster status` shows ids and addresses")),
        _ => Err(Failure::usage(format!("several members are at {url}: {}", ids.join(", ")))
            .hint("name the one that is to go by its id")),
    }
}

impl TransferLeader {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let body = self.to.map_or_else(|| json!({}), |to| json!({ "to": to.to_string() }));
        let answer = session.send(Method::POST, "/v1/cluster/transfer-leader", body).await?;
        session.show(&answer, |answer| format!("leader: {}", table::cell(answer.get("leader"))))
    }
}

const GIVEN_UP: &str =
    "whoever has it knows the cluster secret: change it now, see `hapi-registry cluster secrets`";

fn removed(node: NodeId, receipt: &Value) -> String {
    let index = &receipt["index"];
    format!("node {node} issues no more since index {index}, and leaves the cluster{}", covers(receipt))
}

fn sealed(receipt: &Value) -> String {
    format!("index {} binds every node{}", receipt["index"], covers(receipt))
}

fn secrets(answer: &Value) -> String {
    let members = answer["members"].as_array().into_iter().flatten();
    let secrets = &answer["secrets"];
    let compromised = match secrets["compromised"].as_array() {
        Some(known) if !known.is_empty() => {
            format!("\na removed node knows {}\n", table::cell(secrets.get("compromised")))
        }
        _ => String::new(),
    };
    let next = table::printable(secrets["next"].as_str().unwrap_or("-"));
    format!("{}{compromised}\nnext: {next}", table::table(SECRETS, members))
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

        NODE  ROLE     STATE   LAG  VERSION  SECRETS  HTTP  PEER
        a1    voter    active  1    -        -        -     -
        b2    leader   active  0    -        -        -     -
        c3    learner  active  5    -        -        -     -
        ");
    }

    #[test]
    fn lease_and_session_are_shown() {
        let lease = json!({
            "valid": true, "age_ms": 120, "threshold": 17, "strict": false, "clock_source": "tsc",
        });
        let answer = json!({
            "cluster_id": "c1", "term": 2, "leader": "a1", "sealed": 17,
            "node": {"id": "a1", "role": "leader", "applied": 19, "committed": 19, "lease": lease},
            "leader_session": {"open": true, "floor": 19, "pending_seals": [18, 19]},
            "members": [{"id": "a1", "role": "voter", "state": "draining", "lag": 0}],
        });
        insta::assert_snapshot!(status(&answer), @r"
        cluster:        c1
        asked node:     a1
        its role:       leader
        leader:         a1
        term:           2
        applied:        19
        committed:      19
        sealed:         17
        lease valid:    yes
        its age in ms:  120
        its threshold:  17
        strict:         no
        clock source:   tsc
        session open:   yes
        its floor:      19
        pending seals:  18, 19

        NODE  ROLE    STATE     LAG  VERSION  SECRETS  HTTP  PEER
        a1    leader  draining  0    -        -        -     -
        ");
    }

    #[test]
    fn the_secrets_of_each_node_and_the_next_step_are_shown() {
        let member = |id: &str, verifies: &[&str]| {
            json!({"id": id, "http": format!("http://{id}"), "secrets": {
                "signs": verifies[0], "verifies": verifies,
            }})
        };
        let answer = json!({
            "members": [member("a1", &["0a0a0a0a0a0a", "0b0b0b0b0b0b"]), member("b2", &["0a0a0a0a0a0a"]), {"id": "c3"}],
            "secrets": {"compromised": ["0a0a0a0a0a0a"], "due": true, "next": "no word from c3: see to that"},
        });
        insta::assert_snapshot!(secrets(&answer), @r"
        NODE  SIGNS WITH    VERIFIES                    HTTP
        a1    0a0a0a0a0a0a  0a0a0a0a0a0a, 0b0b0b0b0b0b  http://a1
        b2    0a0a0a0a0a0a  0a0a0a0a0a0a                http://b2
        c3    -             -                           -

        a removed node knows 0a0a0a0a0a0a

        next: no word from c3: see to that
        ");
    }

    #[test]
    fn receipts_say_what_is_over() {
        let receipt = json!({
            "index": 21, "sealed": true,
            "nodes": [{"node": "00000000000000b2", "cover": "lease_expired", "ms": 3100}],
        });
        insta::assert_snapshot!(removed(NodeId(0xb2), &receipt), @r"
        node 00000000000000b2 issues no more since index 21, and leaves the cluster

        NODE              COVER          MS
        00000000000000b2  lease_expired  3100
        ");
        insta::assert_snapshot!(sealed(&json!({"index": 21, "sealed": true, "nodes": []})), @"index 21 binds every node");
    }
}
