//! Real registry data, which lies outside this repository.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder of real data: `HAPI_FIXTURES`, or `../shared/data` beside the repository. Says loudly when it
/// is absent; the test that asked then skips.
pub fn fixtures() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("HAPI_FIXTURES").map_or_else(beside, PathBuf::from);
    if folder.join("registry/servers.json").is_file() {
        return Some(folder);
    }
    eprintln!("SKIPPED: there is no real registry data in {}: set HAPI_FIXTURES", folder.display());
    None
}

/// The entries of the official registry, as ServerResponses.
pub fn real_entries() -> Option<Vec<Value>> {
    let path = fixtures()?.join("registry/servers.json");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let list: Value =
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    list["servers"].as_array().cloned()
}
