use hapi_registry_state::{Decision, Registry, Standing, Subject};

/// Nothing about a yes is revoked: neither who asked nor what was asked for.
pub(crate) fn check(registry: &Registry, yes: &Decision) {
    let mut subjects = vec![
        Subject::Client(yes.client.clone()),
        Subject::Namespace(yes.server.namespace()),
        Subject::Server(yes.server.clone()),
        Subject::Version(yes.server.clone(), yes.version.clone()),
    ];
    subjects.extend(yes.tenant.clone().map(Subject::Tenant));
    for subject in subjects {
        let standing = registry.moderation(&subject).map_or(Standing::None, |record| record.standing);
        assert_eq!(standing, Standing::None, "{subject}");
    }
}
