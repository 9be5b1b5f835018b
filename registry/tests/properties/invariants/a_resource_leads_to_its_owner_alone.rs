use crate::connects::Connect;
use hapi_registry_state::{ConnectRequest, Decision, Registry, Resource};

/// Whatever a client gets a descriptor for, it may also name by its URL alone, and is led to the same server, with
/// values that lead to the same URL: never to another server's, whatever that one's templates could become.
pub(crate) fn check(registry: &Registry, connect: &Connect, yes: &Decision) {
    let resource = registry.resource(&yes.endpoint, yes.tenant.as_ref());
    let Some(Resource { server, variables }) = resource else { panic!("{yes:?} is nobody's") };
    assert_eq!(server.name, yes.server);
    let request = ConnectRequest { server, variables, ..connect.request.clone() };
    if let Ok(again) = registry.decide(connect.now, &connect.credential, &request, &connect.issuer) {
        assert_eq!((&again.server, &again.endpoint), (&yes.server, &yes.endpoint));
    }
}
