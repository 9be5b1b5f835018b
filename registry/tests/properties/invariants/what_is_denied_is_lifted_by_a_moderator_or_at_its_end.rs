use super::Step;
use hapi_registry_state::{Act, Command, Moderation, Principal, Registry, Standing, Subject};

/// What is suspended or quarantined stays so until a moderator lifts it, or until the end that a moderator has set for
/// just this record is reached by the time of the log.
pub(crate) fn check(Step { before, entry, after }: &Step<'_>) {
    let denied = before.moderations().filter(|(_, record)| record.standing != Standing::None);
    for (subject, record) in denied {
        let now = after.moderation(subject).expect("a record never goes away");
        if now.standing != Standing::None {
            continue;
        }
        assert_eq!(now.index, after.applied(), "{subject}");
        assert_eq!(now.expires_at, None, "{subject}");
        match &entry.command {
            Command::Moderate { act, .. } => assert!(lifts_by_hand(*act, record)),
            Command::Order(order) => assert!(lifts_by_hand(order.act, record)),
            Command::ConfirmAct(id) => {
                let request = before.act_request(*id).expect("it waits");
                assert!(lifts_by_hand(request.order.act, record));
            }
            Command::Lift { subject: lifted, index } => {
                assert_eq!((lifted, *index, &entry.by), (subject, record.index, &Principal::System));
                assert!(record.expires_at.is_some_and(|end| end <= after.at()), "{record:?}");
            }
            other => panic!("{other:?} lifts {subject}"),
        }
    }
}

fn lifts_by_hand(act: Act, record: &Moderation) -> bool {
    act == Act::Reinstate || act == Act::Approve && record.standing == Standing::Quarantined
}

/// Whatever has an end is lifted by just the entry that names its record and is not before that end.
pub(crate) fn at_the_end(registry: &Registry) {
    for (subject, record) in registry.moderations() {
        let Some(end) = record.expires_at else { continue };
        assert_ne!(record.standing, Standing::None, "{subject}");
        if let Some(early) = end.0.checked_sub(1).filter(|early| *early >= registry.at().0) {
            assert!(!lifts(registry, subject, record, early), "{subject} before its end");
        }
        let due = end.0.max(registry.at().0);
        assert!(lifts(registry, subject, record, due), "{subject} at its end");
        let other = Moderation { index: record.index + 1, ..record.clone() };
        assert!(!lifts(registry, subject, &other, due), "{subject} that was changed");
        let listed = registry.ended_moderations(hapi_registry_state::Timestamp(due));
        assert!(listed.into_iter().any(|found| found == (subject, record.index)), "{subject} is not found");
    }
}

fn lifts(registry: &Registry, subject: &Subject, record: &Moderation, at: u64) -> bool {
    let mut registry = registry.clone();
    let command = Command::Lift { subject: subject.clone(), index: record.index };
    let at = hapi_registry_state::Timestamp(at);
    let entry = hapi_registry_state::Entry::new(at, Principal::System, command);
    registry.apply(registry.applied() + 1, &entry);
    registry.moderation(subject).is_some_and(|now| now.standing == Standing::None)
}
