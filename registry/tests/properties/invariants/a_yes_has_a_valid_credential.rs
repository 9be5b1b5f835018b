use crate::connects::Connect;
use hapi_registry_state::{Decision, Registry, Role};

/// Whoever hears a yes presented a client token that the registry knows, that has not ended, and that stands
/// for the client which the descriptor will name.
pub(crate) fn check(registry: &Registry, connect: &Connect, yes: &Decision) {
    let (_, token) =
        registry.tokens().find(|(id, _)| **id == connect.presented.id).expect("the token is known");
    assert_eq!(token.hash, connect.presented.hash);
    assert_eq!(token.role, Role::Client);
    assert_eq!(token.revoked_at, None);
    assert!(token.expires_at.is_none_or(|end| connect.now < end));
    assert_eq!(token.client.as_ref(), Some(&yes.client));
    let client = registry.client(&yes.client).expect("the client is known");
    assert_eq!(client.tenant, yes.tenant);
}
