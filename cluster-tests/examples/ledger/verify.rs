//! Whether every node has what was acknowledged.

use crate::{addresses::Addresses, token};
use hapi_client::{Client, Method};
use hapi_cluster_tests::{document, wait_until};
use serde_json::{Value, json};
use std::{collections::HashMap, fs, path::Path, process::ExitCode};

/// All versions that a node lists, by name and version.
type Catalog = HashMap<(String, String), Value>;

pub(crate) async fn verify(addresses: &Addresses, path: &Path) -> ExitCode {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let published: Vec<(&str, &str)> =
        text.lines().map(|line| line.split_once(' ').expect("a line")).collect();
    assert!(!published.is_empty(), "an empty ledger proves nothing");
    let nodes: Vec<Client> = addresses.now().iter().map(|url| client(url)).collect();
    let mut lost = 0;
    for (node, url) in nodes.iter().zip(addresses.now().iter()) {
        // After this the node has applied whatever was acknowledged before.
        get(node, "/v1/tokens").await;
        let catalog = catalog(node).await;
        for (name, version) in &published {
            let found = catalog.get(&((*name).to_owned(), (*version).to_owned()));
            if found != Some(&document(name, version)) {
                println!("LOST at {url}: {name} {version}: {found:?}");
                lost += 1;
            }
        }
    }
    let hash = agree(&nodes).await;
    println!("{} publications on {} nodes, {lost} lost; state hash {hash}", published.len(), nodes.len());
    if lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A client of one node alone.
fn client(url: &str) -> Client {
    Client::builder().nodes([url]).credential(token("OPERATOR")).build().expect("a sound address")
}

async fn get(node: &Client, path: &str) -> Value {
    let got = async || node.request(Method::GET, path, None).await.ok();
    wait_until(&format!("a node answers {path}"), got).await
}

async fn catalog(node: &Client) -> Catalog {
    let (mut catalog, mut path) = (Catalog::new(), "/v0/servers?limit=100".to_owned());
    loop {
        let page = get(node, &path).await;
        for entry in page["servers"].as_array().expect("a list of servers") {
            let text = |member: &str| entry["server"][member].as_str().unwrap_or_default().to_owned();
            catalog.insert((text("name"), text("version")), entry["server"].clone());
        }
        match page["metadata"]["nextCursor"].as_str() {
            Some(cursor) => path = format!("/v0/servers?limit=100&cursor={cursor}"),
            None => return catalog,
        }
    }
}

/// Waits until all nodes show one checkpoint with one hash, and yields it.
async fn agree(nodes: &[Client]) -> String {
    let made = async || nodes[0].request(Method::POST, "/v1/cluster/checkpoint", Some(json!({}))).await.ok();
    let made = wait_until("a checkpoint is committed", made).await;
    for node in nodes {
        let reached = async || {
            let shown = get(node, "/v1/cluster").await["checkpoint"].clone();
            (shown["index"].as_u64() >= made["index"].as_u64()).then_some(shown)
        };
        let shown = wait_until("every node has the checkpoint", reached).await;
        assert_eq!(shown, made, "the states differ");
    }
    made["hash"].as_str().expect("a hash").to_owned()
}
