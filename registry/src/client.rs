//! Clients: who may ask for descriptors.

use crate::{
    Caller, CertificateName, ClientId, Command, KeyProof, Outcome, Principal, PublicKey, Registry, Rejection,
    Right, Role, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most public keys that one client may register.
const MAX_KEYS: usize = 8;

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The tenant that it belongs to.
    pub tenant: Option<TenantId>,
    /// Its public keys.
    pub keys: Vec<PublicKey>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// The certificates that it proves itself by, in mutual TLS. A record of its own in snapshots, since the form of this
    /// one was released without it.
    #[serde(skip)]
    pub certificates: Vec<CertificateName>,
}

impl Command {
    /// Registers or changes a client, by the oldest command that says it all: a cluster that is being upgraded takes only
    /// what all its members know.
    pub fn put_client(
        id: ClientId,
        tenant: Option<TenantId>,
        keys: Vec<PublicKey>,
        certificates: Vec<CertificateName>,
    ) -> Self {
        if certificates.is_empty() {
            Self::PutClient { id, tenant, keys }
        } else {
            Self::RegisterClient { id, tenant, keys, certificates }
        }
    }
}

impl Registry {
    pub(crate) fn put_client(
        &mut self,
        by: &Principal,
        id: &ClientId,
        tenant: Option<&TenantId>,
        keys: &[PublicKey],
        certificates: &[CertificateName],
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        if keys.len() > MAX_KEYS {
            return Err(Rejection::Invalid(format!("a client has at most {MAX_KEYS} keys")));
        }
        self.require_tenant(tenant)?;
        self.check_certificates(id, certificates)?;
        let created_at = self.clients.get(id).map_or(self.at, |client| client.created_at);
        let certificates = certificates.to_vec();
        let client = Client { tenant: tenant.cloned(), keys: keys.to_vec(), created_at, certificates };
        self.put_client_record(id, client);
        Ok(Outcome::Done)
    }

    /// Sets the record of a client, and what is kept beside it.
    pub(crate) fn put_client_record(&mut self, id: &ClientId, client: Client) {
        self.index_certificates(id, &client.certificates);
        self.clients.insert(id.clone(), Arc::new(client));
    }

    /// Registers `id` when a token is made for it and it is new; a known client keeps its tenant.
    pub(crate) fn ensure_client(
        &mut self,
        id: &ClientId,
        tenant: Option<&TenantId>,
    ) -> Result<(), Rejection> {
        match self.clients.get(id) {
            Some(known) if tenant.is_some() && known.tenant.as_ref() != tenant => {
                Err(Rejection::TenantMismatch(id.clone()))
            }
            Some(_) => Ok(()),
            None => {
                self.require_tenant(tenant)?;
                let (keys, certificates) = (Vec::new(), Vec::new());
                let client = Client { tenant: tenant.cloned(), keys, created_at: self.at, certificates };
                self.put_client_record(id, client);
                Ok(())
            }
        }
    }

    fn require_tenant(&self, tenant: Option<&TenantId>) -> Result<(), Rejection> {
        match tenant {
            Some(id) if !self.tenants.contains_key(id) => Err(Rejection::TenantNotFound(id.clone())),
            _ => Ok(()),
        }
    }

    /// The client that has shown that it holds one of the keys which are registered for it now.
    pub(crate) fn holder_of(&self, proof: &KeyProof, now: Timestamp) -> Option<Caller> {
        let client = self.client(&proof.client)?;
        let holds = client.keys.iter().any(|key| key.jwk().kid() == proof.kid.as_str());
        if holds && now < proof.expires_at { self.client_as_caller(&proof.client) } else { None }
    }

    /// Somebody who has proven to be this client.
    pub(crate) fn client_as_caller(&self, id: &ClientId) -> Option<Caller> {
        let tenant = self.client(id)?.tenant.clone();
        Some(Caller { role: Role::Client, client: Some(id.clone()), tenant, namespaces: Vec::new() })
    }

    /// The client with this id.
    pub fn client(&self, id: &ClientId) -> Option<&Client> {
        self.clients.get(id).map(|client| &**client)
    }

    /// All clients, by id.
    pub fn clients(&self) -> impl Iterator<Item = (&ClientId, &Client)> {
        self.clients.iter().map(|(id, client)| (id, &**client))
    }
}
