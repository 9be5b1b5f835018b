//! A registry outlives its cluster: by a backup that is taken under load, or by what one node has left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{
    Cluster, Door, Node, Options, Publishing, command, document, publish_all, wait_until,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

const KEPT: &str = "ai.acme/kept";
const REVOKED: &str = "ai.acme/revoked";

/// Long ago enough for every descriptor to have ended: what a test cannot wait for.
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// Runs a verb; the program's answer to it as JSON, or what it said and with which exit code.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Value, (i32, String)> {
    let output = command().args(arguments).envs(variables.iter().copied()).output().unwrap();
    let Output { status, stdout, stderr } = output;
    match status.code() {
        Some(0) => Ok(serde_json::from_slice(&stdout).unwrap()),
        code => Err((code.unwrap_or(-1), String::from_utf8(stderr).unwrap())),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Takes a backup from the node at `place`.
fn back_up(cluster: &Cluster, place: usize, file: &Path) -> Value {
    let (node, token) = (cluster.node(place).http(), cluster.operator_token());
    run(&["backup", text(file), "--output", "json"], &[("HAPI_NODES", node), ("HAPI_TOKEN", token)]).unwrap()
}

fn new_secret(folder: &Path) -> PathBuf {
    let path = folder.join("new-secret");
    fs::write(&path, "Yb3kQ9vXw2Zr7LmT5pHc8NdJ4sGf6RaE1uKo0iWxVtU=").unwrap();
    path
}

/// A cluster that was made of an old one's registry, whose tokens it knows.
struct Successor<'a> {
    old: &'a Cluster,
    nodes: Vec<Node>,
}

impl<'a> Successor<'a> {
    /// Starts a node in the restored folder, and two that join it.
    async fn start(old: &'a Cluster, restored: &Path, secret: &Path) -> Self {
        let settings: Vec<_> = vec![("HAPI_ISSUER".to_owned(), "https://registry.example".to_owned())];
        let mut nodes = vec![Node::start(restored, secret, &[], &settings)];
        for number in 1..3 {
            let folder = old.scratch().join(format!("successor-{number}"));
            let join = [nodes[0].peer().to_owned()];
            nodes.push(Node::start(&folder, secret, &join, &settings));
        }
        let successor = Self { old, nodes };
        successor
            .wait_until("all three are members", |status| status["members"].as_array()?.get(2).cloned())
            .await;
        successor
    }

    fn door(&self, place: usize, token: &str) -> Door {
        self.nodes[place].door().with_token(token)
    }

    fn operator(&self, place: usize) -> Door {
        self.door(place, self.old.operator_token())
    }

    /// Waits until every node says so.
    async fn wait_until(&self, what: &str, said: impl Fn(&Value) -> Option<Value>) {
        for place in 0..self.nodes.len() {
            wait_until(&format!("{what}, by the word of node {place}"), async || {
                let request = self.operator(place).request(reqwest::Method::GET, "/v1/cluster");
                said(&self.operator(place).try_send(request).await.ok()?.body)
            })
            .await;
        }
    }

    async fn connect(&self, place: usize, server: &str) -> hapi_cluster_tests::Answer {
        self.door(place, self.old.client_token()).connect(server).await
    }

    /// Says that the moderation state is right, by the command line.
    fn confirm(&self) -> Result<Value, (i32, String)> {
        let variables = [("HAPI_NODES", self.nodes[0].http()), ("HAPI_TOKEN", self.old.operator_token())];
        run(&["restore", "confirm", "--output", "json"], &variables)
    }

    /// Every node issues for `server`, as the second incarnation.
    async fn issues(&self, server: &str) {
        for place in 0..self.nodes.len() {
            let answer = wait_until(&format!("node {place} issues"), async || {
                let answer = self.connect(place, server).await;
                (answer.status == 200).then_some(answer.body)
            })
            .await;
            let seq = answer["claims"]["seq"].as_u64().or_else(|| seq_of(&answer)).unwrap();
            assert_eq!(seq >> 40, 2, "{answer}");
        }
    }
}

/// The position in the descriptor itself.
fn seq_of(answer: &Value) -> Option<u64> {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let claims = answer["descriptor"].as_str()?.split('.').nth(1)?;
    serde_json::from_slice::<Value>(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?["seq"].as_u64()
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start_with(3, Options::default().set("HAPI_RAFT_PROMOTE_AFTER_MS", "1000")).await;
    // A restored cluster's first keys would be published for a minute before they sign.
    cluster.operator(0).patch("/v1/settings", &json!({ "key_prepublish": 0 })).await.ok();
    publish_all(&cluster.publisher(0), &[document(KEPT, "1.0.0"), document(REVOKED, "1.0.0")]).await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_becomes_a_new_cluster_that_issues_once_its_moderation_is_confirmed() {
    let mut old = cluster().await;
    let publishing = Publishing::start(&old, usize::MAX);
    publishing.wait_for(300).await;
    let acknowledged = publishing.acknowledged();
    let (file, secret) = (old.scratch().join("registry.backup"), new_secret(old.scratch()));
    let taken = back_up(&old, 1, &file);
    // What the file says is what every node has computed for that index by itself.
    for place in 0..3 {
        wait_until(&format!("node {place} has hashed the checkpoint"), async || {
            let checkpoint = &old.status(place).await?.body["checkpoint"];
            (checkpoint["index"] == taken["index"])
                .then(|| assert_eq!(checkpoint["hash"], taken["state_sha256"]))
        })
        .await;
    }
    publishing.stop().await;
    old.moderator(0).moderate("revoke", "server", REVOKED).await.ok();
    for place in 0..3 {
        old.kill(place);
    }

    let folder = old.scratch().join("successor-0");
    let restore = |secret: &Path, more: &[&str]| {
        let common = ["restore", text(&file), "--data-dir", text(&folder), "--secret-file", text(secret)];
        run(&[&common[..], &["--output", "json"], more].concat(), &[])
    };
    let (code, said) = restore(&old.secret(), &[]).unwrap_err();
    assert!(code == 2 && said.contains("this is the cluster secret of the old cluster"), "{said}");
    let (code, said) = restore(&secret, &["--incarnation", "1"]).unwrap_err();
    assert!(code == 1 && said.contains("incarnation 1 is not between 2 and 8191"), "{said}");
    let restored = restore(&secret, &["--stopped-at", LONG_AGO]).unwrap();
    assert_eq!((&restored["index"], &restored["state_sha256"]), (&taken["index"], &taken["state_sha256"]));
    let (code, said) = restore(&secret, &[]).unwrap_err();
    assert!(code == 2 && said.contains("is not empty"), "{said}");

    let successor = Successor::start(&old, &folder, &secret).await;
    // The backup knows of no revocation, and so nobody may connect to anything yet.
    for server in [KEPT, REVOKED] {
        let answer = successor.connect(1, server).await;
        assert_eq!((answer.status, answer.code()), (503, "no_serving_lease"), "{answer:?}");
        assert!(answer.text.contains("the registry was restored"), "{answer:?}");
    }
    let moderator = successor.door(0, old.moderator_token());
    moderator.moderate("revoke", "server", REVOKED).await.ok();
    successor.confirm().unwrap();
    successor.issues(KEPT).await;
    for place in 0..3 {
        assert_eq!(successor.connect(place, REVOKED).await.code(), "server_revoked");
    }
    let (_, said) = successor.confirm().unwrap_err();
    assert!(said.contains("has been confirmed already"), "{said}");
    for number in acknowledged {
        let name = Publishing::name(number).replace('/', "%2F");
        let path = format!("/v0.1/servers/{name}/versions/latest");
        assert_eq!(
            successor.operator(0).get(&path).await.status,
            200,
            "{name} was acknowledged before the backup"
        );
    }
    let keys = successor.operator(0).get("/v1/keys").await.ok();
    let old_nodes: Vec<_> =
        keys["keys"].as_array().unwrap().iter().filter(|key| key["state"] != "revoked").collect();
    assert_eq!(old_nodes.iter().filter(|key| !lives(&successor, key)).count(), 0, "{keys}");
}

/// Whether a key is one of the successor's own: it was published by a member.
fn lives(successor: &Successor<'_>, key: &Value) -> bool {
    let node = key["node"].as_str().unwrap();
    successor.nodes.iter().any(|member| member.log().contains(node))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_before_a_restore_must_have_ended_before_it_is_confirmed() {
    let mut old = cluster().await;
    let (file, secret) = (old.scratch().join("registry.backup"), new_secret(old.scratch()));
    back_up(&old, 0, &file);
    for place in 0..3 {
        old.kill(place);
    }
    let folder = old.scratch().join("successor-0");
    let arguments = ["restore", text(&file), "--data-dir", text(&folder), "--secret-file", text(&secret)];
    let restored = run(&[&arguments[..], &["--output", "json"]].concat(), &[]).unwrap();
    let successor = Successor::start(&old, &folder, &secret).await;
    let (code, said) = successor.confirm().unwrap_err();
    let until = restored["hold_until"].as_str().unwrap();
    assert!(code == 1 && said.contains(&format!("may be valid until {until}")), "{said}");
    assert_eq!(successor.connect(0, KEPT).await.code(), "no_serving_lease");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_backups_are_refused_with_the_reason() {
    let cluster = cluster().await;
    let (file, secret) = (cluster.scratch().join("registry.backup"), new_secret(cluster.scratch()));
    back_up(&cluster, 0, &file);
    let (code, said) = run(&["backup", text(&file)], &[("HAPI_NODES", cluster.node(0).http())]).unwrap_err();
    assert!(code == 2 && said.contains("exists already"), "{said}");
    let whole = fs::read(&file).unwrap();
    let damaged = cluster.scratch().join("damaged.backup");
    let folder = cluster.scratch().join("restored");
    for (what, bytes) in mutations(&whole) {
        fs::write(&damaged, bytes).unwrap();
        let arguments =
            ["restore", text(&damaged), "--data-dir", text(&folder), "--secret-file", text(&secret)];
        let (code, said) = run(&arguments, &[]).expect_err(&what);
        assert_eq!(code, 1, "{what}: {said}");
        assert!(
            said.contains("damaged.backup") && REASONS.iter().any(|reason| said.contains(reason)),
            "{what}: {said}"
        );
        assert!(!folder.exists(), "{what}: nothing is made");
    }
}

/// What a damaged file may be said to be.
const REASONS: [&str; 8] = [
    "this is no snapshot file",
    "is unknown",
    "checksum does not match",
    "claims",
    "the file is cut off",
    "the hash does not match",
    "something follows the end",
    "the header is missing",
];

/// Twenty-two ways in which a copy can go wrong.
fn mutations(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for part in 0..16 {
        let at = part * (whole.len() - 1) / 15;
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (part % 8);
        all.push((format!("a bit of byte {at} is flipped"), bytes));
    }
    for length in [0, 7, whole.len() / 2, whole.len() - 1] {
        all.push((format!("only {length} bytes are left"), whole[..length].to_vec()));
    }
    all.push(("a byte follows".into(), [whole, b"x"].concat()));
    all.push(("half of it is zeros".into(), {
        let mut bytes = whole.to_vec();
        bytes[whole.len() / 2..].fill(0);
        bytes
    }));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_operate_takes_no_backup() {
    let cluster = cluster().await;
    for (token, code) in
        [(cluster.moderator_token(), "forbidden"), ("hapi_operator_nonsense", "unauthenticated")]
    {
        let answer = cluster.node(0).door().with_token(token).get("/v1/backup").await;
        assert_eq!(answer.code(), code, "{answer:?}");
    }
    let metrics = cluster.node(0).door().get("/metrics").await.text;
    assert!(metrics.contains("hapi_backups_total{result=\"done\"} 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_majority_is_recovered_from_one_node_and_only_if_both_is_said() {
    let mut old = cluster().await;
    let publishing = Publishing::start(&old, 300);
    let acknowledged = publishing.finish().await;
    let made = old.assert_same_state().await;
    let survivor = old.other_than(old.leader().await);
    for place in 0..3 {
        old.kill(place);
    }
    let (from, folder) = (old.data(survivor), old.scratch().join("successor-0"));
    let secret = new_secret(old.scratch());
    let recover = |secret: &Path, more: &[&str]| {
        let common =
            ["recover", "--from", text(&from), "--data-dir", text(&folder), "--secret-file", text(secret)];
        run(&[&common[..], &["--output", "json", "--stopped-at", LONG_AGO], more].concat(), &[])
    };
    let (code, said) = recover(&secret, &["--majority-is-lost"]).unwrap_err();
    assert!(code == 2 && said.contains("without --accept-lost-writes, nothing is done"), "{said}");
    let both = ["--majority-is-lost", "--accept-lost-writes"];
    let (code, said) = recover(&old.secret(), &both).unwrap_err();
    assert!(code == 2 && said.contains("this is the cluster secret of the old cluster"), "{said}");
    let recovered = recover(&secret, &both).unwrap();
    assert!(recovered["known_committed"].as_u64() <= recovered["index"].as_u64(), "{recovered}");
    eprintln!("recovered at {}, after the checkpoint {made}", recovered["index"]);

    let successor = Successor::start(&old, &folder, &secret).await;
    successor.confirm().unwrap();
    successor.issues(KEPT).await;
    let answer = successor.operator(1).get("/v1/cluster").await.ok();
    assert_eq!(answer["catalog"]["servers"].as_u64(), Some(acknowledged.len() as u64 + 2), "{answer}");
    assert_eq!(answer["incarnation"], 2);
    // The old folder is as it was: its nodes still could be started.
    old.restart(survivor);
}
