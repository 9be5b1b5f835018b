//! The invariants, one file each. Cheap ones are checked after every entry, the others at the end of a
//! sequence: since sequences have any length, that is after any entry too.

#[path = "invariants/a_budget_is_known_exactly_while_there_is_one.rs"]
mod a_budget_is_known_exactly_while_there_is_one;
#[path = "invariants/a_new_version_waits_for_approval.rs"]
mod a_new_version_waits_for_approval;
#[path = "invariants/a_ranking_holds_while_it_says_so.rs"]
mod a_ranking_holds_while_it_says_so;
#[path = "invariants/a_resource_leads_to_its_owner_alone.rs"]
mod a_resource_leads_to_its_owner_alone;
#[path = "invariants/a_revoked_subject_never_connects.rs"]
mod a_revoked_subject_never_connects;
#[path = "invariants/a_search_finds_what_is_shown.rs"]
mod a_search_finds_what_is_shown;
#[path = "invariants/a_yes_has_a_valid_credential.rs"]
mod a_yes_has_a_valid_credential;
#[path = "invariants/a_yes_is_for_a_sound_server.rs"]
mod a_yes_is_for_a_sound_server;
#[path = "invariants/a_yes_is_signed_by_an_active_key_of_a_member.rs"]
mod a_yes_is_signed_by_an_active_key_of_a_member;
#[path = "invariants/a_yes_keeps_the_tenants_policy.rs"]
mod a_yes_keeps_the_tenants_policy;
#[path = "invariants/absent_and_invisible_answer_alike.rs"]
mod absent_and_invisible_answer_alike;
#[path = "invariants/every_client_is_known_and_so_is_its_tenant.rs"]
mod every_client_is_known_and_so_is_its_tenant;
#[path = "invariants/every_endpoint_has_one_owner.rs"]
mod every_endpoint_has_one_owner;
#[path = "invariants/keys_are_few_and_one_signs.rs"]
mod keys_are_few_and_one_signs;
#[path = "invariants/latest_is_the_highest_that_is_not_deleted.rs"]
mod latest_is_the_highest_that_is_not_deleted;
#[path = "invariants/lists_show_each_visible_entry_once.rs"]
mod lists_show_each_visible_entry_once;
#[path = "invariants/one_person_is_not_two.rs"]
mod one_person_is_not_two;
#[path = "invariants/only_what_is_asked_is_down.rs"]
mod only_what_is_asked_is_down;
#[path = "invariants/revoked_stays_revoked.rs"]
mod revoked_stays_revoked;
#[path = "invariants/the_audit_chain_recomputes.rs"]
mod the_audit_chain_recomputes;
#[path = "invariants/time_never_goes_back.rs"]
mod time_never_goes_back;
#[path = "invariants/what_an_entry_forbids_is_below_a_floor.rs"]
mod what_an_entry_forbids_is_below_a_floor;
#[path = "invariants/what_is_denied_is_lifted_by_a_moderator_or_at_its_end.rs"]
mod what_is_denied_is_lifted_by_a_moderator_or_at_its_end;
#[path = "invariants/what_was_granted_is_refused_after_a_denial_only.rs"]
mod what_was_granted_is_refused_after_a_denial_only;
#[path = "invariants/what_was_published_is_changed_by_editing_alone.rs"]
mod what_was_published_is_changed_by_editing_alone;

use crate::{cases, connects, set, strategy};
use hapi_registry_state::{Entry, Namespace, Registry, ServerName, Standing, Subject, Version};
use proptest::prelude::*;

fn is_private(registry: &Registry, namespace: &Namespace) -> bool {
    registry.namespaces().any(|(other, record)| other == namespace && record.private)
}

/// Whether a version is in quarantine by a record of its own.
fn in_review(registry: &Registry, name: &ServerName, version: &Version) -> bool {
    let record = registry.moderation(&Subject::Version(name.clone(), version.clone()));
    record.is_some_and(|record| record.standing == Standing::Quarantined)
}

/// What one entry did.
pub(crate) struct Step<'a> {
    pub(crate) before: &'a Registry,
    pub(crate) entry: &'a Entry,
    pub(crate) after: &'a Registry,
}

fn after_every_entry(step: &Step<'_>) {
    what_was_published_is_changed_by_editing_alone::check(step);
    revoked_stays_revoked::check(step);
    time_never_goes_back::check(step);
    the_audit_chain_recomputes::grows(step);
    keys_are_few_and_one_signs::check(step.after);
    latest_is_the_highest_that_is_not_deleted::check(step.after);
    every_client_is_known_and_so_is_its_tenant::check(step.after);
    a_budget_is_known_exactly_while_there_is_one::check(step.after);
    a_ranking_holds_while_it_says_so::check(step);
    a_new_version_waits_for_approval::check(step);
    one_person_is_not_two::check(step);
    only_what_is_asked_is_down::check(step);
    what_is_denied_is_lifted_by_a_moderator_or_at_its_end::check(step);
}

fn at_the_end(registry: &Registry) {
    the_audit_chain_recomputes::check(registry);
    what_is_denied_is_lifted_by_a_moderator_or_at_its_end::at_the_end(registry);
    lists_show_each_visible_entry_once::check(registry);
    a_search_finds_what_is_shown::check(registry);
    let connects = connects::all(registry);
    absent_and_invisible_answer_alike::check(registry, &connects);
    every_endpoint_has_one_owner::check(registry, &connects);
    only_what_is_asked_is_down::at_the_end(registry, &connects);
    for connect in &connects {
        if let Ok(yes) = &connect.decision {
            a_resource_leads_to_its_owner_alone::check(registry, connect, yes);
            a_revoked_subject_never_connects::check(registry, yes);
            a_yes_has_a_valid_credential::check(registry, connect, yes);
            a_yes_is_for_a_sound_server::check(registry, connect, yes);
            a_yes_is_signed_by_an_active_key_of_a_member::check(registry, connect);
            a_yes_keeps_the_tenants_policy::check(registry, yes);
        }
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn every_invariant_holds_after_any_sequence(entries in strategy::entries(60)) {
        let mut registry = set();
        for entry in &entries {
            let before = registry.clone();
            registry.apply(before.applied() + 1, entry);
            after_every_entry(&Step { before: &before, entry, after: &registry });
        }
        at_the_end(&registry);
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn whatever_turns_a_yes_into_a_no_is_deny_type(
        before in strategy::entries(40),
        after in strategy::entries(6),
    ) {
        let mut registry = set();
        crate::apply(&mut registry, &before);
        for entry in &after {
            let before = registry.clone();
            registry.apply(before.applied() + 1, entry);
            let step = Step { before: &before, entry, after: &registry };
            what_was_granted_is_refused_after_a_denial_only::check(&step);
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn whatever_turns_a_yes_into_a_no_kills_what_the_yes_became(
        before in strategy::entries(12),
        after in strategy::denials(10),
    ) {
        let mut registry = set();
        crate::apply(&mut registry, &crate::cast::stock());
        crate::apply(&mut registry, &before);
        for entry in &after {
            let before = registry.clone();
            registry.apply(before.applied() + 1, entry);
            let step = Step { before: &before, entry, after: &registry };
            what_an_entry_forbids_is_below_a_floor::check(&step);
        }
    }
}

#[test]
fn there_is_something_to_take_away() {
    let mut registry = set();
    let outcomes = crate::apply(&mut registry, &crate::cast::stock());
    assert!(outcomes.iter().all(|outcome| *outcome == hapi_registry_state::Outcome::Done), "{outcomes:?}");
    let granted = connects::all(&registry).into_iter().filter_map(|connect| connect.decision.ok());
    let servers: std::collections::BTreeSet<_> = granted.map(|granted| granted.server).collect();
    assert_eq!(servers.len(), crate::cast::NAMES.len());
}

/// The invariants say what a yes is never. That would hold too if there never were one.
#[test]
fn the_prelude_leads_to_a_yes() {
    let mut registry = set();
    let by = hapi_registry_state::Principal::Token(crate::cast::token(4).id.clone());
    let command = hapi_registry_state::Command::Publish(crate::cast::DOCUMENTS[0].clone());
    registry.apply(registry.applied() + 1, &Entry::new(crate::cast::BEGIN, by, command));
    assert!(connects::all(&registry).iter().any(|connect| connect.decision.is_ok()));
}
