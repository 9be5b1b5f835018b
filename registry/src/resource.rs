//! From a resource, as OAuth names it (RFC 8707), to the server that it is.
//!
//! A resource is an endpoint, and an endpoint has one owner at most: see the claims. So the client says nothing else
//! but the URL, and what it wants to reach is found here, values for placeholders included. A template that could
//! become the URL of another server finds nothing: the owner is asked for first, and only its versions are looked at.

use crate::{Endpoint, Published, Registry, Server, ServerRef, Status, TenantId, Transport, Version};
use std::{cmp::Ordering, collections::BTreeMap};

/// The one way to ask for a resource by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The server that owns the URL, and one of its versions that is reached there.
    pub server: ServerRef,
    /// The values with which the version's template becomes the URL.
    pub variables: BTreeMap<String, String>,
}

impl Registry {
    /// What is reached at `endpoint`, if clients of `tenant` may know. Where several versions are, the one that a
    /// connect without a version means is preferred, then the latest that is not deleted.
    pub fn resource(&self, endpoint: &Endpoint, tenant: Option<&TenantId>) -> Option<Resource> {
        let name = self.remotes.owner(endpoint)?;
        let tenant = tenant.and_then(|id| self.tenant(id));
        let server = self.server(name).filter(|_| self.sees(tenant, name))?;
        let preferred = server.default_version().and_then(|version| reached(server, version, endpoint));
        let (version, variables) = preferred.or_else(|| latest_reached(server, endpoint))?;
        let server = ServerRef { name: name.clone(), version: Some(version.clone()) };
        Some(Resource { server, variables })
    }
}

type Reached<'a> = (&'a Version, BTreeMap<String, String>);

/// The version, if it is the one that a connect to `endpoint` would reach.
fn reached<'a>(server: &'a Server, version: &Version, endpoint: &Endpoint) -> Option<Reached<'a>> {
    let published = server.versions.get(version)?;
    Some((published.document.version(), values(published, endpoint)?))
}

fn latest_reached<'a>(server: &'a Server, endpoint: &Endpoint) -> Option<Reached<'a>> {
    let versions = server.versions.iter();
    let reached =
        versions.filter_map(|(version, published)| Some((version, published, values(published, endpoint)?)));
    let latest = reached.max_by(|(a, x, _), (b, y, _)| rank(a, x, b, y))?;
    Some((latest.0, latest.2))
}

/// What is not deleted comes first, then the order of versions.
fn rank(a: &Version, x: &Published, b: &Version, y: &Published) -> Ordering {
    let is_usable = |published: &Published| published.status != Status::Deleted;
    let later = || Version::compare((a, x.published_at.0), (b, y.published_at.0));
    is_usable(x).cmp(&is_usable(y)).then_with(later)
}

/// The values with which the version's remote becomes `endpoint`. A connect takes the first remote of this
/// transport; another one is not reached by name, and so is none.
fn values(published: &Published, endpoint: &Endpoint) -> Option<BTreeMap<String, String>> {
    let remotes = published.document.remotes();
    let remote = remotes.iter().find(|remote| remote.transport == Transport::StreamableHttp)?;
    let values = remote.url.values(endpoint, &remote.variables)?;
    // The way back is the judge: whatever was read out of the URL must make just this URL again.
    let again = remote.url.expand(&values, &remote.variables).ok()?;
    (again == *endpoint).then_some(values)
}
