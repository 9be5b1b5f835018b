use super::Step;
use hapi_registry_state::{NewEntries, Standing, Subject, Version};

/// While new entries need an approval, whatever comes in by whatever way is in quarantine, which only a moderator or an
/// end that a moderator has set lifts, as another invariant says. What was there before stays as it was.
pub(crate) fn check(Step { before, after, .. }: &Step<'_>) {
    for name in crate::cast::names() {
        let Some(server) = after.server(&name) else { continue };
        let known = before.server(&name);
        let is_new = |version: &Version| known.is_none_or(|known| !known.versions.contains_key(version));
        for version in server.versions.keys().filter(|version| is_new(version)) {
            let subject = Subject::Version(name.clone(), version.clone());
            let standing = after.moderation(&subject).map(|record| record.standing);
            let expected = match before.moderation_rules().new_entries {
                NewEntries::Approval => Some(Standing::Quarantined),
                NewEntries::Open => None,
            };
            assert_eq!(standing, expected, "{subject}");
        }
    }
}
