use hapi_registry_state::{KeyState, NodeId, Registry};
use std::collections::BTreeMap;

/// A node has at most one key that signs and at most three that verify.
pub(crate) fn check(registry: &Registry) {
    let mut nodes: BTreeMap<NodeId, (usize, usize)> = BTreeMap::new();
    for (_, key) in registry.keys().filter(|(_, key)| key.state != KeyState::Revoked) {
        let (active, live) = nodes.entry(key.node).or_default();
        *active += usize::from(key.state == KeyState::Active);
        *live += 1;
    }
    assert!(nodes.values().all(|(active, live)| *active <= 1 && *live <= 3), "{nodes:?}");
    assert_eq!(registry.published_keys().count(), nodes.values().map(|(_, live)| live).sum::<usize>());
}
