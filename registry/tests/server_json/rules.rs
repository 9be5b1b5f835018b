//! What is said of documents.
//!
//! `publish`, `publish insecure` and `import` are followed by members that replace those of a sound
//! document (`null` takes one away); `text` is followed by the very text of a document.

use crate::page;
use hapi_registry_state::{Issue, Rules, ServerJson, Strictness};
use serde_json::{Map, Value, json};

const PUBLISH: Rules = Rules { strictness: Strictness::Publish, allow_insecure_endpoints: false };

#[test]
fn the_pages_hold() {
    for name in ["json.txt", "document.txt", "remotes.txt", "packages.txt", "metadata.txt", "import.txt"] {
        page::check(name, run);
    }
}

fn run(input: &str) -> String {
    let (command, rest) = input.split_once('\n').unwrap_or((input, "{}"));
    match command {
        "text" => judge(rest.as_bytes(), PUBLISH),
        "publish" => judge(document(rest).to_string().as_bytes(), PUBLISH),
        "publish insecure" => {
            let rules = Rules { allow_insecure_endpoints: true, ..PUBLISH };
            judge(document(rest).to_string().as_bytes(), rules)
        }
        "import" => {
            let rules = Rules { strictness: Strictness::Import, ..PUBLISH };
            judge(document(rest).to_string().as_bytes(), rules)
        }
        _ => panic!("no such command: {command}"),
    }
}

/// A sound document, changed by `members`.
pub(crate) fn document(members: &str) -> Value {
    let mut document = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "ai.acme/weather",
        "description": "Forecasts for any place",
        "version": "1.0.0",
        "remotes": [{"type": "streamable-http", "url": "https://mcp.acme.ai/weather"}],
    });
    let members: Map<String, Value> = serde_json::from_str(members).unwrap();
    let fields = document.as_object_mut().unwrap();
    fields.extend(members);
    fields.retain(|_, value| !value.is_null());
    document
}

fn judge(raw: &[u8], rules: Rules) -> String {
    match ServerJson::parse(raw, rules) {
        Ok(parsed) => {
            let server = &parsed.server;
            let mut lines = vec![format!("taken: {server:?}, remotes {}", server.remotes().len())];
            lines.extend(parsed.warnings.iter().map(line));
            lines.join("\n")
        }
        Err(issues) => issues.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

fn line(issue: &Issue) -> String {
    let (kind, severity) = (json!(issue.kind), json!(issue.severity));
    let (kind, severity) = (kind.as_str().unwrap(), severity.as_str().unwrap());
    format!("{severity} {kind} {} at `{}`: {}", issue.reference, issue.path, issue.message)
}
