//! The entries of the official registry: every one is kept, and publishing is as strict as it says.

use hapi_registry_state::{Endpoint, Issue, Rules, ServerJson, Severity, Strictness};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fs, path::PathBuf};

#[derive(Deserialize)]
struct ServerList<'a> {
    #[serde(borrow)]
    servers: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    server: &'a RawValue,
}

/// The file's text, or none where the data is not at hand.
pub(crate) fn registry() -> Option<String> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let root = std::env::var_os("HAPI_FIXTURES").map_or_else(|| default.into(), PathBuf::from);
    let path = root.join("registry/servers.json");
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: there is no {}; set HAPI_FIXTURES to the folder of the data", path.display());
    }
    text
}

/// The bytes of every document in the list.
pub(crate) fn documents(list: &str) -> Vec<&str> {
    let list: ServerList<'_> = serde_json::from_str(list).unwrap();
    list.servers.iter().map(|entry| entry.server.get()).collect()
}

/// How many issues of one severity break which rule.
fn rules_broken(issues: &[Issue], severity: Severity) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for issue in issues.iter().filter(|issue| issue.severity == severity) {
        *counts.entry(&*issue.reference).or_default() += 1;
    }
    counts
}

#[test]
fn every_entry_is_imported_with_all_its_remotes() {
    let Some(list) = registry() else { return };
    let rules = Rules { strictness: Strictness::Import, allow_insecure_endpoints: false };
    let (mut remotes, mut warnings) = (0, Vec::new());
    let documents = documents(&list);
    for raw in &documents {
        let parsed = ServerJson::parse(raw.as_bytes(), rules)
            .unwrap_or_else(|issues| panic!("not imported: {raw}: {issues:?}"));
        assert_eq!(parsed.server.raw(), raw.as_bytes());
        remotes += parsed.server.remotes().len();
        warnings.extend(parsed.warnings);
    }
    assert_eq!((documents.len(), remotes), (1846, 906));
    let expected = [
        ("#/definitions/Argument/properties/type/enum", 1),
        ("#/definitions/KeyValueInput/properties/format/enum", 4),
        ("empty-repository", 191),
        ("nothing-to-use", 41),
        ("reserved-version-string", 12),
        ("schema-field-required", 11),
        ("schema-version-deprecated", 1832),
        ("schema-version-unknown", 3),
        ("version-looks-like-template", 1),
    ];
    assert_eq!(rules_broken(&warnings, Severity::Warning), expected.into());
}

#[test]
fn publishing_would_refuse_a_few_of_them_today() {
    let Some(list) = registry() else { return };
    let rules = Rules { strictness: Strictness::Publish, allow_insecure_endpoints: false };
    let documents = documents(&list);
    let refused: Vec<_> =
        documents.iter().filter_map(|raw| ServerJson::parse(raw.as_bytes(), rules).err()).collect();
    assert_eq!(refused.len(), 21);
    let expected = [
        ("#/definitions/Argument/properties/type/enum", 1),
        ("#/definitions/KeyValueInput/properties/format/enum", 4),
        ("reserved-version-string", 12),
        ("schema-field-required", 11),
        ("schema-version-unknown", 3),
        ("version-looks-like-template", 1),
    ];
    assert_eq!(rules_broken(&refused.concat(), Severity::Error), expected.into());
}

#[test]
fn the_audience_of_every_remote_is_what_its_publisher_wrote() {
    let Some(list) = registry() else { return };
    let rules = Rules { strictness: Strictness::Import, allow_insecure_endpoints: false };
    for raw in documents(&list) {
        let server = ServerJson::parse(raw.as_bytes(), rules).unwrap().server;
        for remote in server.remotes() {
            let endpoint = remote.url.expand(&BTreeMap::new(), &remote.variables).unwrap();
            assert!(raw.contains(&format!("\"{}\"", endpoint.as_written())), "{endpoint:?}");
            assert_eq!(Endpoint::parse(endpoint.as_written()).unwrap(), endpoint);
            assert!(remote.url.matches(&endpoint));
        }
    }
}
