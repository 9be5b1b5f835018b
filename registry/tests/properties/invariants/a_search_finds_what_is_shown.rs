use crate::cast::{TOKEN_POOL, names};
use hapi_registry_state::{Caller, Credential, ListQuery, Listed, Position, Registry, Viewer};

/// Whoever sees a server finds it by its name, and nobody else; by its title exactly while its latest version has it.
/// Pages of any size together are the same answer.
pub(crate) fn check(registry: &Registry) {
    let credentials = TOKEN_POOL.iter().map(|(_, presented)| Credential::Token(presented.clone()));
    let callers: Vec<Caller> =
        credentials.filter_map(|credential| registry.authenticate(&credential, registry.at())).collect();
    for viewer in callers.iter().map(Viewer::Caller).chain([Viewer::Anonymous]) {
        let shown = paged(registry, None, viewer, 100);
        for name in names() {
            let found = paged(registry, Some(name.as_str()), viewer, 100);
            let of = |list: &[Listed]| -> Vec<Position> {
                let its = list.iter().filter(|listed| *listed.published.document.name() == name);
                its.map(|listed| Position { rank: None, ..listed.position() }).collect()
            };
            assert_eq!(of(&found), of(&shown), "{viewer:?}: {name}");
        }
        let titled: Vec<_> = paged(registry, Some("GALE"), viewer, 100);
        for listed in &titled {
            let server = registry.server(listed.published.document.name()).expect("it is listed");
            let latest = server.latest.as_ref().expect("what is shown is not deleted");
            assert_eq!(server.versions[latest].document.open().title(), Some("Gale"));
        }
        for limit in [1, 2, 3] {
            let positions = |list: Vec<Listed>| list.iter().map(Listed::position).collect::<Vec<_>>();
            let paged = paged(registry, Some("GALE"), viewer, limit);
            assert_eq!(positions(paged), positions(titled.clone()), "{viewer:?} {limit}");
        }
    }
}

fn paged(registry: &Registry, search: Option<&str>, viewer: Viewer<'_>, limit: usize) -> Vec<Listed> {
    let mut query = ListQuery { limit, search: search.map(str::to_owned), ..ListQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = registry.list(&query, viewer);
        seen.extend(page.items);
        assert!(seen.len() <= 1_000, "the pages never end");
        match page.next {
            Some(next) => query.after = Some(next),
            None => return seen,
        }
    }
}
