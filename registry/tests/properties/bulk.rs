//! One act on many is the sum of the acts on each.

use crate::{cases, cast, connects, set, strategy};
use hapi_registry_state::{
    Command, Entry, Moderated, Moderation, ModerationRulesPatch, Order, Outcome, Principal, Registry,
    Rejection, SettingsPatch, Subject, Target,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn an_act_on_many_is_the_sum_of_acts_on_each(
        entries in strategy::entries(40),
        target in strategy::globs(),
        act in strategy::act(),
    ) {
        let mut at_once = set();
        crate::apply(&mut at_once, &cast::stock());
        crate::apply(&mut at_once, &entries);
        one_person_is_enough(&mut at_once);
        let (mut singly, before) = (at_once.clone(), at_once.applied());
        let order = |target| Order { act, target, reason: "r".into(), case: None, expires_at: None };
        let outcome = apply(&mut at_once, order(target.clone()));
        let fitting = fitting(&singly, &target);
        if let Outcome::Moderated(each) = outcome {
            let subjects: Vec<_> = each.iter().map(|(subject, _)| subject.clone()).collect();
            prop_assert_eq!(&subjects, &fitting);
            let outcomes: Vec<_> = each.into_iter().map(|(_, one)| one).collect();
            let expected: Vec<_> =
                fitting.iter().map(|one| alone(&mut singly, order(Target::One(one.clone())))).collect();
            prop_assert_eq!(outcomes, expected);
        } else {
            // Whoever moderates may have been revoked by the entries; and a glob may fit nothing.
            let may = matches!(outcome, Outcome::Rejected(Rejection::Unauthenticated));
            prop_assert!(may || fitting.is_empty(), "{outcome:?}");
            return Ok(());
        }
        prop_assert_eq!(records(&at_once), records(&singly));
        prop_assert_eq!(at_once.denied() > before, singly.denied() > before);
        prop_assert_eq!(floors(&at_once, before), floors(&singly, before));
        prop_assert_eq!(answers(&at_once), answers(&singly));
    }
}

fn one_person_is_enough(registry: &mut Registry) {
    let rules = ModerationRulesPatch { two_person: Some(false), ..ModerationRulesPatch::default() };
    let command = Command::ChangeSettings { settings: SettingsPatch::default(), rules };
    let by = Principal::Token(cast::token(0).id.clone());
    registry.apply(registry.applied() + 1, &Entry::new(registry.at(), by, command));
}

fn apply(registry: &mut Registry, order: Order) -> Outcome {
    let by = Principal::Token(cast::token(2).id.clone());
    registry.apply(registry.applied() + 1, &Entry::new(registry.at(), by, Command::Order(order)))
}

fn alone(registry: &mut Registry, order: Order) -> Result<Moderated, Rejection> {
    match apply(registry, order) {
        Outcome::Done => Ok(Moderated::Done),
        Outcome::Unchanged { since } => Ok(Moderated::Unchanged { since }),
        Outcome::Rejected(rejection) => Err(rejection),
        other => panic!("{other:?}"),
    }
}

fn fitting(registry: &Registry, target: &Target) -> Vec<Subject> {
    let mut fitting = Vec::new();
    for name in cast::names() {
        let Some(server) = registry.server(&name) else { continue };
        match target {
            Target::Servers(names) if names.matches(name.as_str()) => {
                fitting.push(Subject::Server(name.clone()))
            }
            Target::Versions { names, versions } if names.matches(name.as_str()) => {
                let its = server.versions.keys().filter(|version| versions.matches(version.as_str()));
                fitting.extend(its.map(|version| Subject::Version(name.clone(), version.clone())));
            }
            _ => {}
        }
    }
    fitting
}

/// All but the index of the entry, which is one or many.
fn records(registry: &Registry) -> Vec<(Subject, Moderation)> {
    let records = registry.moderations();
    records.map(|(subject, record)| (subject.clone(), Moderation { index: 0, ..record.clone() })).collect()
}

fn floors(registry: &Registry, since: u64) -> Vec<Subject> {
    let mut floors: Vec<_> = registry.floors_above(since).map(|(subject, _)| subject.clone()).collect();
    floors.sort();
    floors
}

fn answers(registry: &Registry) -> Vec<String> {
    let told = |connect: connects::Connect| match connect.decision {
        Ok(yes) => format!("{} {} {}", yes.server, yes.version, yes.verified),
        Err(refusal) => refusal.to_string(),
    };
    connects::all(registry).into_iter().map(told).collect()
}
