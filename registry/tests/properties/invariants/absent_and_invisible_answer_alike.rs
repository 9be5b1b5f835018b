use crate::connects::Connect;
use hapi_registry_state::{Refusal, Registry};

/// To whoever may not see a namespace, every server in it, whatever its state, is one that is not there.
/// Only what concerns the caller itself or this node may be said before.
pub(crate) fn check(registry: &Registry, connects: &[Connect]) {
    for connect in connects {
        let name = &connect.request.server.name;
        let Some(caller) = registry.authenticate(&connect.credential, connect.now) else { continue };
        let tenant = caller.tenant.as_ref().and_then(|id| registry.tenant(id));
        let sees = !super::is_private(registry, &name.namespace())
            || tenant.is_some_and(|tenant| tenant.private_namespaces.contains(&name.namespace()));
        if sees && registry.server(name).is_some() {
            assert_ne!(connect.decision, Err(Refusal::ServerNotFound(name.clone())));
        } else {
            let caller_or_node = matches!(
                connect.decision,
                Err(Refusal::Forbidden | Refusal::NoServingLease | Refusal::PolicyBlocked(_))
            );
            assert!(
                caller_or_node || connect.decision == Err(Refusal::ServerNotFound(name.clone())),
                "{connect:?}"
            );
        }
    }
}
