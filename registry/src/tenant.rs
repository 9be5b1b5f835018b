//! Tenants: which servers a company's clients may reach. Lists of globs, no expressions.

use crate::{
    Glob, Namespace, Outcome, Principal, Registry, Rejection, Right, ServerName, TenantId, connect_budget,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most entries of each list: a tenant is one record of a snapshot, which has a bound.
const MAX_LISTED: usize = 1_000;

/// The policy of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tenant {
    /// Server names that may be reached; absent means all.
    pub allow: Option<Vec<Glob>>,
    /// Server names that may not be reached; wins over `allow`.
    pub block: Vec<Glob>,
    /// Only verified servers may be reached, whatever the cluster's mode.
    pub require_verified: bool,
    /// Private namespaces that this tenant's clients see.
    pub private_namespaces: Vec<Namespace>,
    /// Descriptors for this tenant's clients take a round with a majority: see
    /// [`Settings::strict`](crate::Settings::strict).
    pub strict: bool,
    /// How many connects all its clients together may ask for in a minute, over the whole cluster; 0 is any number,
    /// absent is what [`Settings::tenant_connects_per_minute`](crate::Settings::tenant_connects_per_minute) says.
    /// A rate and no rule: a change of it alone forbids no descriptor.
    pub connects_per_minute: Option<u32>,
}

impl Tenant {
    /// Whether the lists let clients of this tenant reach `server`.
    pub fn permits(&self, server: &ServerName) -> bool {
        let listed = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(server.as_str()));
        !listed(&self.block) && self.allow.as_deref().is_none_or(listed)
    }
}

impl Registry {
    pub(crate) fn put_tenant(
        &mut self,
        by: &Principal,
        id: &TenantId,
        tenant: &Tenant,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        let allowed = tenant.allow.as_ref().map_or(0, Vec::len);
        if allowed.max(tenant.block.len()).max(tenant.private_namespaces.len()) > MAX_LISTED {
            return Err(Rejection::Invalid(format!(
                "each list of a tenant has at most {MAX_LISTED} entries"
            )));
        }
        connect_budget::check("connects_per_minute", tenant.connects_per_minute.unwrap_or(0))?;
        self.restore_tenant(id.clone(), Arc::new(tenant.clone()));
        Ok(Outcome::Done)
    }

    /// The tenant with this id.
    pub fn tenant(&self, id: &TenantId) -> Option<&Tenant> {
        self.tenants.get(id).map(|tenant| &**tenant)
    }

    /// All tenants, by id.
    pub fn tenants(&self) -> impl Iterator<Item = (&TenantId, &Tenant)> {
        self.tenants.iter().map(|(id, tenant)| (id, &**tenant))
    }
}
