//! `scripts/conformance`, the suite that any registry can be asked with: it sees every fault that it must, and our own
//! nodes keep all of its rules.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Cluster, document, in_repository, publish_all, python_script};
use serde_json::{Value, json};
use std::{ffi::OsStr, path::Path, process::Command};

const NAMESPACE: &str = "com.example.publisher";

/// Runs a script with the standard library alone, as the suite promises; what it says, if it succeeds.
fn python<A: AsRef<OsStr>>(script: &Path, arguments: &[A]) -> String {
    // -B: nothing is written beside the scripts. -s, -E: no packages and settings of the user.
    let output = Command::new("python3").args(["-B", "-s", "-E"]).arg(script).args(arguments).output();
    let output = output.expect("python3 runs");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{said}\n{errors}", script.display(), output.status);
    said.into_owned()
}

#[test]
fn every_fault_of_a_registry_is_seen_and_a_correct_one_keeps_all_rules() {
    let suite = in_repository("scripts/conformance");
    let said = python(&python_script("check_conformance.py"), &[OsStr::new("--suite"), suite.as_os_str()]);
    eprint!("{said}");
}

/// A catalog that gives every rule an occasion: more than a page by default, several versions, one of them deleted.
async fn catalog(cluster: &Cluster) {
    let publisher = cluster.publisher(0);
    let name = |number: usize| format!("com.example.{}/server-{number:02}", ["tools", "weather"][number % 2]);
    for number in 0..40 {
        let versions = ["1.0.0", "1.1.0", "2.0.0+build.7"].into_iter().take(1 + number % 3);
        let documents: Vec<_> = versions.map(|version| document(&name(number), version)).collect();
        publish_all(&publisher, &documents).await;
    }
    let status = format!("/v0.1/servers/{}/versions/1.0.0/status", name(20).replace('/', "%2F"));
    publisher.patch(&status, &json!({ "status": "deleted", "statusMessage": "a mistake" })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_nodes_keep_every_rule() {
    let cluster = Cluster::start(1).await;
    catalog(&cluster).await;
    let token = cluster.make_token(json!({ "role": "publisher", "namespaces": [NAMESPACE] })).await;
    let file = cluster.scratch().join("publisher.token");
    std::fs::write(&file, token).unwrap();

    let base = cluster.node(0).http().to_owned();
    let token_file = file.to_str().unwrap().to_owned();
    let said = tokio::task::spawn_blocking(move || {
        let write = ["--write", "--token-file", &token_file, "--namespace", NAMESPACE];
        let arguments = [&[base.as_str(), "--output", "json"], write.as_slice()].concat();
        python(&in_repository("scripts/conformance"), &arguments)
    });
    let report: Value = serde_json::from_str(&said.await.unwrap()).unwrap();
    eprintln!("{}", report["summary"]);
    let rules = report["rules"].as_array().unwrap();
    let others: Vec<_> = rules.iter().filter(|rule| rule["verdict"] != "PASS").collect();
    assert!(others.is_empty() && rules.len() > 100, "of {} rules: {others:#?}", rules.len());
}
