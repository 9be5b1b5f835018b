//! The registry as a value.

use crate::{
    ActRequest, CertificateName, Chained, Change, Client, ClientId, Down, FIRST_INCARNATION, GivenUp,
    HealthGate, Hold, IdentityProvider, IdentityProviderId, Kid, Member, Mirror, MirrorId, Moderation,
    ModerationRules, Namespace, NamespaceRecord, NodeId, SecretFingerprint, Server, ServerName, Settings,
    SigningKey, Subject, Tenant, TenantId, Timestamp, Token, TokenId, Version, Webhook, WebhookId,
    mirror::Origin,
    remote_claim::Claims,
    request_key::{Answered, Asked},
    revocation::Floor,
    search::SearchIndex,
    snapshot,
};
use imbl::{OrdMap, OrdSet, Vector};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The whole replicated state. A clone shares everything with the original.
#[derive(Clone, Debug)]
pub struct Registry {
    /// The index of the last entry, blank ones included.
    pub(crate) applied: u64,
    /// The instant of the last entry; never goes back.
    pub(crate) at: Timestamp,
    pub(crate) bootstrapped: bool,
    /// The index of the last entry that denies something.
    pub(crate) denied: u64,
    /// Everything at or below this index binds every node.
    pub(crate) sealed: u64,
    pub(crate) settings: Settings,
    pub(crate) rules: ModerationRules,
    pub(crate) gate: HealthGate,
    /// Servers that do not answer, behind the gate.
    pub(crate) down: OrdMap<ServerName, Arc<Down>>,
    pub(crate) servers: OrdMap<ServerName, Arc<Server>>,
    /// Derived from the servers: no snapshot has it.
    pub(crate) search: SearchIndex,
    pub(crate) remotes: Claims,
    pub(crate) namespaces: OrdMap<Namespace, Arc<NamespaceRecord>>,
    pub(crate) moderation: OrdMap<Subject, Arc<Moderation>>,
    /// When which of them lift themselves, the first to end first. Derived: see [`Moderation::expires_at`].
    pub(crate) moderation_ends: OrdSet<(Timestamp, Subject)>,
    /// Acts that wait for another moderator, by the index of the entry that asked for them.
    pub(crate) act_requests: OrdMap<u64, Arc<ActRequest>>,
    pub(crate) clients: OrdMap<ClientId, Arc<Client>>,
    /// Whose certificates are whose. Derived: see [`Client::certificates`].
    pub(crate) certificates: OrdMap<CertificateName, ClientId>,
    pub(crate) tenants: OrdMap<TenantId, Arc<Tenant>>,
    /// How many of them have a budget of their own.
    pub(crate) tenants_with_budget: usize,
    pub(crate) tokens: OrdMap<TokenId, Arc<Token>>,
    /// As nodes have told.
    pub(crate) token_uses: OrdMap<TokenId, Timestamp>,
    pub(crate) identity_providers: OrdMap<IdentityProviderId, Arc<IdentityProvider>>,
    pub(crate) keys: OrdMap<Kid, Arc<SigningKey>>,
    pub(crate) roster: OrdMap<NodeId, Arc<Member>>,
    /// Nodes that were removed: their ids are never used again.
    pub(crate) departed: OrdSet<NodeId>,
    pub(crate) requests: OrdMap<Asked, Arc<Answered>>,
    /// The same by index, the oldest first.
    pub(crate) requests_by_index: OrdMap<u64, Asked>,
    pub(crate) floors: OrdMap<Subject, Floor>,
    /// The same by index, the oldest first.
    pub(crate) floors_by_index: OrdSet<(u64, Subject)>,
    pub(crate) incarnation: u64,
    pub(crate) hold: Option<Hold>,
    /// Cluster secrets that somebody outside knows.
    pub(crate) given_up: OrdMap<SecretFingerprint, Arc<GivenUp>>,
    pub(crate) mirrors: OrdMap<MirrorId, Arc<Mirror>>,
    /// Of versions that were not published here.
    pub(crate) origins: OrdMap<(ServerName, Version), Arc<Origin>>,
    pub(crate) webhooks: OrdMap<WebhookId, Arc<Webhook>>,
    /// What entries for many versions did, by their index.
    pub(crate) changes: OrdMap<u64, Arc<Vec<Change>>>,
    pub(crate) audit: Vector<Chained>,
    /// Whether some record of the chain is of an act on several subjects. Derived.
    pub(crate) audit_several: bool,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            applied: 0,
            at: Timestamp::default(),
            bootstrapped: false,
            denied: 0,
            sealed: 0,
            settings: Settings::default(),
            rules: ModerationRules::default(),
            gate: HealthGate::default(),
            down: OrdMap::new(),
            servers: OrdMap::new(),
            search: SearchIndex::default(),
            remotes: Claims::default(),
            namespaces: OrdMap::new(),
            moderation: OrdMap::new(),
            moderation_ends: OrdSet::new(),
            act_requests: OrdMap::new(),
            clients: OrdMap::new(),
            certificates: OrdMap::new(),
            tenants: OrdMap::new(),
            tenants_with_budget: 0,
            tokens: OrdMap::new(),
            token_uses: OrdMap::new(),
            identity_providers: OrdMap::new(),
            keys: OrdMap::new(),
            roster: OrdMap::new(),
            departed: OrdSet::new(),
            requests: OrdMap::new(),
            requests_by_index: OrdMap::new(),
            floors: OrdMap::new(),
            floors_by_index: OrdSet::new(),
            incarnation: FIRST_INCARNATION,
            hold: None,
            given_up: OrdMap::new(),
            mirrors: OrdMap::new(),
            origins: OrdMap::new(),
            webhooks: OrdMap::new(),
            changes: OrdMap::new(),
            audit: Vector::new(),
            audit_several: false,
        }
    }
}

impl Registry {
    /// The index of the last applied entry.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The instant of the last applied entry.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether the first operator token has been made.
    pub fn is_bootstrapped(&self) -> bool {
        self.bootstrapped
    }

    /// SHA-256 over the records of a snapshot of this state, each with its length before it.
    ///
    /// Two replicas at the same index have the same hash, or one of them is damaged. Takes time in
    /// proportion to the state: call it on a clone, away from the path of entries.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for record in snapshot::records(self) {
            hasher.update((record.len() as u64).to_le_bytes());
            hasher.update(&record);
        }
        hasher.finalize().into()
    }
}
