//! An entry that turns some yes into a no kills the descriptor that the yes became: a floor at the entry's own index
//! applies to it, or its key is dead. The same entry kills nothing that is decided after it.

use super::Step;
use crate::connects::{self, Connect};
use hapi_registry_state::{Decision, KeyState, Refusal, Registry};

pub(crate) fn check(step: &Step<'_>) {
    let index = step.after.applied();
    for connect in connects::all(step.before) {
        let Ok(granted) = &connect.decision else { continue };
        assert!(!step.before.kills(granted), "{granted:?} is born dead");
        if stays_good(step.after, &connect, granted) {
            continue;
        }
        let is_dead = floor(step.after, granted) >= index
            || step.after.dead_keys().any(|kid| *kid == connect.issuer.kid);
        assert!(is_dead, "{:?} forbids {granted:?}, which lives on", step.entry);
    }
}

/// Whether a descriptor that says what was granted says nothing that is forbidden or untrue now.
fn stays_good(registry: &Registry, connect: &Connect, granted: &Decision) -> bool {
    match connect.again(registry, granted) {
        Ok(now) => {
            let same = (&now.client, &now.tenant, &now.endpoint)
                == (&granted.client, &granted.tenant, &granted.endpoint);
            same && granted.verified <= now.verified
        }
        // A key that retires signs no more, and what it signed stays good.
        Err(Refusal::NoServingLease) => {
            registry.key(&connect.issuer.kid).is_some_and(|key| key.state == KeyState::Retired)
        }
        Err(_) => false,
    }
}

fn floor(registry: &Registry, granted: &Decision) -> u64 {
    registry.floor(&granted.server, &granted.version, &granted.client, granted.tenant.as_ref())
}
