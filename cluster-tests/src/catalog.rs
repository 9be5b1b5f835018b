//! Documents for tests.

use crate::Door;
use serde_json::{Value, json};

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

/// A `server.json` with one `streamable-http` remote of its own.
pub fn document(name: &str, version: &str) -> Value {
    let host = name.replace('/', ".").replace('_', "-");
    json!({
        "$schema": SCHEMA,
        "name": name,
        "description": "A server for tests",
        "version": version,
        "remotes": [{ "type": "streamable-http", "url": format!("https://{host}.example/mcp") }],
    })
}

/// A `server.json` whose remote has a `{region}` to fill in.
pub fn placeholder_document(name: &str, version: &str) -> Value {
    let mut document = document(name, version);
    document["remotes"] = json!([{
        "type": "streamable-http",
        "url": "https://regional.example/{region}/mcp",
        "variables": { "region": { "description": "Where", "isRequired": true, "choices": ["eu", "us"] } },
    }]);
    document
}

/// As many entries as `count`, made from real ones: the first are those themselves, the others differ in the name, and in
/// the URLs of remotes, which belong to one server alone.
pub fn entries_like(real: &[Value], count: usize) -> Vec<Value> {
    (0..count).map(|number| renamed(&real[number % real.len()], number / real.len())).collect()
}

fn renamed(entry: &Value, round: usize) -> Value {
    let mut entry = entry.clone();
    if round == 0 {
        return entry;
    }
    let name = entry["server"]["name"].as_str().unwrap_or_default().replacen('/', &format!("-r{round}/"), 1);
    entry["server"]["name"] = json!(name);
    for remote in entry["server"]["remotes"].as_array_mut().into_iter().flatten() {
        let url = remote["url"].as_str().unwrap_or_default().replacen("://", &format!("://r{round}."), 1);
        remote["url"] = json!(url);
    }
    entry
}

/// Publishes documents one after the other.
///
/// # Panics
/// When one is refused.
pub async fn publish_all(publisher: &Door, documents: &[Value]) {
    for document in documents {
        publisher.post("/v0/publish", document).await.ok();
    }
}
