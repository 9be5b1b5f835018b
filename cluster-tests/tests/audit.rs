//! The audit chain is checked from outside: a long history holds, and what is not as it was is named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Publishing, command};
use hapi_descriptor::{KeySet, Typ, open};
use serde_json::Value;
use std::{fs, path::PathBuf};

/// How many acts the history has at the least.
const ACTS: usize = 10_000;

struct Auditor<'a> {
    cluster: &'a Cluster,
}

impl Auditor<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.cluster.scratch().join(name)
    }

    /// Runs `audit` with these words, against the node at `place`; what it says, by whether it succeeds.
    fn run(&self, place: usize, words: &[&str]) -> Result<Value, String> {
        let output = command()
            .arg("audit")
            .args(words)
            .env("HAPI_NODES", self.cluster.node(place).http())
            .env("HAPI_TOKEN", self.cluster.operator_token())
            .env("HAPI_OUTPUT", "json")
            .current_dir(self.cluster.scratch())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            code => Err(format!("{code:?} {said}")),
        }
    }

    /// What is said of the export with its lines changed.
    fn tampered(&self, export: &[String], change: impl FnOnce(&mut Vec<String>)) -> String {
        let mut lines = export.to_vec();
        change(&mut lines);
        fs::write(self.path("tampered.jsonl"), lines.join("\n")).unwrap();
        self.run(0, &["verify", "tampered.jsonl"]).unwrap_err()
    }
}

fn index(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_10000_acts_holds_and_the_first_record_that_is_not_as_it_was_is_named() {
    let cluster = Cluster::start(3).await;
    let auditor = Auditor { cluster: &cluster };
    let publishing = Publishing::start(&cluster, ACTS);
    publishing.wait_for(ACTS / 2).await;
    auditor.run(0, &["export", "half.jsonl"]).unwrap();
    publishing.finish().await;
    cluster.moderator(0).moderate("suspend", "namespace", "ai.load").await.ok();
    for place in cluster.running() {
        let whole = auditor.run(place, &["verify", "--against", "half.jsonl"]).unwrap();
        assert!(whole["records"].as_u64().unwrap() > ACTS as u64, "{whole}");
        assert_eq!(whole["node"], cluster.id(place).await.as_str());
    }
    auditor.run(1, &["export", "whole.jsonl"]).unwrap();
    auditor.run(2, &["verify", "whole.jsonl", "--against", "half.jsonl"]).unwrap();
    let text = fs::read_to_string(auditor.path("whole.jsonl")).unwrap();
    // The first line has the head, so that a record's number is that of its line.
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    name_the_first(&auditor, &lines);
    find_what_was_rewritten(&auditor, &lines);
}

fn name_the_first(auditor: &Auditor<'_>, lines: &[String]) {
    let at = ACTS * 2 / 3;
    let (before, here, next) = (index(&lines[at - 1]), index(&lines[at]), index(&lines[at + 1]));
    let says =
        |said: String, what: &str| assert!(said.contains(what) && said.starts_with("Some(1)"), "{said}");
    let altered = auditor.tampered(lines, |lines| lines[at] = lines[at].replace("publish", "edit"));
    says(altered, &format!("record {here} was altered"));
    let removed = auditor.tampered(lines, |lines| drop(lines.remove(at)));
    says(removed, &format!("a record was removed behind record {before}"));
    let inserted = auditor.tampered(lines, |lines| {
        let stranger = lines[at].replace(&format!("\"index\":{next}"), &format!("\"index\":{here}"));
        lines.insert(at + 1, stranger.replace("publish", "edit"));
    });
    says(inserted, &format!("record {here} was inserted behind record {here}"));
    let reordered = auditor.tampered(lines, |lines| lines.swap(at, at + 1));
    says(reordered, &format!("record {next} was reordered: it stands behind record {before}"));
    let cut = auditor.tampered(lines, |lines| lines.truncate(at + 1));
    says(cut, &format!("removed at the end: the chain ends with record {here}"));
}

/// What was kept is the only witness against whoever can make hashes and heads.
fn find_what_was_rewritten(auditor: &Auditor<'_>, lines: &[String]) {
    let at = ACTS / 4;
    let then = lines[..ACTS / 3].iter().enumerate();
    let then =
        then.map(|(place, line)| if place == at { line.replace("publish", "edit") } else { line.clone() });
    fs::write(auditor.path("then.jsonl"), then.collect::<Vec<_>>().join("\n")).unwrap();
    let said = auditor.run(0, &["verify", "--against", "then.jsonl"]).unwrap_err();
    let named = format!("history was rewritten: record {} is the first", index(&lines[at]));
    assert!(said.contains(&named), "{said}");
}

#[tokio::test]
async fn a_head_is_signed_by_the_node_that_was_asked_and_kept_alone_it_is_a_witness() {
    let cluster = Cluster::start(1).await;
    let auditor = Auditor { cluster: &cluster };
    let text = cluster.operator(0).get("/v1/audit/head").await.text;
    let keys = cluster.node(0).door().get("/.well-known/jwks.json").await.text;
    let keys = KeySet::from_jwks(keys.as_bytes()).unwrap();
    let head = open(&text, Typ::AuditHead, &keys).unwrap().payload;
    let page = cluster.operator(0).get("/v1/audit").await.ok();
    let records = page["records"].as_array().unwrap();
    assert_eq!((&head["head"], &head["records"]), (&page["head"], &records.len().into()));
    assert_eq!(
        (&head["last"], &head["head"]),
        (&records.last().unwrap()["index"], &records.last().unwrap()["hash"])
    );
    assert_eq!(page["before"], "0".repeat(64));
    let later = cluster.operator(0).get(&format!("/v1/audit?after={}", records[1]["index"])).await.ok();
    assert_eq!((&later["before"], &later["records"][0]), (&records[1]["hash"], &records[2]));
    fs::write(auditor.path("head.jwt"), &text).unwrap();
    cluster.make_token(serde_json::json!({ "role": "auditor" })).await;
    let held = auditor.run(0, &["verify", "--against", "head.jwt"]).unwrap();
    assert!(held["records"].as_u64() > head["records"].as_u64(), "{held}");
    // A head of another kind, or of another cluster, is no witness.
    fs::write(auditor.path("feed.jwt"), cluster.node(0).door().get("/v1/revocations").await.text).unwrap();
    let said = auditor.run(0, &["verify", "--against", "feed.jwt"]).unwrap_err();
    assert!(said.contains("typ"), "{said}");
    let other = Cluster::start(1).await;
    fs::write(auditor.path("other.jwt"), other.operator(0).get("/v1/audit/head").await.text).unwrap();
    let said = auditor.run(0, &["verify", "--against", "other.jwt"]).unwrap_err();
    assert!(said.contains("no known key"), "{said}");
}
