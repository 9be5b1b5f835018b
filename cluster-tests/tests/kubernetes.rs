//! The Kubernetes example: no cluster runs here, but its manifests are judged by the schemas of Kubernetes,
//! and its variables by the program that is to read them.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{command, in_repository, python, python_script};
use std::{collections::BTreeMap, process::Command};

const MANIFESTS: &str = "examples/kubernetes/hapi-registry.yaml";

/// The variables of the first node, by a script that has judged the manifests before. `None` without Python.
fn variables() -> Option<BTreeMap<String, String>> {
    let script = python_script("check_kubernetes.py");
    let judged =
        Command::new(python()?).arg("-B").arg(script).arg(in_repository(MANIFESTS)).output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    Some(serde_json::from_slice(&judged.stdout).unwrap())
}

/// What `serve` would go by, or what it says to these variables.
fn settings(variables: &BTreeMap<String, String>) -> Result<String, String> {
    let output = command().args(["serve", "--print-config"]).envs(variables).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn the_manifests_are_valid_and_serve_knows_every_variable_in_them() {
    let Some(variables) = variables() else { return };
    let printed = settings(&variables).unwrap();
    let named = variables.iter().filter(|(name, _)| name.starts_with("HAPI_"));
    for (name, value) in named.clone() {
        assert!(printed.contains(value.as_str()), "{name}={value} is not among\n{printed}");
    }
    assert!(named.count() >= 9);
    assert!(printed.contains("hapi-registry-0.hapi-registry-nodes.registry.svc:7080"), "{printed}");
}

#[test]
fn a_service_link_keeps_a_node_from_starting() {
    let Some(mut variables) = variables() else { return };
    variables.insert("HAPI_REGISTRY_PORT".into(), "tcp://10.0.0.1:8080".into());
    let refused = settings(&variables).unwrap_err();
    assert!(refused.contains("unknown variable HAPI_REGISTRY_PORT"), "{refused}");
}
