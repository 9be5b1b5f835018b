//! An entry that turns some yes into a no moves the deny counter: it is sealed before it is acknowledged, and
//! issuers that see it decide again. What counts is the descriptor: a bare name may come to stand for a newer
//! version, while the older one can still be asked for.

use super::Step;
use crate::connects;
use hapi_registry_state::{Command, Refusal};

pub(crate) fn check(step: &Step<'_>) {
    if step.after.denied() == step.after.applied() {
        return;
    }
    assert_eq!(step.after.denied(), step.before.denied(), "the counter names an entry or stays");
    for connect in connects::all(step.before) {
        let Ok(granted) = &connect.decision else { continue };
        let now = connect.again(step.after, granted);
        // What the health gate says is advice, and is sealed by nobody.
        if matches!(now, Err(Refusal::ServerUnavailable { .. })) {
            assert!(
                matches!(step.entry.command, Command::NoteHealth(_)),
                "{:?} makes nobody down",
                step.entry
            );
            continue;
        }
        let same = now.as_ref().is_ok_and(|now| now.endpoint == granted.endpoint);
        assert!(same, "{:?} forbids {granted:?} and is no denial: {now:?}", step.entry);
    }
}
