use crate::connects::Connect;
use hapi_registry_state::{Registry, ServerName};
use std::collections::BTreeMap;

/// No two servers ever get descriptors for one endpoint, and a yes names an endpoint that the version which
/// was asked for can have.
pub(crate) fn check(registry: &Registry, connects: &[Connect]) {
    let mut owners: BTreeMap<String, ServerName> = BTreeMap::new();
    for yes in connects.iter().filter_map(|connect| connect.decision.as_ref().ok()) {
        let server = registry.server(&yes.server).expect("the server is there");
        let remotes = server.versions[&yes.version].document.remotes();
        assert!(remotes.iter().any(|remote| remote.url.matches(&yes.endpoint)), "{yes:?}");
        let owner = owners.entry(yes.endpoint.normalised().into()).or_insert_with(|| yes.server.clone());
        assert_eq!(*owner, yes.server, "{}", yes.endpoint.as_written());
    }
    written_out_once(registry);
}

/// A URL without placeholders stands in the documents of one server only.
fn written_out_once(registry: &Registry) {
    let mut owners: BTreeMap<String, ServerName> = BTreeMap::new();
    let servers = crate::cast::names().filter_map(|name| registry.server(&name));
    let documents = servers.flat_map(|server| server.versions.values()).map(|published| &published.document);
    for document in documents {
        for endpoint in document.remotes().iter().filter_map(|remote| remote.url.literal()) {
            let owner = owners.entry(endpoint.normalised().into()).or_insert_with(|| document.name().clone());
            assert_eq!(owner, document.name(), "{}", endpoint.as_written());
        }
    }
}
