use crate::connects::Connect;
use hapi_registry_state::{KeyState, MemberState, Registry};

/// The node that would sign is on the roster and not draining, and the key is its own and active.
pub(crate) fn check(registry: &Registry, connect: &Connect) {
    let issuer = &connect.issuer;
    let member = registry.roster().find(|(node, _)| *node == issuer.node).map(|(_, member)| member.state);
    assert_eq!(member, Some(MemberState::Active));
    let (_, key) = registry.keys().find(|(kid, _)| **kid == issuer.kid).expect("the key is published");
    assert_eq!((key.node, key.state), (issuer.node, KeyState::Active));
}
