//! Clients: who may ask for descriptors.

use crate::{
    Caller, ClientId, KeyProof, Outcome, Principal, PublicKey, Registry, Rejection, Right, Role, TenantId,
    Timestamp,
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
}

impl Registry {
    pub(crate) fn put_client(
        &mut self,
        by: &Principal,
        id: &ClientId,
        tenant: Option<&TenantId>,
        keys: &[PublicKey],
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        if keys.len() > MAX_KEYS {
            return Err(Rejection::Invalid(format!("a client has at most {MAX_KEYS} keys")));
        }
        self.require_tenant(tenant)?;
        let created_at = self.clients.get(id).map_or(self.at, |client| client.created_at);
        let client = Client { tenant: tenant.cloned(), keys: keys.to_vec(), created_at };
        self.clients.insert(id.clone(), Arc::new(client));
        Ok(Outcome::Done)
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
                let client = Client { tenant: tenant.cloned(), keys: Vec::new(), created_at: self.at };
                self.clients.insert(id.clone(), Arc::new(client));
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
        (holds && now < proof.expires_at).then(|| Caller {
            role: Role::Client,
            client: Some(proof.client.clone()),
            tenant: client.tenant.clone(),
            namespaces: Vec::new(),
        })
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
