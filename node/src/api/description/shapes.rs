//! The shapes of what is parsed by types that know nothing of OpenAPI: names, ids, documents, settings.

use serde_json::{Value, json};

const NAME: &str =
    "^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,96}[a-zA-Z0-9])?/[a-zA-Z0-9]([a-zA-Z0-9._-]{0,98}[a-zA-Z0-9])?$";
const REFERENCE: &str = "^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,96}[a-zA-Z0-9])?/[a-zA-Z0-9]([a-zA-Z0-9._-]{0,98}[a-zA-Z0-9])?\
                         (@(?!latest$)[^\\u0000-\\u001f\\u007f-\\u009f]{1,255})?$";
const VERSION: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,255}$";
const ID: &str = "^[a-z0-9][a-z0-9.-]{0,62}$";
const NODE: &str = "^[0-9a-f]{16}$";
const TOKEN: &str = "^[A-Za-z0-9]{12}$";
const NAMESPACE: &str = "^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$";
const GLOB: &str = "^[a-zA-Z0-9._/*-]{1,200}$";
const SUBJECT: &str = "^((server|version|namespace)/.+|(client|tenant)/[a-z0-9][a-z0-9.-]{0,62})$";

const ROLES: [&str; 5] = ["client", "publisher", "moderator", "auditor", "operator"];

/// The most connects of a budget in a minute.
const MOST_CONNECTS: u64 = 60_000_000;

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn or_null(shape: Value) -> Value {
    json!({ "anyOf": [shape, { "type": "null" }] })
}

fn list(pattern: &str) -> Value {
    json!({ "type": "array", "items": text(pattern) })
}

fn index() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
}

/// Says what a parameter has to look like, by its name.
pub(super) fn put_parameter(path: &str, parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let (shape, example) = match &*name {
        "server_name" => (text(NAME), Some("ai.acme/weather")),
        "version" => (text(VERSION), Some("1.0.0")),
        "updated_since" | "unused_since" => (json!({ "type": "string", "format": "date-time" }), None),
        "after" | "since" | "index" => (index(), None),
        "namespace" => (json!({ "type": "string", "pattern": NAMESPACE, "maxLength": 198 }), None),
        "subject" => (text(SUBJECT), None),
        "query" => (json!({ "type": "string", "pattern": "\\S", "maxLength": 1_000 }), Some("weather")),
        "limit" => {
            let most = if path.contains("servers") { 100 } else { 1_000 };
            (json!({ "type": "integer", "minimum": 1, "maximum": most }), None)
        }
        "wait" => (json!({ "type": "integer", "minimum": 0, "maximum": 30 }), None),
        "role" => (json!({ "enum": ROLES }), None),
        "client" => (text(ID), None),
        "state" => (json!({ "enum": ["valid", "expired", "revoked"] }), None),
        "id" if path.contains("/members/") => (text(NODE), None),
        "id" if path.contains("/tokens/") => (text(TOKEN), None),
        "id" if path.contains("/requests/") => (index(), None),
        "id" => (text(ID), None),
        _ => return,
    };
    parameter["schema"] = shape;
    if let Some(example) = example {
        parameter["example"] = json!(example);
    }
}

/// Says what bodies have to look like.
pub(super) fn put(description: &mut Value) {
    let schemas = &mut description["components"]["schemas"];
    put_fields(schemas);
    schemas["Introspection"] = introspection();
    let mut body = |path: &str, method: &str, shape: Value| {
        description["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"] = shape;
    };
    body("/v0.1/publish", "post", document());
    body("/v0.1/servers/{server_name}/versions/{version}", "put", document());
    body("/v1/import", "post", import());
    body("/v1/mirrors/{id}/entries", "post", import());
    body("/v1/settings", "patch", settings());
    body("/v1/tenants/{id}", "put", tenant());
}

fn put_fields(schemas: &mut Value) {
    let mut field = |schema: &str, field: &str, shape: Value| {
        let former = &mut schemas[schema]["properties"][field];
        let told = former["description"].take();
        *former = shape;
        if told.is_string() {
            former["description"] = told;
        }
    };
    field("ConnectBody", "server_ref", json!({ "type": "string", "pattern": REFERENCE, "maxLength": 456 }));
    field("ConnectBody", "min_index", or_null(index()));
    field("ConnectClient", "client_id", or_null(text(ID)));
    field("ConnectClient", "tenant_id", or_null(text(ID)));
    field("ClientBody", "tenant", or_null(text(ID)));
    field("ClientBody", "keys", json!({ "type": "array", "items": key() }));
    field("ClientBody", "certificates", json!({ "type": "array", "maxItems": 16, "items": certificate() }));
    field("NewTokenBody", "role", json!({ "enum": ROLES }));
    field("NewTokenBody", "expires_at", or_null(json!({ "type": "string", "format": "date-time" })));
    let acts = ["suspend", "quarantine", "revoke", "reinstate", "approve", "verify", "unverify"];
    field("ActBody", "act", json!({ "enum": acts }));
    field("ActBody", "expires_at", or_null(json!({ "type": "string", "format": "date-time" })));
    field("ActBody", "reason", json!({ "type": "string", "pattern": "\\S" }));
    let kinds = ["server", "version", "namespace", "client", "tenant", "token", "key", "node"];
    field("SubjectBody", "kind", json!({ "enum": kinds }));
    field("TargetBody", "kind", json!({ "enum": kinds }));
    field("RejectBody", "reason", json!({ "type": "string", "pattern": "\\S" }));
    field("TransferBody", "to", or_null(text(NODE)));
    field("RotateBody", "node", text(NODE));
    for webhook in ["NewWebhookBody", "WebhookBody"] {
        field(webhook, "url", text("^https?://[^@]+$"));
        field(webhook, "acts", list(GLOB));
        field(webhook, "kinds", list(GLOB));
    }
    field("NewWebhookBody", "id", text(ID));
    field("NewWebhookBody", "since", or_null(index()));
    field("WebhookBody", "skip_to", or_null(index()));
    field("ProviderBody", "issuer", text("^https?://[^/?#]+"));
    field("ProviderBody", "jwks_url", or_null(text("^https?://[^/?#]+")));
    field(
        "ProviderBody",
        "algorithms",
        json!({ "type": "array", "items": { "enum": ["RS256", "ES256", "EdDSA"] } }),
    );
    field("ProviderBody", "clients", list(GLOB));
    field("ProviderBody", "tenant", or_null(text(ID)));
    field("RuleBody", "role", json!({ "enum": ROLES }));
    field("RuleBody", "namespaces", list(GLOB));
    field("MirrorBody", "url", text("^https?://[^?#]+$"));
    field("MirrorBody", "include", list(GLOB));
    field("MirrorBody", "exclude", list(GLOB));
    field("MirrorBody", "interval_seconds", json!({ "type": "integer", "minimum": 1, "maximum": 3_600 }));
    // Beside what an operator sends, where nothing else is taken, stand id and index.
    if let Some(sent) = schemas["ShownProvider"]["allOf"][0].as_object_mut() {
        sent.remove("additionalProperties");
    }
}

/// An Ed25519 public key (RFC 8037).
fn key() -> Value {
    json!({
        "type": "object",
        "required": ["kty", "crv", "x"],
        "properties": {
            "kty": { "const": "OKP" },
            "crv": { "const": "Ed25519" },
            "x": text("^[A-Za-z0-9_-]{43}$"),
        },
    })
}

/// What every `server.json` has. It may have more, which is judged by the published schema and kept as it is.
fn document() -> Value {
    json!({
        "type": "object",
        "required": ["$schema", "name", "description", "version"],
        "properties": {
            "$schema": { "type": "string", "format": "uri" },
            "name": text(NAME),
            "version": text(VERSION),
            "description": { "type": "string", "minLength": 1, "maxLength": 100 },
        },
    })
}

/// RFC 7662 §2.2: of what is not active nothing else is said.
fn introspection() -> Value {
    let text = json!({ "type": "string" });
    let instant = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "required": ["active"],
        "properties": {
            "active": { "type": "boolean" },
            "token_type": text, "iss": text, "sub": text, "aud": text, "client_id": text, "scope": text, "jti": text,
            "server": text, "version": text,
            "iat": instant, "exp": instant,
        },
    })
}

fn import() -> Value {
    let entry =
        json!({ "type": "object", "required": ["server"], "properties": { "server": { "type": "object" } } });
    json!({
        "type": "object",
        "required": ["servers"],
        "properties": { "servers": { "type": "array", "items": entry } },
    })
}

/// Each of them may be absent or null, and stays as it is then.
fn settings() -> Value {
    let number = |least: u64, most: u64| json!({ "type": "integer", "minimum": least, "maximum": most });
    let flag = json!({ "type": "boolean" });
    let fields = [
        ("governed", json!({ "enum": ["all", "verified"] })),
        ("new_entries", json!({ "enum": ["open", "approval"] })),
        ("anonymous_reads", flag.clone()),
        ("allow_insecure_endpoints", flag.clone()),
        ("strict", flag.clone()),
        ("two_person", flag),
        ("strict_servers", list(GLOB)),
        ("ttl_default", number(30, 120)),
        ("ttl_min", number(30, 120)),
        ("ttl_max", number(30, 120)),
        ("key_prepublish", number(0, u32::MAX.into())),
        ("client_connects_per_minute", number(0, MOST_CONNECTS)),
        ("tenant_connects_per_minute", number(0, MOST_CONNECTS)),
        ("health_gate", json!({ "enum": ["off", "on"] })),
        ("health_gate_servers", list(GLOB)),
        ("health_gate_exempt", list(GLOB)),
        ("health_interval", number(5, 3_600)),
        ("health_timeout_ms", number(100, 30_000)),
        ("health_failures", number(1, 10)),
        ("health_successes", number(1, 10)),
    ];
    let properties: serde_json::Map<_, _> =
        fields.into_iter().map(|(name, shape)| (name.to_owned(), or_null(shape))).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn certificate() -> Value {
    let one = |name: &str, pattern: &str, most: u32| {
        let shape = json!({ "type": "string", "pattern": pattern, "maxLength": most });
        json!({ "type": "object", "additionalProperties": false, "required": [name], "properties": { name: shape } })
    };
    json!({ "oneOf": [
        one("san_uri", "^[A-Za-z][A-Za-z0-9+.-]*:[!-~]*$", 2_048),
        one("san_dns", "^[A-Za-z0-9_-]{1,63}([.][A-Za-z0-9_-]{1,63})*$", 253),
        one("x5t#S256", "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$", 43),
    ] })
}

fn tenant() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "allow": or_null(list(GLOB)),
            "block": list(GLOB),
            "require_verified": { "type": "boolean" },
            "private_namespaces": list(NAMESPACE),
            "strict": { "type": "boolean" },
            "connects_per_minute": or_null(json!({ "type": "integer", "minimum": 0, "maximum": MOST_CONNECTS })),
        },
    })
}
