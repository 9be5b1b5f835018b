use super::Step;

/// Neither the instant nor the index of a registry goes back, and no entry is later than its registry.
pub(crate) fn check(Step { before, entry, after }: &Step<'_>) {
    assert!(after.at() >= before.at());
    assert!(after.at() >= entry.at);
    assert!(after.applied() > before.applied());
}
