//! A named request is done once, and its name is forgotten after a day.

use crate::world::presented;
use hapi_registry_state::{
    Command, Entry, Namespace, NewToken, Outcome, PresentedToken, Principal, Registry, Rejection, RequestKey,
    Role, Timestamp, snapshot,
};

const DAY: u64 = 86_400;

struct Operator(Registry);

impl Operator {
    fn new() -> Self {
        let PresentedToken { id, hash, role } = presented("root", Role::Operator);
        let (client, tenant, namespaces, expires_at) = (None, None, Vec::new(), None);
        let token = NewToken { id, hash, role, client, tenant, namespaces, expires_at };
        let mut registry = Registry::default();
        registry.apply(1, &Entry::new(at(0), Principal::ClusterSecret, Command::Bootstrap(token)));
        Self(registry)
    }

    /// Makes the namespace `a.x` private, or public again, under a name.
    fn ask(&mut self, seconds: u64, name: &str, private: bool) -> Outcome {
        let by = Principal::Token(presented("root", Role::Operator).id);
        let command = Command::PutNamespace { namespace: namespace(), private };
        let key = Some(RequestKey { name: name.into(), fingerprint: [u8::from(private); 32] });
        self.0.apply(self.0.applied() + 1, &Entry { at: at(seconds), by, command, key })
    }

    fn is_private(&self) -> bool {
        self.0.namespaces().any(|(other, record)| *other == namespace() && record.private)
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(1_000_000 + seconds)
}

fn namespace() -> Namespace {
    "a.x".parse().unwrap()
}

#[test]
fn a_repetition_answers_with_the_first_entry_and_changes_nothing() {
    let mut operator = Operator::new();
    assert_eq!(operator.ask(1, "k", true), Outcome::Done);
    let first = operator.0.applied();
    assert_eq!(operator.ask(2, "other", false), Outcome::Done);
    assert_eq!(operator.ask(3, "k", true), Outcome::Repeated { index: first, since: None });
    assert!(!operator.is_private(), "the repetition was not done again");
    assert_eq!(operator.0.denied(), first, "nor does it deny anything");
}

#[test]
fn a_name_stands_for_one_request() {
    let mut operator = Operator::new();
    operator.ask(1, "k", true);
    assert_eq!(operator.ask(2, "k", false), Outcome::Rejected(Rejection::IdempotencyKeyReused));
    assert!(operator.is_private());
}

#[test]
fn a_name_is_free_again_after_a_day() {
    let mut operator = Operator::new();
    operator.ask(0, "k", true);
    assert!(matches!(operator.ask(DAY - 1, "k", true), Outcome::Repeated { .. }));
    assert_eq!(operator.ask(DAY, "k", false), Outcome::Done);
    assert!(matches!(operator.ask(DAY, "k", false), Outcome::Repeated { .. }));
}

#[test]
fn names_are_kept_by_snapshots_and_forgotten_when_their_day_is_over() {
    let mut operator = Operator::new();
    for number in 0..10 {
        operator.ask(number, &format!("k{number}"), true);
    }
    let mut builder = snapshot::Builder::new(snapshot::VERSION).unwrap();
    let records: Vec<_> = snapshot::records(&operator.0).collect();
    records.iter().for_each(|record| builder.push(record).unwrap());
    let mut restored = Operator(builder.finish().unwrap());
    assert!(matches!(restored.ask(20, "k3", true), Outcome::Repeated { .. }));
    for number in 0..4 {
        restored.ask(DAY + 100, &format!("late{number}"), true);
    }
    let left = snapshot::records(&restored.0).count() - restored.0.audit_records().count();
    let before = records.len() - operator.0.audit_records().count();
    assert_eq!(left, before - 10 + 4, "ten old names are gone, four new ones are there");
}

#[test]
fn a_name_is_of_modest_length_and_visible() {
    let mut operator = Operator::new();
    for name in ["", "a b", "\u{e9}", &"x".repeat(256)] {
        let outcome = operator.ask(1, name, true);
        assert!(matches!(outcome, Outcome::Rejected(Rejection::Invalid(_))), "{name}: {outcome:?}");
    }
    assert_eq!(operator.ask(1, &"x".repeat(255), true), Outcome::Done);
}
