//! Documents as publishers would write them.

use hapi_registry_state::{Rules, ServerJson, Strictness};
use serde_json::{Map, Value, json};

/// What matters of a document here. The rest is filled in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: Option<String>,
    pub(crate) title: Option<String>,
    /// The type of each remote, and its URL.
    pub(crate) remotes: Vec<(String, String)>,
    /// Name, choices (perhaps none) and default of each variable; every remote declares them all.
    pub(crate) variables: Vec<(String, Vec<String>, Option<String>)>,
    /// The `connect` metadata of the publisher.
    pub(crate) connect: Map<String, Value>,
}

/// The document of `draft`.
pub(crate) fn document(draft: &Draft) -> ServerJson {
    let rules = Rules { strictness: Strictness::Publish, allow_insecure_endpoints: false };
    let text = text(draft).to_string();
    match ServerJson::parse(text.as_bytes(), rules) {
        Ok(parsed) => parsed.server,
        Err(issues) => panic!("{text} is no document: {issues:?}"),
    }
}

fn text(draft: &Draft) -> Value {
    let variables = variables(draft);
    let remote = |(kind, url): &(String, String)| json!({"type": kind, "url": url, "variables": variables});
    let mut text = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": draft.name,
        "version": draft.version,
        "description": draft.description.as_deref().unwrap_or("A server of the tests"),
        "remotes": draft.remotes.iter().map(remote).collect::<Vec<_>>(),
    });
    if let Some(title) = &draft.title {
        text["title"] = json!(title);
    }
    if !draft.connect.is_empty() {
        text["_meta"] =
            json!({"io.modelcontextprotocol.registry/publisher-provided": {"connect": draft.connect}});
    }
    text
}

fn variables(draft: &Draft) -> Value {
    let input = |choices: &[String], default: &Option<String>| {
        let mut input = Map::new();
        if !choices.is_empty() {
            input.insert("choices".into(), json!(choices));
        }
        if let Some(default) = default {
            input.insert("default".into(), json!(default));
        }
        Value::Object(input)
    };
    let variables = draft.variables.iter();
    variables.map(|(name, choices, default)| (name.clone(), input(choices, default))).collect()
}
