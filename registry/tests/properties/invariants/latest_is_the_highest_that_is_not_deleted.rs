use hapi_registry_state::{Registry, Status, Version};

/// No version that is neither deleted nor in review is later than the one that `latest` means.
pub(crate) fn check(registry: &Registry) {
    for server in crate::cast::names().filter_map(|name| registry.server(&name).cloned()) {
        let shown = server.versions.iter().filter(|(version, published)| {
            published.status != Status::Deleted
                && !super::in_review(registry, published.document.name(), version)
        });
        let dated: Vec<_> = shown.map(|(version, published)| (version, published.published_at.0)).collect();
        match &server.latest {
            None => assert!(dated.is_empty(), "{dated:?}"),
            Some(latest) => {
                let own =
                    dated.iter().find(|(version, _)| *version == latest).expect("latest is not deleted");
                assert!(
                    dated.iter().all(|other| Version::compare(*other, *own).is_le()),
                    "{latest} of {dated:?}"
                );
            }
        }
    }
}
