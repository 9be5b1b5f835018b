//! The catalog that `dev` starts with: made-up servers, one for each thing that a catalog can hold.

use serde_json::{Value, json};

/// One entry each, in the shape in which registries list them.
const ENTRIES: &[&str] = &[
    include_str!("sample/calendar.json"),
    include_str!("sample/changelog.json"),
    include_str!("sample/crm.json"),
    include_str!("sample/currency-1.json"),
    include_str!("sample/currency-2.json"),
    include_str!("sample/filesystem.json"),
    include_str!("sample/geocoder.json"),
    include_str!("sample/incidents.json"),
    include_str!("sample/inventory.json"),
    include_str!("sample/issues.json"),
    include_str!("sample/ledger.json"),
    include_str!("sample/legacy-search.json"),
    include_str!("sample/papers.json"),
    include_str!("sample/pdf.json"),
    include_str!("sample/postgres.json"),
    include_str!("sample/shipping.json"),
    include_str!("sample/speech.json"),
    include_str!("sample/tides.json"),
    include_str!("sample/translate.json"),
    include_str!("sample/weather.json"),
];

/// The server that the walk-through connects to, suspends and reinstates: the only one of the catalog that runs.
pub(super) const STAR: &str = "example.hapi/almanac";
/// A server that a moderator has suspended.
pub(super) const SUSPENDED: &str = "example.oldmill/legacy-search";
/// Servers that a moderator vouches for.
pub(super) const VERIFIED: &[&str] = &[STAR, "example.skylark/weather", "example.brightledger/ledger"];
/// What clients of the tenant `dev` may not reach.
pub(super) const BLOCKED: &str = "example.brightledger/*";
/// Where the publisher of `dev` may publish.
pub(super) const PUBLISHED: &[&str] = &["example.hapi", "example.skylark", "example.openreef"];

/// The document of the server that runs, at the endpoint where it does.
pub(super) fn almanac(endpoint: &str) -> Value {
    json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": STAR,
        "title": "Almanac",
        "description": "Day lengths and moon phases, computed on this machine.",
        "version": "1.0.0",
        "remotes": [{ "type": "streamable-http", "url": endpoint }],
    })
}

/// All entries as a ServerList.
///
/// # Errors
/// None in a binary whose tests have passed.
pub(super) fn catalog() -> serde_json::Result<Value> {
    let entries =
        ENTRIES.iter().map(|text| serde_json::from_str(text)).collect::<serde_json::Result<Vec<Value>>>()?;
    Ok(json!({ "servers": entries }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use hapi_registry_state::{Glob, Issue, Rules, ServerJson, Severity, Strictness, Transport};
    use std::collections::BTreeSet;

    const RULES: Rules = Rules { strictness: Strictness::Publish, allow_insecure_endpoints: false };
    const INSECURE: Rules = Rules { allow_insecure_endpoints: true, ..RULES };

    fn servers() -> Vec<ServerJson> {
        let parse = |entry: &Value| {
            let document = entry["server"].to_string();
            let parsed = ServerJson::parse(document.as_bytes(), RULES);
            let parsed = parsed.unwrap_or_else(|issues| panic!("{}: {issues:?}", entry["server"]["name"]));
            let is_flaw = |issue: &Issue| issue.severity != Severity::Info;
            assert!(!parsed.warnings.iter().any(is_flaw), "{}: {:?}", parsed.server.name(), parsed.warnings);
            parsed.server
        };
        catalog().unwrap()["servers"].as_array().unwrap().iter().map(parse).collect()
    }

    fn named(name: &str) -> Vec<ServerJson> {
        servers().into_iter().filter(|server| server.name().as_str() == name).collect()
    }

    #[test]
    fn every_entry_could_be_published_and_stands_once() {
        let servers = servers();
        let identities: BTreeSet<_> =
            servers.iter().map(|server| (server.name().to_string(), server.version().to_string())).collect();
        assert_eq!((servers.len(), identities.len()), (20, 20));
    }

    #[test]
    fn the_catalog_shows_what_catalogs_hold() {
        let servers = servers();
        let count = |wanted: fn(&ServerJson) -> bool| servers.iter().filter(|server| wanted(server)).count();
        assert_eq!(named("example.fairtrade-fx/currency").len(), 2);
        assert_eq!(count(|server| server.remotes().iter().any(|remote| !remote.variables.is_empty())), 2);
        assert_eq!(count(|server| server.remotes().is_empty() && server.has_packages()), 3);
        let only_sse = |server: &ServerJson| {
            !server.remotes().is_empty()
                && server.remotes().iter().all(|remote| remote.transport == Transport::Sse)
        };
        assert_eq!(count(only_sse), 1);
        let catalog = catalog().unwrap();
        let status = "/_meta/io.modelcontextprotocol.registry~1official/status";
        let entries = catalog["servers"].as_array().unwrap();
        assert_eq!(
            entries.iter().filter(|entry| entry.pointer(status) == Some(&json!("deprecated"))).count(),
            1
        );
    }

    #[test]
    fn what_the_walk_through_names_is_there() {
        for name in VERIFIED.iter().chain([&SUSPENDED]).filter(|name| **name != STAR) {
            assert_eq!(named(name).len(), 1, "{name}");
        }
        let almanac = almanac("http://127.0.0.1:7430/mcp").to_string();
        let almanac = ServerJson::parse(almanac.as_bytes(), INSECURE).unwrap();
        assert_eq!(almanac.server.name().as_str(), STAR);
        assert_eq!(almanac.server.remotes()[0].transport, Transport::StreamableHttp);
        let blocked: Glob = BLOCKED.parse().unwrap();
        assert!(
            !blocked.matches(STAR) && servers().iter().any(|server| blocked.matches(server.name().as_str()))
        );
    }
}
