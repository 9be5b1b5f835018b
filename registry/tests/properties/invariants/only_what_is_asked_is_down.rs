//! A server is down only where it is asked, and only behind the gate; and a yes leads to no such endpoint.

use crate::connects::Connect;
use hapi_registry_state::{Command, Refusal, Registry};

pub(crate) fn check(step: &super::Step<'_>) {
    for (name, down) in step.after.servers_down() {
        assert!(step.after.health_gate().covers(name), "{name} is not behind the gate");
        let server = step.after.server(name).expect("it is in the catalog");
        let mut remotes = server.versions.values().flat_map(|published| published.document.remotes());
        assert!(remotes.any(|remote| remote.url.literal().as_ref() == Some(&down.endpoint)));
        if step.before.down(name) != Some(down) {
            assert!(matches!(step.entry.command, Command::NoteHealth(_)));
            assert_eq!((down.index, down.since), (step.after.applied(), step.after.at()));
            assert_eq!(step.after.probed(name).as_ref(), Some(&down.endpoint));
        }
    }
}

pub(crate) fn at_the_end(registry: &Registry, connects: &[Connect]) {
    for connect in connects {
        let down = registry.down(&connect.request.server.name);
        match &connect.decision {
            Ok(yes) => assert!(down.is_none_or(|down| down.endpoint != yes.endpoint)),
            Err(Refusal::ServerUnavailable { since, .. }) => {
                assert_eq!(down.map(|down| down.since), Some(*since));
            }
            Err(_) => {}
        }
    }
}
