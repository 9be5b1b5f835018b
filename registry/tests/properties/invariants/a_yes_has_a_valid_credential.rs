use crate::connects::Connect;
use hapi_registry_state::{
    CertificateProof, Credential, Decision, KeyProof, OidcGrant, PresentedToken, Registry, Role, Standing,
    Subject, TenantRule,
};

/// Whoever hears a yes proved itself by what stands for the client which the descriptor will name: a client token
/// that the registry knows and that has not ended, a key or a certificate that the client has now, or the token of a provider that may
/// speak for the client by the settings that it has now.
pub(crate) fn check(registry: &Registry, connect: &Connect, yes: &Decision) {
    match &connect.credential {
        Credential::Token(presented) => check_token(registry, presented, connect, yes),
        Credential::Key(proof) => check_key(registry, proof, connect, yes),
        Credential::Oidc(grant) => check_grant(registry, grant, connect, yes),
        Credential::Certificate(proof) => check_certificate(registry, proof, connect, yes),
    }
    let client = registry.client(&yes.client).expect("the client is known");
    assert_eq!(client.tenant, yes.tenant);
}

fn check_token(registry: &Registry, presented: &PresentedToken, connect: &Connect, yes: &Decision) {
    let (_, token) = registry.tokens().find(|(id, _)| **id == presented.id).expect("the token is known");
    assert_eq!(token.hash, presented.hash);
    assert_eq!(token.role, Role::Client);
    assert_eq!(token.revoked_at, None);
    let record = registry.moderation(&Subject::Token(presented.id.clone()));
    assert!(record.is_none_or(|record| record.standing == Standing::None));
    assert!(token.expires_at.is_none_or(|end| connect.now < end));
    assert_eq!(token.client.as_ref(), Some(&yes.client));
}

fn check_key(registry: &Registry, proof: &KeyProof, connect: &Connect, yes: &Decision) {
    assert_eq!(proof.client, yes.client);
    assert!(connect.now < proof.expires_at);
    let client = registry.client(&proof.client).expect("the client is known");
    assert!(client.keys.iter().any(|key| key.kid() == proof.kid));
}

fn check_certificate(registry: &Registry, proof: &CertificateProof, connect: &Connect, yes: &Decision) {
    assert!(connect.now < proof.expires_at);
    let mut holders = registry.clients().filter(|(_, client)| {
        let is_its = |name| client.certificates.contains(name);
        proof.names.iter().any(is_its)
    });
    assert_eq!(holders.next().map(|(id, _)| id), Some(&yes.client));
    assert_eq!(holders.next(), None, "a certificate proves one client");
}

fn check_grant(registry: &Registry, grant: &OidcGrant, connect: &Connect, yes: &Decision) {
    assert_eq!((grant.role, grant.client.as_ref()), (Role::Client, Some(&yes.client)));
    assert!(connect.now < grant.expires_at);
    let provider = registry.identity_provider(&grant.provider).expect("the provider is believed");
    assert_eq!(provider.index, grant.of);
    assert!(provider.settings.clients.iter().any(|glob| glob.matches(yes.client.as_str())));
    let tenant = &registry.client(&yes.client).expect("the client is known").tenant;
    match &provider.settings.tenant {
        None => {}
        Some(TenantRule::Fixed(fixed)) => assert_eq!(tenant.as_ref(), Some(fixed)),
        Some(TenantRule::Claim(_)) => assert_eq!((tenant, tenant.is_some()), (&grant.tenant, true)),
    }
}
