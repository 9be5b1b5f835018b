//! Identity providers: whose tokens (OIDC) make callers, and what their claims make of them.
//!
//! A node verifies a token and reads its claims. What enters the log, and is handed to other nodes, is what came of
//! that: a grant. The state machine judges it at its own place: by the entry's instant, by the provider, which may have
//! been removed or changed one entry earlier, and by the client, which must be known here and belong where the token
//! says. A grant names the entry that made the provider's settings, so that none outlives them.

use crate::{
    Caller, ClientId, Glob, IdentityProviderId, Outcome, Principal, PublisherGrant, PublisherSubject,
    Registry, Rejection, Right, Role, Subject, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};

/// The most providers: each may be asked for its keys by every node.
const MAX_PROVIDERS: usize = 16;

/// The most rules of one provider, the most globs of its clients, and the most namespaces of a rule.
const MAX_RULES: usize = 100;
const MAX_CLIENTS: usize = 100;

/// The longest URL, audience, and name or value of a claim, in bytes.
const MAX_TEXT: usize = 2_000;

/// What a provider may sign with. No symmetric algorithm: who verifies by one could have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What a claim makes of whoever has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRule {
    /// The name of the claim, or a JSON pointer to it, as `/realm_access/roles`.
    pub claim: String,
    /// What it must be, or contain if it is a list.
    pub value: String,
    /// What its bearer is then.
    pub role: Role,
    /// Where a publisher may publish.
    pub namespaces: Vec<Glob>,
}

/// Where the tenant of a client stands, which must be the one that the client is registered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TenantRule {
    /// All of the provider's clients belong to this tenant.
    Fixed(TenantId),
    /// In this claim, or at this JSON pointer.
    Claim(String),
}

/// What an operator says of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSettings {
    /// The `iss` of its tokens, character by character.
    pub issuer: String,
    /// What must be among the `aud` of its tokens.
    pub audience: String,
    /// What it may sign with.
    pub algorithms: Vec<SigningAlgorithm>,
    /// Where its keys are; without it, where its `/.well-known/openid-configuration` says.
    pub jwks_url: Option<String>,
    /// The first that fits gives the role; others of the same role add their namespaces.
    pub roles: Vec<RoleRule>,
    /// The claim that holds the client's id, or a JSON pointer to it.
    pub client_claim: String,
    /// Which registered clients it may speak for.
    pub clients: Vec<Glob>,
    /// Which tenant they must belong to; without it, any or none.
    pub tenant: Option<TenantRule>,
    /// The id of the application there by which people sign in at the console; without it, none do. A public client: it has
    /// no secret, which would stand in the log.
    pub console_client_id: Option<String>,
}

impl ProviderSettings {
    fn check(&self) -> Result<(), Rejection> {
        let wrong = |text: String| Err(Rejection::Invalid(text));
        let texts = [&self.issuer, &self.audience, &self.client_claim];
        let of_rules = self.roles.iter().flat_map(|rule| [&rule.claim, &rule.value]);
        let mut texts =
            texts.into_iter().chain(of_rules).chain(&self.jwks_url).chain(&self.console_client_id);
        if texts.any(|text| text.is_empty() || text.len() > MAX_TEXT) {
            return wrong(format!(
                "URLs, audience, and names and values of claims have 1 to {MAX_TEXT} bytes"
            ));
        }
        if self.algorithms.is_empty() || self.algorithms.len() > 3 {
            return wrong("`algorithms` are some of RS256, ES256 and EdDSA".into());
        }
        if self.roles.is_empty() || self.roles.len() > MAX_RULES || self.clients.len() > MAX_CLIENTS {
            return wrong(format!(
                "a provider has 1 to {MAX_RULES} rules and at most {MAX_CLIENTS} globs of clients"
            ));
        }
        self.roles.iter().try_for_each(|rule| self.check_rule(rule))
    }

    fn check_rule(&self, rule: &RoleRule) -> Result<(), Rejection> {
        let wrong = |text: &str| Err(Rejection::Invalid(text.into()));
        if rule.namespaces.len() > PublisherGrant::MAX_NAMESPACES {
            return wrong("a rule has at most 64 namespaces");
        }
        match rule.role {
            Role::Publisher if rule.namespaces.is_empty() => {
                wrong("a rule for publishers needs `namespaces`")
            }
            Role::Client if self.clients.is_empty() => wrong(
                "a rule for clients needs `clients`: which registered clients the provider may speak for",
            ),
            role if role != Role::Publisher && !rule.namespaces.is_empty() => {
                wrong("only a rule for publishers has `namespaces`")
            }
            _ => Ok(()),
        }
    }

    /// Whether the provider may speak for `client`, who belongs to `tenant`, if the token names `told`.
    fn speaks_for(&self, client: &ClientId, tenant: Option<&TenantId>, told: Option<&TenantId>) -> bool {
        let belongs = match &self.tenant {
            None => true,
            Some(TenantRule::Fixed(fixed)) => tenant == Some(fixed),
            Some(TenantRule::Claim(_)) => told.is_some() && told == tenant,
        };
        belongs && self.clients.iter().any(|glob| glob.matches(client.as_str()))
    }
}

/// A provider whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityProvider {
    /// What an operator says of it.
    pub settings: ProviderSettings,
    /// The index of the entry that made these settings.
    pub index: u64,
}

/// That somebody has shown a token that a provider has signed, and what its claims make of its bearer.
///
/// Whoever makes this has verified the signature and the claims. It holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcGrant {
    /// The provider.
    pub provider: IdentityProviderId,
    /// By which of its settings the claims were read: [`IdentityProvider::index`].
    pub of: u64,
    /// Who it is, as it stands in the audit chain: `oidc:<provider>/<sub>`.
    pub subject: PublisherSubject,
    /// What the claims make of it.
    pub role: Role,
    /// The client that it stands for (role client only).
    pub client: Option<ClientId>,
    /// The tenant that the token names, where the provider's settings ask for it.
    pub tenant: Option<TenantId>,
    /// Where it may publish (role publisher only).
    pub namespaces: Vec<Glob>,
    /// When the token ends.
    pub expires_at: Timestamp,
}

impl Registry {
    pub(crate) fn put_identity_provider(
        &mut self,
        by: &Principal,
        id: &IdentityProviderId,
        settings: &ProviderSettings,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        settings.check()?;
        if let Some(former) = self.identity_providers.get(id).filter(|former| former.settings == *settings) {
            return Ok(Outcome::Unchanged { since: former.index });
        }
        let is_same = |other: &ProviderSettings| {
            (&other.issuer, &other.audience) == (&settings.issuer, &settings.audience)
        };
        let mut others = self.identity_providers.iter().filter(|(other, _)| *other != id);
        if others.any(|(_, other)| is_same(&other.settings)) {
            // Which of both a token is of, nobody could tell.
            return Err(Rejection::Invalid("another provider has this issuer and this audience".into()));
        }
        if !self.identity_providers.contains_key(id) && self.identity_providers.len() >= MAX_PROVIDERS {
            return Err(Rejection::Invalid(format!("there are at most {MAX_PROVIDERS} identity providers")));
        }
        let provider = IdentityProvider { settings: settings.clone(), index: self.applied };
        self.identity_providers.insert(id.clone(), Arc::new(provider));
        Ok(Outcome::Done)
    }

    pub(crate) fn remove_identity_provider(
        &mut self,
        by: &Principal,
        id: &IdentityProviderId,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        match self.identity_providers.remove(id) {
            Some(_) => Ok(Outcome::Done),
            None => Err(Rejection::IdentityProviderNotFound(id.clone())),
        }
    }

    /// The caller that a grant makes at `now`.
    pub(crate) fn vouched_for(&self, grant: &OidcGrant, now: Timestamp) -> Option<Caller> {
        let provider = self.identity_providers.get(&grant.provider)?;
        let is_live = provider.index == grant.of && now < grant.expires_at;
        let namespaces = match grant.role {
            Role::Publisher => grant.namespaces.clone(),
            _ => Vec::new(),
        };
        let caller = |client: Option<ClientId>, tenant: Option<TenantId>| Caller {
            role: grant.role,
            client,
            tenant,
            namespaces,
        };
        if !is_live || grant.namespaces.len() > PublisherGrant::MAX_NAMESPACES {
            return None;
        }
        if grant.role != Role::Client {
            return Some(caller(None, None));
        }
        let id = grant.client.as_ref()?;
        let tenant = self.client(id)?.tenant.clone();
        let speaks = provider.settings.speaks_for(id, tenant.as_ref(), grant.tenant.as_ref());
        speaks.then(|| caller(Some(id.clone()), tenant))
    }

    /// Whose descriptors may be owed to the provider: those of the clients that it may speak for. Which of them were
    /// asked for with its tokens, nobody has written down; so a tenant stands for all of its clients.
    pub(crate) fn owed_to(&self, id: &IdentityProviderId) -> BTreeSet<Subject> {
        let Some(provider) = self.identity_providers.get(id) else { return BTreeSet::new() };
        let clients = self.clients.iter().filter(|(id, client)| {
            let tenant = client.tenant.as_ref();
            provider.settings.speaks_for(id, tenant, tenant)
        });
        let subject = |(id, client): (&ClientId, &Arc<crate::Client>)| match &client.tenant {
            Some(tenant) => Subject::Tenant(tenant.clone()),
            None => Subject::Client(id.clone()),
        };
        clients.map(subject).collect()
    }

    /// The provider with this id.
    pub fn identity_provider(&self, id: &IdentityProviderId) -> Option<&IdentityProvider> {
        self.identity_providers.get(id).map(|provider| &**provider)
    }

    /// All providers, by id.
    pub fn identity_providers(&self) -> impl Iterator<Item = (&IdentityProviderId, &IdentityProvider)> {
        self.identity_providers.iter().map(|(id, provider)| (id, &**provider))
    }
}
