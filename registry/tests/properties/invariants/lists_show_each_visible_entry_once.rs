use crate::cast::{TOKEN_POOL, names};
use hapi_registry_state::{
    Caller, Credential, ListQuery, Namespace, Position, Registry, Role, Standing, Status, Subject, Viewer,
};

/// Pages of any size together are the same list, in order, without a double; and it is all that the viewer may
/// see and nothing else.
pub(crate) fn check(registry: &Registry) {
    let credentials = TOKEN_POOL.iter().map(|(_, presented)| Credential::Token(presented.clone()));
    let callers: Vec<Caller> =
        credentials.filter_map(|credential| registry.authenticate(&credential, registry.at())).collect();
    for viewer in callers.iter().map(Some).chain([None]) {
        for include_deleted in [false, true] {
            let expected = expected(registry, viewer, include_deleted);
            for limit in [1, 2, 3, 100] {
                assert_eq!(paged(registry, viewer, include_deleted, limit), expected, "{viewer:?} {limit}");
            }
        }
    }
}

fn paged(registry: &Registry, caller: Option<&Caller>, include_deleted: bool, limit: usize) -> Vec<Position> {
    let mut query = ListQuery { limit, include_deleted, ..ListQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = registry.list(&query, caller.map_or(Viewer::Anonymous, Viewer::Caller));
        assert!(page.items.len() <= limit);
        assert!(seen.len() <= 1_000, "the pages never end");
        seen.extend(page.items.iter().map(|listed| listed.position()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return seen,
        }
    }
}

fn expected(registry: &Registry, caller: Option<&Caller>, include_deleted: bool) -> Vec<Position> {
    let mut positions = Vec::new();
    for name in names().filter(|name| sees(registry, caller, &name.namespace())) {
        let Some(server) = registry.server(&name) else { continue };
        for (version, published) in server.versions.iter() {
            let subjects = [
                Subject::Namespace(name.namespace()),
                Subject::Server(name.clone()),
                Subject::Version(name.clone(), version.clone()),
            ];
            let standings = subjects.iter().filter_map(|subject| registry.moderation(subject));
            let worst = standings.map(|record| record.standing).max().unwrap_or_default();
            let hidden = worst == Standing::Quarantined && !governs(caller);
            let deleted = published.status == Status::Deleted || worst != Standing::None;
            if !hidden && (include_deleted || !deleted) {
                positions.push(Position { rank: None, name: name.clone(), version: version.clone() });
            }
        }
    }
    positions
}

fn governs(caller: Option<&Caller>) -> bool {
    caller.is_some_and(|caller| matches!(caller.role, Role::Moderator | Role::Auditor | Role::Operator))
}

fn sees(registry: &Registry, caller: Option<&Caller>, namespace: &Namespace) -> bool {
    let tenant = caller.and_then(|caller| registry.tenant(caller.tenant.as_ref()?));
    let publishes =
        caller.is_some_and(|caller| caller.namespaces.iter().any(|glob| glob.matches(namespace.as_str())));
    !super::is_private(registry, namespace)
        || governs(caller)
        || publishes
        || tenant.is_some_and(|tenant| tenant.private_namespaces.contains(namespace))
}
