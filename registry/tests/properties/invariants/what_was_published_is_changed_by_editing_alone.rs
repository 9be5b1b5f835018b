use super::Step;
use hapi_registry_state::Command;

/// Whatever an entry does, every version that was there is there, connects as it did, and is as old as it was; and byte
/// for byte the same, unless just that one was edited.
pub(crate) fn check(step: &Step<'_>) {
    let edited = match &step.entry.command {
        Command::Edit(document) => Some((document.name(), document.version())),
        _ => None,
    };
    for name in crate::cast::names() {
        let Some(before) = step.before.server(&name) else { continue };
        let after = step.after.server(&name).expect("a server never goes away");
        for (version, old) in before.versions.iter() {
            let new = after.versions.get(version).expect("a version never goes away");
            assert_eq!(new.document.immutable_digest(), old.document.immutable_digest(), "{name} {version}");
            assert_eq!(new.document.remotes(), old.document.remotes(), "{name} {version}");
            assert_eq!(new.document.open().connect(), old.document.open().connect(), "{name} {version}");
            assert_eq!(new.published_at, old.published_at, "{name} {version}");
            if edited != Some((&name, version)) {
                assert_eq!(new.document.raw(), old.document.raw(), "{name} {version}");
            }
        }
    }
}
