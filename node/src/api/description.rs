//! `/openapi.json`: what the handlers say of themselves, and what holds for all of them.

mod shapes;

use super::rights;
use serde_json::{Map, Value, json};

/// The whole description, from what the handlers say.
pub(super) fn complete(mut description: Value) -> Value {
    let paths = description["paths"].as_object_mut();
    for (path, operations) in paths.into_iter().flatten() {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            describe(path, method, operation);
        }
    }
    shapes::put(&mut description);
    description["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API token or a publisher's token" }
    });
    description
}

fn describe(path: &str, method: &str, operation: &mut Value) {
    operation["operationId"] = json!(operation_id(path, method));
    // One without a row is for nobody; a test knows of it.
    let callers = rights::callers(method, path);
    operation["security"] = callers.map_or_else(|| json!([{ "bearer": [] }]), rights::Callers::security);
    operation["x-roles"] = callers.map(rights::Callers::roles).unwrap_or_default().into();
    // Asked for by index, what is missing would come to be, as null.
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        responses.values_mut().for_each(tell_problems_apart);
        if !path.starts_with("/oauth2/") && !responses.contains_key("default") {
            responses.insert("default".into(), problem());
        }
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        shapes::put_parameter(path, parameter);
    }
}

/// Unlike a function's name, this is unique.
fn operation_id(path: &str, method: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| format!("{id}_{word}"))
}

/// Problems have a media type of their own (RFC 9457).
fn tell_problems_apart(response: &mut Value) {
    let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { return };
    let is_problem = |body: &Value| body["schema"]["$ref"] == "#/components/schemas/Problem";
    if content.get("application/json").is_some_and(is_problem)
        && let Some(body) = content.remove("application/json")
    {
        content.insert("application/problem+json".into(), body);
    }
}

fn problem() -> Value {
    let body = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    let content = Map::from_iter([("application/problem+json".to_owned(), body)]);
    json!({ "description": "A refusal", "content": content })
}
