//! Budgets of connects, as this node keeps them: its share of what the cluster gives a client or a tenant in a minute.
//!
//! Nodes do not count together: that would make every connect a question to others. Each gives the whole share at
//! once, then one connect after the other as the minute passes (GCRA). So a client that asks one node alone gets that
//! node's share, and one that asks all of them gets the budget; a node that is down keeps its share until it is
//! removed. What was counted is forgotten with the process, and begins anew when a share changes.

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock, Reference},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use hapi_registry_state::{ClientId, ConnectBudgets, TenantId};
use std::{
    collections::HashMap,
    hash::Hash,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Nothing is owed to whoever has not asked for so long: any share is whole again by then.
const REFILL: Duration = Duration::from_secs(60);

/// So many counts are kept before anyone looks for idle ones.
const FEW: usize = 1_024;

/// What clients and tenants have asked for at this node.
pub(crate) struct Budgets<C: Clock = MonotonicClock> {
    clock: C,
    clients: Counts<ClientId, C>,
    tenants: Counts<TenantId, C>,
}

/// A budget that holds no further connect for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Spent {
    #[error("this client asks for more connects than its budget gives")]
    Client { wait: Duration },
    #[error("the clients of this tenant ask for more connects than its budget gives")]
    Tenant { wait: Duration },
}

impl Spent {
    /// How long until the next connect is given.
    pub(crate) fn wait(&self) -> Duration {
        match self {
            Self::Client { wait } | Self::Tenant { wait } => *wait,
        }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self::new(MonotonicClock)
    }
}

impl<C: Clock + Clone> Budgets<C> {
    fn new(clock: C) -> Self {
        Self { clock, clients: Counts::default(), tenants: Counts::default() }
    }

    /// Counts a connect of `client`, who belongs to `tenant`. Both must be authenticated: a stranger's ids would take
    /// memory, and others' budgets.
    ///
    /// The client's budget comes first, so that one client beyond its own takes nothing from its tenant's others. What
    /// it has spent stays spent when the tenant's budget then refuses: it asked, and giving it back would let all of a
    /// tenant's clients ask without end.
    pub(crate) fn spend(
        &self,
        budgets: ConnectBudgets,
        client: &ClientId,
        tenant: Option<&TenantId>,
    ) -> Result<(), Spent> {
        let share = |budget| share(budget, budgets.nodes);
        if let Some(budget) = budgets.client {
            self.clients.take(client, share(budget), &self.clock).map_err(|wait| Spent::Client { wait })?;
        }
        if let (Some(budget), Some(tenant)) = (budgets.tenant, tenant) {
            self.tenants.take(tenant, share(budget), &self.clock).map_err(|wait| Spent::Tenant { wait })?;
        }
        Ok(())
    }
}

/// One node's part, rounded up: no node gives nothing at all.
fn share(budget: NonZeroU32, nodes: u32) -> NonZeroU32 {
    NonZeroU32::new(budget.get().div_ceil(nodes.max(1))).unwrap_or(NonZeroU32::MIN)
}

/// The counts of all who have asked lately.
struct Counts<K, C: Clock>(Mutex<Kept<K, C>>);

struct Kept<K, C: Clock> {
    counts: HashMap<K, Count<C>>,
    /// With so many, idle ones are dropped before the next is added.
    enough: usize,
}

/// What one has asked for.
struct Count<C: Clock> {
    share: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    last: C::Instant,
}

impl<K, C: Clock> Default for Counts<K, C> {
    fn default() -> Self {
        Self(Mutex::new(Kept { counts: HashMap::new(), enough: FEW }))
    }
}

impl<K: Clone + Eq + Hash, C: Clock + Clone> Counts<K, C> {
    /// Takes one connect out of `share`, or says how long to wait for it.
    fn take(&self, key: &K, share: NonZeroU32, clock: &C) -> Result<(), Duration> {
        // Whatever a thread that panicked was doing, each count is sound.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.now();
        if let Some(count) = kept.counts.get_mut(key).filter(|count| count.share == share) {
            return count.take(now);
        }
        kept.make_room(now);
        let mut count = Count::new(share, clock.clone(), now);
        let taken = count.take(now);
        kept.counts.insert(key.clone(), count);
        taken
    }
}

impl<K: Eq + Hash, C: Clock> Kept<K, C> {
    /// Drops the counts that are as good as new, whenever their number has doubled: so each is looked at now and then,
    /// and no connect pays for all of them.
    fn make_room(&mut self, now: C::Instant) {
        if self.counts.len() < self.enough {
            return;
        }
        self.counts.retain(|_, count| Duration::from(now.duration_since(count.last)) < REFILL);
        self.enough = FEW.max(2 * self.counts.len());
        self.counts.shrink_to(self.enough);
    }
}

impl<C: Clock> Count<C> {
    fn new(share: NonZeroU32, clock: C, now: C::Instant) -> Self {
        let limiter = RateLimiter::direct_with_clock(Quota::per_minute(share), clock);
        Self { share, limiter, last: now }
    }

    fn take(&mut self, now: C::Instant) -> Result<(), Duration> {
        self.last = now;
        self.limiter.check().map_err(|early| early.wait_time_from(now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use governor::clock::FakeRelativeClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn budgets() -> (Budgets<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Budgets::new(clock.clone()), clock)
    }

    /// Budgets of a cluster of three nodes.
    fn of(client: u32, tenant: u32) -> ConnectBudgets {
        ConnectBudgets { client: NonZeroU32::new(client), tenant: NonZeroU32::new(tenant), nodes: 3 }
    }

    fn client(name: &str) -> ClientId {
        name.parse().unwrap()
    }

    fn tenant() -> TenantId {
        "acme".parse().unwrap()
    }

    /// How many connects are given at once, and what is said to the next one.
    fn burst(budgets: &Budgets<FakeRelativeClock>, given: ConnectBudgets, name: &str) -> (usize, Spent) {
        let (client, tenant) = (client(name), tenant());
        let mut count = 0;
        loop {
            match budgets.spend(given, &client, Some(&tenant)) {
                Ok(()) => count += 1,
                Err(spent) => return (count, spent),
            }
        }
    }

    #[test]
    fn a_share_is_rounded_up_and_never_nothing() {
        let share = |budget, nodes| share(NonZeroU32::new(budget).unwrap(), nodes).get();
        assert_eq!((share(30, 3), share(31, 3), share(1, 5)), (10, 11, 1));
        assert_eq!((share(30, 1), share(30, 0), share(u32::MAX, 1)), (30, 30, u32::MAX));
    }

    #[test]
    fn the_share_is_given_at_once_and_then_one_by_one() {
        let (budgets, clock) = budgets();
        assert_eq!(burst(&budgets, of(30, 0), "a"), (10, Spent::Client { wait: SECOND * 6 }));
        clock.advance(SECOND * 5);
        assert_eq!(burst(&budgets, of(30, 0), "a"), (0, Spent::Client { wait: SECOND }));
        clock.advance(SECOND);
        assert_eq!(burst(&budgets, of(30, 0), "a"), (1, Spent::Client { wait: SECOND * 6 }));
        clock.advance(SECOND * 60);
        assert_eq!(burst(&budgets, of(30, 0), "a").0, 10, "a minute later the share is whole");
        clock.advance(SECOND * 600);
        assert_eq!(burst(&budgets, of(30, 0), "a").0, 10, "and never more than that");
    }

    #[test]
    fn asking_in_vain_costs_nothing() {
        let (budgets, clock) = budgets();
        burst(&budgets, of(30, 0), "a");
        for _ in 0..1_000 {
            assert!(budgets.spend(of(30, 0), &client("a"), None).is_err());
        }
        clock.advance(SECOND * 6);
        assert_eq!(budgets.spend(of(30, 0), &client("a"), None), Ok(()));
    }

    #[test]
    fn each_client_has_its_own_budget() {
        let (budgets, _) = budgets();
        assert_eq!(burst(&budgets, of(30, 0), "a").0, 10);
        assert_eq!(burst(&budgets, of(30, 0), "b").0, 10);
    }

    #[test]
    fn the_clients_of_a_tenant_share_its_budget() {
        let (budgets, _) = budgets();
        assert_eq!(burst(&budgets, of(15, 21), "a"), (5, Spent::Client { wait: SECOND * 12 }));
        let (given, spent) = burst(&budgets, of(15, 21), "b");
        assert!(given == 2 && matches!(spent, Spent::Tenant { .. }), "{given}, {spent:?}");
        assert_eq!(budgets.spend(of(15, 21), &client("c"), None), Ok(()), "a client of no tenant");
    }

    #[test]
    fn where_there_is_no_budget_nothing_is_counted() {
        let (budgets, _) = budgets();
        for _ in 0..1_000 {
            assert_eq!(budgets.spend(of(0, 0), &client("a"), Some(&tenant())), Ok(()));
        }
        assert_eq!((kept(&budgets.clients), kept(&budgets.tenants)), (0, 0));
    }

    #[test]
    fn a_changed_share_begins_anew() {
        let (budgets, _) = budgets();
        assert_eq!(burst(&budgets, of(30, 0), "a").0, 10);
        assert_eq!(burst(&budgets, of(6, 0), "a"), (2, Spent::Client { wait: SECOND * 30 }));
        let fewer_nodes = ConnectBudgets { nodes: 2, ..of(6, 0) };
        assert_eq!(burst(&budgets, fewer_nodes, "a").0, 3);
        assert_eq!(kept(&budgets.clients), 1);
    }

    #[test]
    fn small_and_large_budgets_are_kept() {
        let (budgets, clock) = budgets();
        let alone = |budget| ConnectBudgets { nodes: 1, ..of(budget, 0) };
        assert_eq!(burst(&budgets, alone(1), "a"), (1, Spent::Client { wait: SECOND * 60 }));
        clock.advance(SECOND * 60);
        assert_eq!(burst(&budgets, alone(1), "a").0, 1);
        assert_eq!(burst(&budgets, alone(100_000), "b").0, 100_000);
        assert_eq!(budgets.spend(alone(60_000_000), &client("b"), None), Ok(()));
    }

    #[test]
    fn whoever_is_idle_for_a_minute_takes_no_memory() {
        let (budgets, clock) = budgets();
        let ask = |number: usize| budgets.spend(of(30, 0), &client(&format!("c{number}")), None);
        (0..FEW).for_each(|number| ask(number).unwrap());
        clock.advance(SECOND * 30);
        (FEW..2 * FEW).for_each(|number| ask(number).unwrap());
        assert_eq!(kept(&budgets.clients), 2 * FEW, "all of them asked within the last minute");
        clock.advance(SECOND * 30);
        ask(2 * FEW).unwrap();
        assert_eq!(kept(&budgets.clients), FEW + 1, "the first ones are as good as new");
        clock.advance(SECOND * 60);
        (0..100 * FEW).for_each(|number| {
            clock.advance(Duration::from_millis(60));
            ask(number).unwrap();
        });
        assert!(kept(&budgets.clients) <= 2 * FEW, "1000 ask in each minute: {}", kept(&budgets.clients));
    }

    fn kept<K, C: Clock>(counts: &Counts<K, C>) -> usize {
        counts.0.lock().unwrap().counts.len()
    }
}
