use hapi_registry_state::Registry;

/// The largest number that is taken.
const MOST: u32 = 60_000_000;

/// Connects ask whether there is any budget before they look for theirs: that answer is kept at hand, and must be what
/// counting anew would give. No number is larger than what is taken.
pub(crate) fn check(registry: &Registry) {
    let settings = registry.settings();
    let own = registry.tenants().filter_map(|(_, tenant)| tenant.connects_per_minute);
    let numbers = [settings.client_connects_per_minute, settings.tenant_connects_per_minute];
    let numbers: Vec<u32> = numbers.into_iter().chain(own).collect();
    assert_eq!(registry.has_connect_budgets(), numbers.iter().any(|number| *number > 0), "{numbers:?}");
    assert!(numbers.iter().all(|number| *number <= MOST), "{numbers:?}");
}
