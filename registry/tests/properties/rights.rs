//! Who may not, changes nothing but the audit.

use crate::{cases, set, strategy};
use hapi_registry_state::{
    Command, Credential, Entry, Kid, Outcome, Principal, Registry, Rejection, Role, Settings, SigningKey,
    Standing, Subject, snapshot,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_rejected_entry_changes_nothing_but_the_audit(entries in strategy::entries(60)) {
        let mut registry = set();
        for entry in &entries {
            let before = image(&registry);
            let outcome = registry.apply(registry.applied() + 1, entry);
            // A request that changed nothing is remembered under its name all the same.
            let named = entry.key.is_some() && matches!(outcome, Outcome::Unchanged { .. } | Outcome::Moderated(_));
            if !outcome.changed() && !named {
                prop_assert!(image(&registry) == before, "{entry:?} {outcome:?}");
            }
        }
    }

    #[test]
    fn whoever_may_not_is_rejected(entries in strategy::entries(60)) {
        let mut registry = set();
        for entry in entries {
            // What a request was called is judged before what it asks for.
            let entry = &Entry { key: None, ..entry };
            let may = may(&registry, entry);
            let outcome = registry.apply(registry.applied() + 1, entry);
            let denied = matches!(
                outcome,
                Outcome::Rejected(
                    Rejection::Unauthenticated | Rejection::Forbidden(_) | Rejection::NamespaceForbidden(_)
                )
            );
            prop_assert_eq!(denied, !may, "{:?} {:?}", entry, outcome);
        }
    }
}

/// All but index, time and audit: the records between the head and the audit, and what the head says else.
fn image(registry: &Registry) -> (Vec<Vec<u8>>, Settings, bool) {
    let audited = registry.audit_records().count();
    let mut records: Vec<_> = snapshot::records(registry).skip(1).collect();
    records.truncate(records.len() - audited);
    (records, registry.settings().clone(), registry.is_bootstrapped())
}

fn is_suspended(registry: &Registry, by: &Principal) -> bool {
    let Principal::Token(id) = by else { return false };
    let record = registry.moderation(&Subject::Token(id.clone()));
    record.is_some_and(|record| record.standing != Standing::None)
}

/// The table of rights once more, in other words than the registry's.
fn may(registry: &Registry, Entry { at, by, command, .. }: &Entry) -> bool {
    let now = registry.at().max(*at);
    let token = match by {
        Principal::Token(id) => registry.tokens().find(|(other, _)| *other == id).map(|(_, token)| token),
        _ => None,
    };
    let vouched_for = |role| {
        let Principal::Oidc(grant) = by else { return false };
        let provider = registry.identity_providers().find(|(id, _)| **id == grant.provider);
        // The cast's clients that providers speak for are known to all sequences, if the tenant is right.
        let as_client = || registry.authenticate(&Credential::Oidc(grant.clone()), now).is_some();
        grant.role == role
            && now < grant.expires_at
            && provider.is_some_and(|(_, provider)| provider.index == grant.of)
            && (role != Role::Client || as_client())
    };
    let live = |role| {
        vouched_for(role)
            || token.is_some_and(|token| {
                token.role == role
                    && token.revoked_at.is_none()
                    && token.expires_at.is_none_or(|end| now < end)
            }) && !is_suspended(registry, by)
    };
    let publishes = |namespace: hapi_registry_state::Namespace| {
        let covers =
            |globs: &[hapi_registry_state::Glob]| globs.iter().any(|glob| glob.matches(namespace.as_str()));
        match by {
            Principal::Publisher(grant) => {
                let counts =
                    |(kid, key): (&Kid, &SigningKey)| kid == grant.kid() && key.state.as_str() != "revoked";
                registry.keys().any(counts) && now < grant.expires_at() && covers(grant.namespaces())
            }
            Principal::Oidc(grant) => live(Role::Publisher) && covers(&grant.namespaces),
            _ => live(Role::Publisher) && token.is_some_and(|token| covers(&token.namespaces)),
        }
    };
    let node = matches!(by, Principal::Node(_));
    match command {
        Command::Checkpoint => live(Role::Operator) || matches!(by, Principal::System | Principal::Node(_)),
        Command::SessionOpen { .. }
        | Command::Sealed { .. }
        | Command::BeginIncarnation { .. }
        | Command::WebhookDelivered { .. }
        | Command::NoteHealth(_)
        | Command::Lift { .. } => *by == Principal::System,
        Command::DrainNode(_) | Command::LeaveRoster(_) | Command::Mirror { .. } => {
            live(Role::Operator) || *by == Principal::System
        }
        Command::Bootstrap(token) => *by == Principal::ClusterSecret && token.role == Role::Operator,
        Command::Publish(document) | Command::Edit(document) => publishes(document.name().namespace()),
        Command::SetStatus { name, .. } => publishes(name.namespace()),
        Command::Moderate { .. } | Command::Order(_) | Command::ConfirmAct(_) | Command::RejectAct { .. } => {
            live(Role::Moderator)
        }
        Command::PublishKey(_)
        | Command::ActivateKey(_)
        | Command::JoinRoster { .. }
        | Command::NoteTokenUses(_) => node,
        Command::RetireKey(_) | Command::RemoveKey(_) | Command::RevokeKey { .. } => {
            node || live(Role::Operator)
        }
        _ => live(Role::Operator),
    }
}
