use crate::connects::Connect;
use hapi_registry_state::{KeyState, MemberState, Registry, Standing, Subject};

/// The node that would sign is on the roster, neither draining nor suspended, and the key is its own and active.
pub(crate) fn check(registry: &Registry, connect: &Connect) {
    let issuer = &connect.issuer;
    let member = registry.roster().find(|(node, _)| *node == issuer.node).map(|(_, member)| member.state);
    assert_eq!(member, Some(MemberState::Active));
    let record = registry.moderation(&Subject::Node(issuer.node));
    assert!(record.is_none_or(|record| record.standing == Standing::None));
    let (_, key) = registry.keys().find(|(kid, _)| **kid == issuer.kid).expect("the key is published");
    assert_eq!((key.node, key.state), (issuer.node, KeyState::Active));
}
