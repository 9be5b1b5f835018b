//! Budgets: how many connects a client and a tenant may ask for in a minute, over the whole cluster.
//!
//! The state says only how many. What was asked for is counted by each node on its own, since counting together would
//! cost a round with a majority for each connect: a node holds itself to its share.

use crate::{Registry, Rejection, Tenant, TenantId};
use std::{num::NonZeroU32, sync::Arc};

/// The largest budget: a million connects in a second. Whoever wants more wants no budget, which is 0.
const MAX_CONNECTS_PER_MINUTE: u32 = 60_000_000;

/// What holds for a client of some tenant; `None` is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectBudgets {
    /// Connects a minute of the client, over the whole cluster.
    pub client: Option<NonZeroU32>,
    /// Connects a minute of all clients of its tenant together, over the whole cluster.
    pub tenant: Option<NonZeroU32>,
    /// How many nodes these are shared among: those that may issue, running or not.
    pub nodes: u32,
}

/// Refuses a number that is no budget; `name` is that of the field.
pub(crate) fn check(name: &str, connects_per_minute: u32) -> Result<(), Rejection> {
    if connects_per_minute <= MAX_CONNECTS_PER_MINUTE {
        return Ok(());
    }
    Err(Rejection::Invalid(format!(
        "{name} is at most {MAX_CONNECTS_PER_MINUTE}, got {connects_per_minute}; 0 sets no budget"
    )))
}

impl Registry {
    /// Whether there is any budget. Each connect asks this, so that most clusters pay no more for budgets.
    pub fn has_connect_budgets(&self) -> bool {
        let settings = &self.settings;
        self.tenants_with_budget > 0
            || (settings.client_connects_per_minute | settings.tenant_connects_per_minute) != 0
    }

    /// The budgets of a client that belongs to `tenant`.
    pub fn connect_budgets(&self, tenant: Option<&TenantId>) -> ConnectBudgets {
        let settings = &self.settings;
        let own = tenant.and_then(|id| self.tenant(id)?.connects_per_minute);
        let nodes = self.roster().filter(|(node, _)| self.is_active_member(*node)).count();
        ConnectBudgets {
            client: NonZeroU32::new(settings.client_connects_per_minute),
            tenant: tenant.and_then(|_| NonZeroU32::new(own.unwrap_or(settings.tenant_connects_per_minute))),
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
        }
    }

    /// Sets a tenant's policy, and counts the tenants that have a budget of their own.
    pub(crate) fn restore_tenant(&mut self, id: TenantId, tenant: Arc<Tenant>) {
        self.tenants_with_budget += usize::from(tenant.has_own_budget());
        if let Some(former) = self.tenants.insert(id, tenant) {
            self.tenants_with_budget -= usize::from(former.has_own_budget());
        }
    }
}

impl Tenant {
    /// Whether it has a budget whatever the cluster's settings are.
    pub(crate) fn has_own_budget(&self) -> bool {
        self.connects_per_minute.is_some_and(|connects| connects > 0)
    }
}
