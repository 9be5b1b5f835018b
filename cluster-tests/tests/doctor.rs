//! The doctor finds what is wrong with real clusters and real folders, and changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Options, command, document, publish_all, wait_until};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What the doctor said: how it ended, and its findings.
struct Visit {
    exit: i32,
    healthy: bool,
    findings: Vec<Value>,
}

impl Visit {
    /// The codes of all findings, in order.
    fn codes(&self) -> Vec<&str> {
        self.findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
    }

    /// The finding with this code.
    fn find(&self, code: &str) -> &Value {
        let found = self.findings.iter().find(|finding| finding["code"] == code);
        found.unwrap_or_else(|| panic!("no {code} among {:#?}", self.findings))
    }

    fn what(&self, code: &str) -> &str {
        self.find(code)["what"].as_str().unwrap()
    }
}

fn doctor(arguments: &[&str], token: Option<&str>) -> Visit {
    let mut command = command();
    command.arg("doctor").args(arguments).args(["--output", "json"]);
    command.envs(token.map(|token| ("HAPI_TOKEN", token)));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr)));
    Visit {
        exit: output.status.code().unwrap(),
        healthy: report["healthy"].as_bool().unwrap(),
        findings: report["findings"].as_array().unwrap().clone(),
    }
}

/// Asks one node of `cluster`, which names the others.
fn ask(cluster: &Cluster, place: usize) -> Visit {
    doctor(&["--node", cluster.node(place).http()], Some(cluster.operator_token()))
}

/// Looks at the folder of `place`.
fn look(cluster: &Cluster, place: usize) -> Visit {
    doctor(&["--data-dir", cluster.data(place).to_str().unwrap()], None)
}

fn options() -> Options {
    Options::default().set("HAPI_LEASE_CLOCK", "trusted")
}

#[tokio::test]
async fn a_sound_cluster_is_healthy_and_a_lost_node_is_named() {
    let mut cluster = Cluster::start_with(3, options()).await;
    cluster.wait_leases(&[0, 1, 2]).await;
    let sound = wait_until("the cluster has settled", async || {
        let visit = ask(&cluster, 0);
        visit.healthy.then_some(visit)
    })
    .await;
    assert_eq!((sound.exit, sound.codes()), (0, vec!["cluster"]));
    let lost = cluster.node(2).http().to_owned();
    cluster.kill(2);
    let visit = ask(&cluster, 0);
    assert_eq!((visit.exit, visit.healthy), (6, false));
    let finding = visit.find("unreachable");
    assert!(finding["place"].as_str().unwrap().contains(&lost), "{finding}");
    assert!(finding["what"].as_str().unwrap().contains("refused"), "{finding}");
    cluster.kill(1);
    let leaderless = wait_until("the node that is left knows no leader", async || {
        let visit = ask(&cluster, 0);
        visit.codes().contains(&"no_leader").then_some(visit)
    })
    .await;
    assert_eq!(leaderless.codes().iter().filter(|code| **code == "unreachable").count(), 2);
}

#[tokio::test]
async fn one_node_alone_and_a_short_disk_are_warned_of() {
    let short = options().set("HAPI_DISK_RESERVE_BYTES", &u64::MAX.to_string());
    let mut cluster = Cluster::start_with(1, options()).await;
    let visit = ask(&cluster, 0);
    assert_eq!((visit.exit, visit.find("single_voter")["severity"].as_str()), (6, Some("warning")));
    cluster.stop(0);
    cluster.set_options(short);
    cluster.restart(0);
    cluster.wait_ready().await;
    let visit = ask(&cluster, 0);
    assert!(visit.find("unfit")["remedy"].as_str().unwrap().contains("nearly full"), "{:#?}", visit.findings);
}

#[tokio::test]
async fn without_a_token_or_a_node_the_doctor_says_so() {
    let cluster = Cluster::start(1).await;
    for (node, code, part) in
        [(cluster.node(0).http(), 1, "unauthenticated"), ("http://127.0.0.1:1", 3, "Connection refused")]
    {
        let output = command().args(["doctor", "--node", node]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(part), "{}: {said}", output.status);
    }
}

/// Everything in a folder, with what would show that somebody wrote to it.
fn fingerprints(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.metadata().unwrap();
            let content = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            all.insert(path.clone(), (content, metadata.mtime(), metadata.mtime_nsec()));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    all
}

/// A stopped cluster of one node with some content, and a snapshot.
async fn stopped() -> Cluster {
    let options = options().set("HAPI_RAFT_SNAPSHOT_ENTRIES", "50").set("HAPI_RAFT_KEEP_ENTRIES", "10");
    let mut cluster = Cluster::start_with(1, options).await;
    let documents: Vec<_> = (0..120).map(|n| document(&format!("ai.acme/s{n}"), "1.0.0")).collect();
    publish_all(&cluster.publisher(0), &documents).await;
    wait_until("there is a snapshot, and the log begins behind it", async || {
        let status = cluster.status(0).await?.body;
        let is_purged = status["node"]["purged"].as_u64().is_some();
        (status["snapshots"]["built"].as_u64()? > 0 && is_purged).then_some(())
    })
    .await;
    cluster.stop(0);
    cluster
}

#[tokio::test]
async fn a_folder_says_whose_it_is_and_is_left_as_it_was() {
    let mut cluster = stopped().await;
    let before = fingerprints(&cluster.data(0));
    let visit = look(&cluster, 0);
    assert!(fingerprints(&cluster.data(0)) == before, "the doctor has written to the folder");
    assert_eq!((visit.exit, visit.codes()), (0, vec!["folder"]));
    let what = visit.what("folder").to_owned();
    assert!(what.contains("newest snapshot up to ") && what.contains("acknowledged up to "), "{what}");
    cluster.restart(0);
    let id = cluster.id(0).await;
    let status = cluster.status(0).await.unwrap().body;
    for part in [&id, status["cluster_id"].as_str().unwrap(), "issuer https://registry.example"] {
        assert!(what.contains(part), "{part} is missing in: {what}");
    }
    let visit = look(&cluster, 0);
    assert_eq!((visit.exit, visit.codes()), (0, vec!["in_use"]));
    cluster.wait_ready().await;
    cluster.client(0).connect("ai.acme/s7").await.ok();
}

#[tokio::test]
async fn each_trouble_of_a_folder_is_found() {
    let cluster = stopped().await;
    let data = cluster.data(0);
    type Case = (&'static str, fn(&Path), &'static str);
    let cases: [Case; 7] = [
        ("identity", |data| fs::remove_file(data.join("peer.key")).unwrap(), "is missing"),
        ("identity", |data| fs::write(data.join("peer.key"), "no key").unwrap(), "cannot be used"),
        ("open_secret", |data| set_mode(&data.join("peer.key"), 0o644), "private key peer.key"),
        ("damaged", |data| fs::remove_file(data.join("watermark")).unwrap(), "watermark"),
        ("damaged", |data| spoil(&newest(&data.join("snapshots"))), "snapshot"),
        ("damaged", |data| fs::remove_file(newest(&data.join("snapshots"))).unwrap(), "snapshot"),
        ("damaged", |data| fs::remove_dir_all(data.join("db")).unwrap(), "log"),
    ];
    for (code, make, part) in cases {
        let copy = cluster.scratch().join("copy");
        let _ = fs::remove_dir_all(&copy);
        let copied = std::process::Command::new("cp").arg("--archive").args([&data, &copy]).status().unwrap();
        assert!(copied.success());
        make(&copy);
        let visit = doctor(&["--data-dir", copy.to_str().unwrap()], None);
        assert_eq!(visit.exit, 6, "{code}, {part}: {:#?}", visit.findings);
        assert!(visit.what(code).contains(part), "{code}, {part}: {:#?}", visit.findings);
        assert!(!visit.find(code)["remedy"].as_str().unwrap().is_empty());
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn newest(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "snap")).max().unwrap()
}

fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_a_mistake_of_the_caller() {
    let output = command().args(["doctor", "--data-dir", "/no/such/folder"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("/no/such/folder"), "{}: {said}", output.status);
}
