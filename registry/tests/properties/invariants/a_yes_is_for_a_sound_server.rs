use crate::connects::Connect;
use hapi_registry_state::{Decision, Governed, Registry, Status, Subject, Version};

/// A yes is for the server that was asked for, in the version that was asked for or else the best one; that
/// version is not deleted, and verified where that is demanded.
pub(crate) fn check(registry: &Registry, connect: &Connect, yes: &Decision) {
    let wanted = &connect.request.server;
    assert_eq!(yes.server, wanted.name);
    let server = registry.server(&yes.server).expect("the server is there");
    let published = server.versions.get(&yes.version).expect("the version is there");
    assert_ne!(published.status, Status::Deleted);
    match &wanted.version {
        Some(version) => assert_eq!(yes.version, *version),
        None => assert_eq!(Some(&yes.version), best(registry, server)),
    }
    assert_eq!(yes.verified, verified(registry, yes));
    assert!(yes.verified || registry.settings().governed == Governed::All);
}

/// The highest stable version that is neither deleted nor in review, else the latest.
fn best<'a>(registry: &Registry, server: &'a hapi_registry_state::Server) -> Option<&'a Version> {
    let shown = server.versions.iter().filter(|(version, published)| {
        published.status != Status::Deleted && !super::in_review(registry, published.document.name(), version)
    });
    let stable = shown.filter(|(version, _)| version.is_stable());
    let stable = stable.map(|(version, published)| (version, published.published_at.0));
    stable.max_by(|a, b| Version::compare(*a, *b)).map(|(version, _)| version).or(server.latest.as_ref())
}

/// The narrowest record that says anything decides.
fn verified(registry: &Registry, yes: &Decision) -> bool {
    let said = |subject| registry.moderation(&subject).and_then(|record| record.verified);
    said(Subject::Version(yes.server.clone(), yes.version.clone()))
        .or_else(|| said(Subject::Server(yes.server.clone())))
        .or_else(|| said(Subject::Namespace(yes.server.namespace())))
        .unwrap_or(false)
}
