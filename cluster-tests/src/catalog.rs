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

/// Publishes documents one after the other.
///
/// # Panics
/// When one is refused.
pub async fn publish_all(publisher: &Door, documents: &[Value]) {
    for document in documents {
        publisher.post("/v0/publish", document).await.ok();
    }
}
