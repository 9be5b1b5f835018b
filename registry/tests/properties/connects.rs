//! Every connect that the cast can ask for.

use crate::cast::{
    CERTIFICATES, CLIENTS, KEYS, PROVIDED, PROVIDERS, TOKEN_POOL, VALUES, VERSIONS, certificate, grant,
    names, token, version,
};
use hapi_registry_state::{
    CertificateProof, ConnectRequest, Credential, Decision, Issuer, KeyProof, NodeId, OidcGrant,
    PresentedToken, Refusal, Registry, Role, ServerRef, Timestamp,
};

/// One connect and what came of it.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) now: Timestamp,
    pub(crate) credential: Credential,
    pub(crate) request: ConnectRequest,
    pub(crate) issuer: Issuer,
    pub(crate) decision: Result<Decision, Refusal>,
}

/// Every token to every version at every value, signed by an issuer that can, if there is one; then every
/// pairing of node and key, for one token and one request. All pairings at once would be hundreds of
/// thousands, and who signs is judged apart from what is asked for.
pub(crate) fn all(registry: &Registry) -> Vec<Connect> {
    let mut issuers = issuers();
    let signs = |issuer: &Issuer| {
        registry.keys().any(|(kid, key)| {
            *kid == issuer.kid
                && key.node == issuer.node
                && key.state == hapi_registry_state::KeyState::Active
        })
    };
    issuers.sort_by_key(|issuer| !signs(issuer));
    let main = credentials(registry)
        .into_iter()
        .flat_map(|credential| requests().into_iter().map(move |request| (credential.clone(), request)));
    let main = main.map(|(credential, request)| ask(registry, credential, request, issuers[0].clone()));
    let known = || Credential::Token(token(6).clone());
    let pairings = issuers.iter().map(|issuer| ask(registry, known(), requests().remove(0), issuer.clone()));
    main.chain(pairings).collect()
}

impl Connect {
    /// The same question put to another state, at the same instant, and for the very version that was granted.
    pub(crate) fn again(&self, registry: &Registry, granted: &Decision) -> Result<Decision, Refusal> {
        let server = ServerRef { version: Some(granted.version.clone()), ..self.request.server.clone() };
        let request = ConnectRequest { server, ..self.request.clone() };
        registry.decide(self.now, &self.credential, &request, &self.issuer)
    }
}

fn ask(registry: &Registry, credential: Credential, request: ConnectRequest, issuer: Issuer) -> Connect {
    let now = registry.at();
    let decision = registry.decide(now, &credential, &request, &issuer);
    Connect { now, credential, request, issuer, decision }
}

fn credentials(registry: &Registry) -> Vec<Credential> {
    let tokens = tokens().into_iter().map(Credential::Token);
    tokens
        .chain(proofs(registry).map(Credential::Key))
        .chain(grants(registry).map(Credential::Oidc))
        .chain(certificates(registry).map(Credential::Certificate))
        .collect()
}

/// Of clients that may have a key or not (any more), one that has ended, and one of a client that nobody made.
fn proofs(registry: &Registry) -> impl Iterator<Item = KeyProof> {
    let now = registry.at();
    let proof = move |client: &str, key: usize, life| KeyProof {
        client: client.parse().unwrap(),
        kid: KEYS[key].kid(),
        expires_at: now.plus_seconds(life),
    };
    [proof(CLIENTS[0], 0, 1), proof(CLIENTS[1], 2, 1), proof(CLIENTS[0], 0, 0), proof("nobody", 0, 1)]
        .into_iter()
}

/// Of one name each, of both, and one that has ended.
fn certificates(registry: &Registry) -> impl Iterator<Item = CertificateProof> {
    let now = registry.at();
    let proof = move |names: &[&str], life| CertificateProof {
        names: names.iter().map(|name| certificate(name)).collect(),
        expires_at: now.plus_seconds(life),
    };
    let [one, two, _] = CERTIFICATES;
    [proof(&[one], 1), proof(&[two], 1), proof(&[one, two], 1), proof(&[one], 0)].into_iter()
}

/// By each provider, for two clients; one that has ended, one by former settings, one for nobody that is known.
fn grants(registry: &Registry) -> impl Iterator<Item = OidcGrant> {
    let (now, later) = (registry.at(), registry.at().plus_seconds(1));
    let of = |provider: &str| {
        registry.identity_provider(&provider.parse().unwrap()).map_or(PROVIDED, |provider| provider.index)
    };
    let of = [of(PROVIDERS[0]), of(PROVIDERS[1])];
    [
        grant(PROVIDERS[0], of[0], Role::Client, CLIENTS[0], later),
        grant(PROVIDERS[0], of[0], Role::Client, CLIENTS[1], later),
        grant(PROVIDERS[1], of[1], Role::Client, CLIENTS[1], later),
        grant(PROVIDERS[0], of[0], Role::Client, CLIENTS[0], now),
        grant(PROVIDERS[0], of[0] + 1, Role::Client, CLIENTS[0], later),
        grant(PROVIDERS[0], of[0], Role::Client, "cnobody", later),
        grant(PROVIDERS[0], of[0], Role::Operator, CLIENTS[0], later),
    ]
    .into_iter()
}

/// Clients' tokens, two of other roles, and one with a right id and a wrong secret.
fn tokens() -> Vec<PresentedToken> {
    let mut tokens: Vec<_> = TOKEN_POOL[6..].iter().map(|(_, presented)| presented.clone()).collect();
    tokens.push(token(0).clone());
    tokens.push(PresentedToken { hash: token(7).hash, ..token(6).clone() });
    tokens
}

fn requests() -> Vec<ConnectRequest> {
    let versions = || std::iter::once(None).chain(VERSIONS.iter().map(|text| Some(version(text))));
    let refs =
        names().flat_map(|name| versions().map(move |version| ServerRef { name: name.clone(), version }));
    let with = |server: ServerRef, value: &str| ConnectRequest {
        server,
        client_id: None,
        tenant_id: None,
        variables: [("v".to_owned(), value.to_owned())].into(),
        ttl: Some(1),
    };
    refs.flat_map(|server| VALUES.iter().map(move |value| with(server.clone(), value))).collect()
}

fn issuers() -> Vec<Issuer> {
    let nodes = || (1..5).map(NodeId);
    KEYS.iter().flat_map(|key| nodes().map(|node| Issuer { node, kid: key.kid() })).collect()
}
