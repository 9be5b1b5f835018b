//! Real registry data and other people's libraries against a real cluster: what is served is judged by the published
//! OpenAPI document, what is decided by predictions made from the raw file alone, and descriptors by PyJWT and joserfc.
//! The test vectors, which need no cluster, say where PyJWT and our own verifier differ.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{
    Cluster, document, fixtures, in_repository, publish_all, python, python_script, real_entries, wait_until,
};
use reqwest::{Method, header};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

const ISSUER: &str = "https://registry.example";
/// The scripts read a token from here, so that no process list shows it.
const TOKEN: &str = "HAPI_CLIENT_TOKEN";

/// Runs a script; what it says is shown, and its failure is the test's.
fn run(python: &Path, script: &str, arguments: &[&str], token: &str) {
    let script = python_script(script);
    // -B: nothing is written beside the scripts.
    let output = Command::new(python)
        .arg("-B")
        .arg(&script)
        .args(arguments)
        .env(TOKEN, token)
        .output()
        .expect("Python runs");
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
}

/// Imports the raw file as it stands, and waits until every node has it.
async fn import(cluster: &Cluster, data: &Path) -> Value {
    let list = std::fs::read(data.join("registry/servers.json")).unwrap();
    let operator = cluster.operator(0);
    let request =
        operator.request(Method::POST, "/v1/import").header(header::CONTENT_TYPE, "application/json");
    let report = operator.try_send(request.body(list)).await.unwrap().ok();
    for place in cluster.running() {
        wait_until(&format!("node {place} has the import"), async || {
            let applied = cluster.status(place).await?.body["index"].as_u64();
            (applied >= report["index"].as_u64()).then_some(())
        })
        .await;
    }
    report
}

fn bases(cluster: &Cluster) -> Vec<&str> {
    cluster.running().into_iter().map(|place| cluster.node(place).http()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn real_entries_are_served_and_decided_as_the_raw_file_foretells() {
    let (Some(data), Some(entries)) = (fixtures(), real_entries()) else { return };
    let Some(python) = python() else { return };
    let cluster = Cluster::start(3).await;

    let report = import(&cluster, &data).await;
    assert_eq!((report["imported"].as_u64(), &report["rejected"]), (Some(entries.len() as u64), &json!([])));
    cluster.operator(0).patch("/v1/settings", &json!({ "anonymous_reads": true })).await.ok();

    let data = data.to_str().unwrap();
    for (place, base) in bases(&cluster).into_iter().enumerate() {
        let arguments = ["--base", base, "--data", data, "--one-by-one"];
        // What comes one by one is made of the same parts on every node: once is enough.
        let asked = if place == 0 { arguments.len() } else { arguments.len() - 1 };
        run(&python, "validate_list.py", &arguments[..asked], "");
    }
    let mut arguments = vec!["--data", data, "--issuer", ISSUER, "--token-env", TOKEN, "--base"];
    arguments.extend(bases(&cluster));
    run(&python, "predict_connect.py", &arguments, cluster.client_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn real_documents_are_published_and_given_back_byte_for_byte() {
    let (Some(data), Some(python)) = (fixtures(), python()) else { return };
    let cluster = Cluster::start(1).await;
    let publisher = cluster.make_token(json!({ "role": "publisher", "namespaces": ["*"] })).await;
    let (base, data) = (cluster.node(0).http(), data.to_str().unwrap());
    run(&python, "publish_real.py", &["--base", base, "--data", data, "--token-env", TOKEN], &publisher);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_schemas_judge_as_we_do_but_for_what_the_page_says() {
    let (Some(data), Some(python)) = (fixtures(), python()) else { return };
    let cluster = Cluster::start(1).await;
    let page = in_repository("docs/validation.md");
    let (base, data, page) = (cluster.node(0).http(), data.to_str().unwrap(), page.to_str().unwrap());
    run(&python, "schema_agreement.py", &["--base", base, "--data", data, "--page", page], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_libraries_verify_a_descriptor_from_one_node_with_the_keys_of_another() {
    let Some(python) = python() else { return };
    let cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/weather", "1.0.0")]).await;

    let boarding = cluster.client(1).connect("ai.acme/weather").await.ok();
    let jwks = format!("{}/.well-known/jwks.json", cluster.node(2).http());
    let text = |field: &str| boarding[field].as_str().unwrap();
    let arguments = [
        ["--jwks", &jwks],
        ["--issuer", ISSUER],
        ["--audience", text("endpoint")],
        ["--descriptor", text("descriptor")],
    ];
    run(&python, "verify_descriptor.py", arguments.as_flattened(), "");
}

#[test]
fn pyjwt_differs_from_the_verifier_where_the_page_says_and_nowhere_else() {
    let Some(python) = python() else { return };
    let (vectors, page) = (in_repository("descriptor/vectors"), in_repository("docs/verification.md"));
    let arguments = ["--vectors", vectors.to_str().unwrap(), "--page", page.to_str().unwrap()];
    run(&python, "run_vectors.py", &arguments, "");
}
