use crate::connects::Connect;
use hapi_registry_state::{Credential, Decision, KeyProof, PresentedToken, Registry, Role};

/// Whoever hears a yes proved itself by what stands for the client which the descriptor will name: a client token
/// that the registry knows and that has not ended, or a key that the client has now.
pub(crate) fn check(registry: &Registry, connect: &Connect, yes: &Decision) {
    match &connect.credential {
        Credential::Token(presented) => check_token(registry, presented, connect, yes),
        Credential::Key(proof) => check_key(registry, proof, connect, yes),
    }
    let client = registry.client(&yes.client).expect("the client is known");
    assert_eq!(client.tenant, yes.tenant);
}

fn check_token(registry: &Registry, presented: &PresentedToken, connect: &Connect, yes: &Decision) {
    let (_, token) = registry.tokens().find(|(id, _)| **id == presented.id).expect("the token is known");
    assert_eq!(token.hash, presented.hash);
    assert_eq!(token.role, Role::Client);
    assert_eq!(token.revoked_at, None);
    assert!(token.expires_at.is_none_or(|end| connect.now < end));
    assert_eq!(token.client.as_ref(), Some(&yes.client));
}

fn check_key(registry: &Registry, proof: &KeyProof, connect: &Connect, yes: &Decision) {
    assert_eq!(proof.client, yes.client);
    assert!(connect.now < proof.expires_at);
    let client = registry.client(&proof.client).expect("the client is known");
    assert!(client.keys.iter().any(|key| key.kid() == proof.kid));
}
