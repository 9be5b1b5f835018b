use super::Step;
use hapi_registry_state::{Act, Command, Moderation, Registry, Standing, Subject};

/// While two persons are needed, nothing is revoked, lifted, or made to end sooner by the entry of one: only by that of
/// another one than asked for it, and to no other subject than was asked for. What nobody has reviewed is approved, and
/// what has come to its end is lifted, without a second.
pub(crate) fn check(step: &Step<'_>) {
    let Step { before, entry, after } = step;
    if !before.moderation_rules().two_person {
        return;
    }
    for (subject, now) in after.moderations().filter(|(_, now)| now.index == after.applied()) {
        let then = before.moderation(subject);
        if !needs_two(then, now) {
            continue;
        }
        match &entry.command {
            Command::ConfirmAct(id) => {
                let request = before.act_request(*id).expect("it waits");
                assert_ne!(request.by, entry.by, "{subject}");
                assert!(request.subjects.iter().any(|(asked, _)| asked == subject), "{subject}");
            }
            Command::Lift { .. } => {}
            command => assert!(approves_what_is_new(before, command, subject), "{command:?} {subject}"),
        }
    }
}

fn needs_two(then: Option<&Moderation>, now: &Moderation) -> bool {
    let stood = then.map_or(Standing::None, |then| then.standing);
    let lifted = stood != Standing::None && now.standing == Standing::None;
    let revoked = stood != Standing::Revoked && now.standing == Standing::Revoked;
    let ends = |record: &Moderation| record.expires_at.map_or(u64::MAX, |end| end.0);
    let sooner = stood != Standing::None && then.is_some_and(|then| ends(now) < ends(then));
    lifted || revoked || sooner
}

fn approves_what_is_new(before: &Registry, command: &Command, subject: &Subject) -> bool {
    let act = match command {
        Command::Moderate { act, .. } => *act,
        Command::Order(order) => order.act,
        _ => return false,
    };
    let record = before.moderation(subject).expect("it is in quarantine");
    let made_by = before.audit_record(record.index).expect("an act leaves a record");
    act == Act::Approve && ["publish", "import", "mirror"].contains(&&*made_by.act)
}
