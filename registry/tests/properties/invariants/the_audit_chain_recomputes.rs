use super::Step;
use hapi_registry_state::{Command, EMPTY_CHAIN, Principal, Registry};

/// An entry leaves one record; what the cluster does to keep going leaves none.
pub(crate) fn grows(Step { before, entry, after }: &Step<'_>) {
    let own = match &entry.command {
        Command::Checkpoint
        | Command::SessionOpen { .. }
        | Command::Sealed { .. }
        | Command::WebhookDelivered { .. } => true,
        Command::Mirror { entries, .. } => entries.is_empty() && entry.by == Principal::System,
        Command::NoteTokenUses(_) => matches!(entry.by, Principal::Node(_)),
        Command::NoteHealth(_) => entry.by == Principal::System && !before.rehearse(entry).0.changed(),
        _ => false,
    };
    let expected = usize::from(!own);
    assert_eq!(after.audit_records().count(), before.audit_records().count() + expected);
    let newest = after.audit_records().last().expect("the prelude left records");
    if expected == 1 {
        assert_eq!(newest.index, after.applied());
        assert_eq!(newest.chain(&before.audit_head()), after.audit_head());
    }
}

/// The head is the hash over every record since the first.
pub(crate) fn check(registry: &Registry) {
    let head = registry.audit_records().fold(EMPTY_CHAIN, |head, record| record.chain(&head));
    assert_eq!(head, registry.audit_head());
    let indexes: Vec<_> = registry.audit_records().map(|record| record.index).collect();
    assert!(indexes.is_sorted_by(|a, b| a < b), "{indexes:?}");
    assert_eq!(registry.audit_length(), indexes.len());
    for after in indexes.iter().copied().chain([0, u64::MAX]) {
        let behind: Vec<_> = registry.audit_chain_after(after).map(|chained| chained.record.index).collect();
        assert!(
            behind.iter().eq(indexes.iter().filter(|index| **index > after)),
            "behind {after}: {behind:?}"
        );
        let before = registry.audit_hash_at(after);
        let first = registry.audit_chain_after(after).next();
        assert!(first.is_none_or(|first| first.record.chain(&before) == first.hash), "behind {after}");
    }
}
