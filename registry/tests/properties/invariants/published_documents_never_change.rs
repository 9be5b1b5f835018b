use super::Step;

/// Whatever an entry does, every version that was there is there, byte for byte, and as old as it was.
pub(crate) fn check(step: &Step<'_>) {
    for name in crate::cast::names() {
        let Some(before) = step.before.server(&name) else { continue };
        let after = step.after.server(&name).expect("a server never goes away");
        for (version, old) in &before.versions {
            let new = after.versions.get(version).expect("a version never goes away");
            assert_eq!(new.document.raw(), old.document.raw(), "{name} {version}");
            assert_eq!(new.published_at, old.published_at, "{name} {version}");
        }
    }
}
