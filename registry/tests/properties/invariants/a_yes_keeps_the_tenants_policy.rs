use hapi_registry_state::{Decision, Registry};

/// The client's tenant allows the server, sees it, and has it verified if it insists.
pub(crate) fn check(registry: &Registry, yes: &Decision) {
    let namespace = yes.server.namespace();
    let Some(tenant) = yes.tenant.as_ref().and_then(|id| registry.tenant(id)) else {
        assert!(!super::is_private(registry, &namespace));
        return;
    };
    let listed =
        |globs: &[hapi_registry_state::Glob]| globs.iter().any(|glob| glob.matches(yes.server.as_str()));
    assert!(!listed(&tenant.block));
    assert!(tenant.allow.as_ref().is_none_or(|allow| listed(allow)));
    assert!(yes.verified || !tenant.require_verified);
    assert!(!super::is_private(registry, &namespace) || tenant.private_namespaces.contains(&namespace));
}
