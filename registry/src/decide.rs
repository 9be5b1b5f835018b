//! The connect decision: may this client connect to that server, now, by this node's signature?
//!
//! Everything that can turn a yes into a no is judged here on one captured state: who asks, who signs,
//! and what is asked for. Nothing is judged before the state is captured.

use crate::{
    Caller, CertificateProof, ClientId, Endpoint, ExpandError, Governed, KeptServerJson, KeyState, Kid,
    NodeId, OidcGrant, PresentedToken, Published, Registry, Remote, Right, Server, ServerName, ServerRef,
    Standing, Status, Subject, Tenant, TenantId, Timestamp, Transport, Version, server_json::Endpoints,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a caller proves itself; not yet judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// An API token.
    Token(PresentedToken),
    /// A key of a client's own.
    Key(KeyProof),
    /// A token of an identity provider.
    Oidc(OidcGrant),
    /// A certificate that was shown in mutual TLS.
    Certificate(CertificateProof),
}

/// That somebody has shown, by a statement that it signed for us, that it holds the private half of a client's key.
///
/// Whoever makes this has verified the signature. Whether the key is the client's (still) is judged like a token:
/// on the state that decides. It holds nothing secret, so that it can be handed to another node, which the signed
/// statement itself could be replayed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyProof {
    /// The client that the statement names.
    pub client: ClientId,
    /// The key that verified it.
    pub kid: Kid,
    /// When the statement ends.
    pub expires_at: Timestamp,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectRequest {
    /// The server, perhaps with a version.
    pub server: ServerRef,
    /// The client id that the caller says it is.
    pub client_id: Option<String>,
    /// The tenant that the caller says it belongs to.
    pub tenant_id: Option<String>,
    /// Values for placeholders in the remote's URL.
    pub variables: BTreeMap<String, String>,
    /// The life that the client would like, in seconds.
    pub ttl: Option<u32>,
}

/// Who would sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The deciding node.
    pub node: NodeId,
    /// The key that it would sign with.
    pub kid: Kid,
}

/// A yes, with all that the descriptor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who boards.
    pub client: ClientId,
    /// The client's tenant.
    pub tenant: Option<TenantId>,
    /// Which server.
    pub server: ServerName,
    /// Which of its versions.
    pub version: Version,
    /// Whether it is vouched for.
    pub verified: bool,
    /// Where it is.
    pub endpoint: Endpoint,
    /// The server's own key set, if the publisher named one.
    pub jwks_uri: Option<String>,
    /// The hash of the server's TLS key, if the publisher named one.
    pub tls_pin_sha256: Option<String>,
    /// Life of the descriptor, in seconds.
    pub ttl: u32,
    /// What the client should know beside.
    pub warnings: Vec<String>,
    /// The incarnation of the registry that decided.
    pub incarnation: u64,
    /// The index of the state that decided.
    pub index: u64,
    /// Whether the descriptor may be released only after a round with a majority.
    pub strict: bool,
}

impl Decision {
    /// Whether a descriptor of `other` would say the same, but for the index.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self {
            client, tenant, server, version, verified, endpoint, jwks_uri, tls_pin_sha256, ttl, ..
        } = self;
        (client, tenant, server, version, verified) ==
            (&other.client, &other.tenant, &other.server, &other.version, &other.verified)
            && (endpoint, jwks_uri, tls_pin_sha256, ttl)
                == (&other.endpoint, &other.jwks_uri, &other.tls_pin_sha256, &other.ttl)
            // A descriptor that needs no round may not stand for one that does.
            && self.strict <= other.strict
    }
}

/// A no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credential proves nobody.
    #[error("a valid client token is needed")]
    Unauthenticated,
    /// The caller's role does not connect.
    #[error("this token's role does not connect: use a client token")]
    Forbidden,
    /// This node may not sign: it is not on the roster, or its key is not active.
    #[error("this node may not issue descriptors now: ask another one")]
    NoServingLease,
    /// The registry was restored, and nobody has confirmed its moderation state yet.
    #[error(
        "nothing is issued yet: the registry was restored, and an operator must confirm its moderation state"
    )]
    OnHold,
    /// Tenant policy, a suspended client or tenant, or an identity that does not match the credential.
    #[error("{0}")]
    PolicyBlocked(String),
    /// Not in the catalog, or not for this tenant's eyes.
    #[error("{0} is not in the catalog")]
    ServerNotFound(ServerName),
    /// The server has no such version.
    #[error("{0} has no version {1}")]
    VersionNotFound(ServerName, Version),
    /// Suspended, quarantined, revoked or deleted.
    #[error("{0}")]
    ServerRevoked(String),
    /// Only verified servers may be reached, and this one is not.
    #[error("{0} is not verified, and only verified servers may be reached")]
    ServerUnverified(ServerName),
    /// The version has no `streamable-http` remote.
    #[error("{0} version {1} has no streamable-http remote")]
    TransportNotSupported(ServerName, Version),
    /// A placeholder has no value.
    #[error("{0}")]
    VariableRequired(ExpandError),
    /// A value does not fit.
    #[error("{0}")]
    InvalidRequest(String),
    /// The server does not answer, as far as the leader sees, and the health gate is on for it.
    #[error("{server} has not answered since {since}: try again later")]
    ServerUnavailable {
        /// Which server.
        server: ServerName,
        /// Since when that is known.
        since: Timestamp,
        /// After how many seconds that may have changed.
        retry_after: u32,
    },
}

impl Refusal {
    /// The machine code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NoServingLease | Self::OnHold => "no_serving_lease",
            Self::PolicyBlocked(_) => "policy_blocked",
            Self::ServerNotFound(_) => "server_not_found",
            Self::VersionNotFound(..) => "version_not_found",
            Self::ServerRevoked(_) => "server_revoked",
            Self::ServerUnverified(_) => "server_unverified",
            Self::TransportNotSupported(..) => "transport_not_supported",
            Self::VariableRequired(_) => "variable_required",
            Self::InvalidRequest(_) => "invalid_request",
            Self::ServerUnavailable { .. } => "server_unavailable",
        }
    }
}

impl Registry {
    /// Decides a connect. `now` judges only whether the credential has ended.
    pub fn decide(
        &self,
        now: Timestamp,
        credential: &Credential,
        request: &ConnectRequest,
        issuer: &Issuer,
    ) -> Result<Decision, Refusal> {
        let caller = self.authenticate(credential, now).ok_or(Refusal::Unauthenticated)?;
        let client = caller.client.clone().filter(|_| caller.role.may(Right::Connect));
        let client = client.ok_or(Refusal::Forbidden)?;
        if self.hold.is_some() {
            return Err(Refusal::OnHold);
        }
        self.check_issuer(issuer)?;
        self.check_identity(&caller, &client, request)?;
        let tenant = caller.tenant.as_ref().and_then(|id| self.tenant(id));
        let (server, published) = self.find(&request.server, tenant)?;
        let verified = self.check_server(published, tenant)?;
        let document = &published.document;
        let Endpoints { remotes, connect } = document.endpoints();
        let endpoint = self.endpoint(document, &remotes, &request.variables)?;
        // Last: what may never be reached is not told to come back later.
        self.check_health(document.name(), &endpoint)?;
        Ok(Decision {
            client,
            tenant: caller.tenant,
            server: document.name().clone(),
            version: document.version().clone(),
            verified,
            endpoint,
            jwks_uri: connect.jwks_uri,
            tls_pin_sha256: connect.tls_pin_sha256,
            ttl: self.settings.ttl(request.ttl),
            warnings: self.warnings(server, published),
            incarnation: self.incarnation,
            index: self.applied,
            strict: self.settings.is_strict_for(document.name())
                || tenant.is_some_and(|tenant| tenant.strict),
        })
    }

    fn check_issuer(&self, issuer: &Issuer) -> Result<(), Refusal> {
        let signs = |kid| {
            let key = self.keys.get(kid);
            key.is_some_and(|key| key.node == issuer.node && key.state == KeyState::Active)
        };
        if self.is_active_member(issuer.node) && signs(&issuer.kid) {
            Ok(())
        } else {
            Err(Refusal::NoServingLease)
        }
    }

    fn check_identity(
        &self,
        caller: &Caller,
        client: &ClientId,
        request: &ConnectRequest,
    ) -> Result<(), Refusal> {
        let blocked = |text: &str| Err(Refusal::PolicyBlocked(text.into()));
        if request.client_id.as_deref().is_some_and(|claimed| claimed != client.as_str()) {
            return blocked("`client.client_id` is not the client of this token");
        }
        let tenant = caller.tenant.as_ref().map(TenantId::as_str);
        if request.tenant_id.is_some() && request.tenant_id.as_deref() != tenant {
            return blocked("`client.tenant_id` is not the tenant of this client");
        }
        if self.is_barred(&Subject::Client(client.clone())) {
            return blocked("this client is suspended");
        }
        if caller.tenant.clone().is_some_and(|tenant| self.is_barred(&Subject::Tenant(tenant))) {
            return blocked("this client's tenant is suspended");
        }
        Ok(())
    }

    /// The version that is asked for, if there is one that this tenant may see.
    fn find(&self, wanted: &ServerRef, tenant: Option<&Tenant>) -> Result<(&Server, &Published), Refusal> {
        let ServerRef { name, version } = wanted;
        let not_found = || Refusal::ServerNotFound(name.clone());
        let server = self.server(name).filter(|_| self.sees(tenant, name)).ok_or_else(not_found)?;
        let version = match version {
            Some(version) => version,
            // Every version is deleted or in review: any of them says so.
            None => server
                .default_version()
                .or_else(|| server.versions.keys().next_back())
                .ok_or_else(not_found)?,
        };
        let published = server.versions.get(version);
        let published = published.ok_or_else(|| Refusal::VersionNotFound(name.clone(), version.clone()))?;
        Ok((server, published))
    }

    /// Whether clients of `tenant` know that `name` exists.
    pub(crate) fn sees(&self, tenant: Option<&Tenant>, name: &ServerName) -> bool {
        let namespace = name.namespace();
        !self.is_private(&namespace)
            || tenant.is_some_and(|tenant| tenant.private_namespaces.contains(&namespace))
    }

    /// Whether the version may be reached at all and by this tenant; yields whether it is verified.
    fn check_server(&self, published: &Published, tenant: Option<&Tenant>) -> Result<bool, Refusal> {
        let (name, version) = (published.document.name(), published.document.version());
        let (standing, record) = self.standing(name, version);
        if standing != Standing::None {
            let reason = record.map_or("", |record| record.reason.as_str());
            let until = record.and_then(|record| record.expires_at).map(|end| format!(" until {end}"));
            let (standing, until) = (standing.as_str(), until.unwrap_or_default());
            return Err(Refusal::ServerRevoked(format!("{name} is {standing}{until}: {reason}")));
        }
        if published.status == Status::Deleted {
            return Err(Refusal::ServerRevoked(format!(
                "{name} version {version} was deleted by its publisher"
            )));
        }
        let verified = self.is_verified(name, version);
        let governed = self.settings.governed == Governed::Verified;
        if !verified && (governed || tenant.is_some_and(|tenant| tenant.require_verified)) {
            return Err(Refusal::ServerUnverified(name.clone()));
        }
        if tenant.is_some_and(|tenant| !tenant.permits(name)) {
            return Err(Refusal::PolicyBlocked(format!("the tenant's policy does not allow {name}")));
        }
        Ok(verified)
    }

    fn endpoint(
        &self,
        document: &KeptServerJson,
        remotes: &[Remote],
        variables: &BTreeMap<String, String>,
    ) -> Result<Endpoint, Refusal> {
        let remote = remotes.iter().find(|remote| remote.transport == Transport::StreamableHttp);
        let remote = remote.ok_or_else(|| {
            Refusal::TransportNotSupported(document.name().clone(), document.version().clone())
        })?;
        let endpoint = remote.url.expand(variables, &remote.variables).map_err(|error| match error {
            ExpandError::Missing { .. } => Refusal::VariableRequired(error),
            _ => Refusal::InvalidRequest(error.to_string()),
        })?;
        if self.remotes.owner(&endpoint) != Some(document.name()) {
            return Err(Refusal::PolicyBlocked("with these variables the URL is another server's".into()));
        }
        Ok(endpoint)
    }

    fn warnings(&self, server: &Server, published: &Published) -> Vec<String> {
        if published.status != Status::Deprecated {
            return Vec::new();
        }
        let mut text = format!("version {} is deprecated", published.document.version());
        if let Some(message) = &published.status_message {
            text = format!("{text} ({message})");
        }
        if let Some(better) = self.recommended(server) {
            text = format!("{text}: use {better}");
        }
        vec![text]
    }

    /// The version that the registry would choose, if that is one to be used.
    fn recommended<'a>(&self, server: &'a Server) -> Option<&'a Version> {
        let version = server.default_version()?;
        let published = server.versions.get(version)?;
        let (standing, _) = self.standing(published.document.name(), version);
        (published.status == Status::Active && standing == Standing::None).then_some(version)
    }
}
