//! `GET /docs`: the description of this API as a page for people, made from the same text as `/openapi.json`.
//!
//! It is one page without scripts, so that it works where the internet does not, and runs nothing in a reader's browser.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f5;padding:.8rem;overflow:auto}\
    summary{cursor:pointer;padding:.3rem 0}summary b{display:inline-block;width:4.5rem}\
    details{border-bottom:1px solid #ddd}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;\
    text-align:left;vertical-align:top}@media(prefers-color-scheme:dark){body{background:#18181b;color:#e4e4e7}\
    pre{background:#27272a}a{color:#93c5fd}}";

/// Nothing is loaded, run or framed; the style is our own.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// The page for a description.
pub(super) fn page(description: &Value) -> String {
    let info = &description["info"];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (text(&info["title"])) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { (text(&info["title"])) " " small { (text(&info["version"])) } }
                p { (text(&info["description"])) }
                p {
                    "For programs: " a href="/openapi.json" { "/openapi.json" }
                    ". The catalog is served under /v0 too. A token goes into "
                    code { "Authorization: Bearer …" } "."
                }
                @for tag in description["tags"].as_array().into_iter().flatten() {
                    h2 { (text(&tag["name"])) }
                    p { (text(&tag["description"])) }
                    @for (path, method, operation) in operations(description, &tag["name"]) {
                        (shown(description, path, method, operation))
                    }
                }
            }
        }
    };
    page.into_string()
}

/// The page as an answer.
pub(super) fn respond(page: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (headers, page).into_response()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn operations<'a>(
    description: &'a Value,
    tag: &'a Value,
) -> impl Iterator<Item = (&'a String, &'a String, &'a Value)> {
    let paths = description["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, operations)| {
        let operations = operations.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| (path, method, operation))
    });
    all.filter(move |(_, _, operation)| operation["tags"][0] == *tag)
}

fn shown(description: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let id = text(&operation["operationId"]);
    html! {
        details id=(id) {
            summary { b { (method.to_uppercase()) } " " code { (path) } " – " (text(&operation["summary"])) }
            @if operation["description"].is_string() { p { (text(&operation["description"])) } }
            @if operation["security"] == serde_json::json!([]) { p { "Needs no token." } }
            (parameters(operation))
            @for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                h4 { "Body: " (kind) }
                pre { (pretty(description, &content["schema"])) }
            }
            @for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                h4 { "Answer: " (status) }
                p { (text(&response["description"])) }
                // What a problem looks like is the same everywhere.
                @for (kind, content) in response["content"].as_object().into_iter().flatten() {
                    @if kind == "application/problem+json" { p { "A problem (RFC 9457)." } }
                    @else { p { (kind) } pre { (pretty(description, &content["schema"])) } }
                }
            }
        }
    }
}

fn parameters(operation: &Value) -> Markup {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        @if !parameters.is_empty() {
            table {
                @for parameter in parameters {
                    tr {
                        td { code { (text(&parameter["name"])) } }
                        td { (text(&parameter["in"])) @if parameter["required"] == true { ", required" } }
                        td { (text(&parameter["description"])) }
                    }
                }
            }
        }
    }
}

/// A schema, with the one that it refers to put in its place.
fn pretty(description: &Value, schema: &Value) -> String {
    let named = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let schema = named.and_then(|pointer| description.pointer(pointer)).unwrap_or(schema);
    format!("{schema:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_shows_every_operation_and_runs_nothing() {
        let description = json!({
            "info": { "title": "T", "version": "1", "description": "<script>alert(1)</script>" },
            "tags": [{ "name": "a", "description": "about a" }],
            "paths": { "/x/{y}": {
                "get": {
                    "tags": ["a"], "operationId": "get_x", "summary": "Show x",
                    "parameters": [{ "name": "y", "in": "path", "required": true }],
                    "responses": { "200": { "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/X" }
                    } } } }
                }
            } },
            "components": { "schemas": { "X": { "type": "object", "title": "an x" } } }
        });
        let page = page(&description);
        for part in ["GET", "/x/{y}", "Show x", "path, required", "an x", "&lt;script&gt;"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<script"));
    }
}
