use hapi_registry_state::{Registry, Role};

/// Every client token has its client and every client its tenant, so that no policy is passed over because
/// it cannot be found.
pub(crate) fn check(registry: &Registry) {
    for (id, token) in registry.tokens().filter(|(_, token)| token.role == Role::Client) {
        let client = token.client.as_ref().and_then(|client| registry.client(client));
        let client = client.unwrap_or_else(|| panic!("{id} has no client"));
        assert!(client.tenant.as_ref().is_none_or(|tenant| registry.tenant(tenant).is_some()), "{id}");
    }
}
