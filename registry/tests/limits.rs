//! Nothing that an entry brings grows without bounds, and nothing is taken that a snapshot could not carry.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "limits/bulk.rs"]
mod bulk;
#[path = "limits/request_keys.rs"]
mod request_keys;
mod world;

use hapi_registry_state::{
    Act, ClientId, Command, Entry, Imported, NewToken, NodeId, Outcome, Principal, Registry, Rejection, Role,
    ServerJson, SettingsPatch, Status, Subject, Tenant, TenantId, Timestamp, snapshot,
};
use std::num::NonZeroU32;
use world::{Draft, document, presented, public_key};

/// A registry with one operator.
struct Cluster(Registry);

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self(Registry::default());
        let done = cluster.apply(Principal::ClusterSecret, Command::Bootstrap(token("root", Role::Operator)));
        assert_eq!(done, Outcome::Done);
        cluster
    }

    fn apply(&mut self, by: Principal, command: Command) -> Outcome {
        self.0.apply(self.0.applied() + 1, &Entry::new(Timestamp::from_seconds(1), by, command))
    }

    fn operate(&mut self, command: Command) -> Outcome {
        self.apply(by("root", Role::Operator), command)
    }

    fn import(&mut self, documents: Vec<ServerJson>) -> Vec<Result<(), Rejection>> {
        let (status, status_message, published_at, updated_at) = (Status::Active, None, None, None);
        let entry = |document| Imported {
            document,
            status,
            status_message: status_message.clone(),
            published_at,
            updated_at,
        };
        match self.operate(Command::Import(documents.into_iter().map(entry).collect())) {
            Outcome::Imported(results) => results,
            other => panic!("{other:?}"),
        }
    }

    fn restored(&self) -> Registry {
        let mut builder = snapshot::Builder::new(snapshot::VERSION).unwrap();
        snapshot::records(&self.0).for_each(|record| builder.push(&record).unwrap());
        builder.finish().unwrap()
    }
}

fn by(name: &str, role: Role) -> Principal {
    Principal::Token(presented(name, role).id)
}

fn token(name: &str, role: Role) -> NewToken {
    let presented = presented(name, role);
    let (client, tenant, namespaces, expires_at) = (None, None, Vec::new(), None);
    NewToken { id: presented.id, hash: presented.hash, role, client, tenant, namespaces, expires_at }
}

fn draft(version: &str, remotes: Vec<String>, choices: Vec<String>) -> Draft {
    Draft {
        name: "ai.acme/weather".into(),
        version: version.into(),
        remotes: remotes.into_iter().map(|url| ("streamable-http".into(), url)).collect(),
        variables: vec![("v".into(), choices, None)],
        ..Draft::default()
    }
}

fn is_invalid<T>(result: &Result<T, Rejection>) -> bool {
    matches!(result, Err(Rejection::Invalid(_)))
}

/// Every step looks at each version at most a few times: were it each version for each, this test would
/// take many minutes.
#[test]
fn a_server_has_at_most_10000_versions_and_works_with_as_many() {
    let mut cluster = Cluster::new();
    let remote = || vec!["https://acme.ai/weather".to_owned()];
    let numbered = |number: u32| document(&draft(&format!("1.0.{number}"), remote(), Vec::new()));
    let results = cluster.import((0..10_001).map(numbered).collect());
    assert!(results[..10_000].iter().all(Result::is_ok));
    assert_eq!(results[10_000].as_ref().unwrap_err().code(), "too_many_versions");

    let publisher =
        NewToken { namespaces: vec!["ai.acme".parse().unwrap()], ..token("alice", Role::Publisher) };
    cluster.operate(Command::CreateToken(publisher));
    let (name, version, message) = ("ai.acme/weather".parse().unwrap(), None, None);
    let all = Command::SetStatus { name, version, status: Status::Deprecated, message };
    assert_eq!(cluster.apply(by("alice", Role::Publisher), all), Outcome::StatusChanged { updated: 10_000 });
    assert_eq!(cluster.restored().hash(), cluster.0.hash());
}

#[test]
fn a_version_claims_at_most_256_urls() {
    let origins = |number| format!("https://{{v}}.acme.ai/{number}");
    let choices = || (0..64).map(|number| format!("h{number}")).collect::<Vec<_>>();
    let mut cluster = Cluster::new();
    let results = cluster.import(vec![
        document(&draft("1.0.0", (0..4).map(origins).collect(), choices())),
        document(&draft("1.0.1", (0..5).map(origins).collect(), choices())),
    ]);
    assert_eq!(results[0], Ok(()));
    assert!(is_invalid(&results[1]), "{:?}", results[1]);
}

/// A placeholder takes three bytes of the URL, and has all of its choices beside it once the URL is read.
#[test]
fn a_document_that_swells_when_it_is_read_is_refused() {
    let choices = || (0..64).map(|number| format!("{number:0>60}")).collect::<Vec<_>>();
    let urls = |count: usize| {
        (0..count).map(|number| format!("https://acme.ai/{number}/{}", "{v}/".repeat(16))).collect()
    };
    let mut cluster = Cluster::new();
    let results = cluster.import(vec![
        document(&draft("1.0.0", urls(40), choices())),
        document(&draft("1.0.1", urls(8), choices())),
    ]);
    assert!(is_invalid(&results[0]), "{:?}", results[0]);
    assert_eq!(results[1], Ok(()));
    assert_eq!(cluster.restored().hash(), cluster.0.hash());
}

/// The decoder counts every length at its full width: very many short texts are its worst case.
#[test]
fn a_document_of_very_many_short_texts_survives_a_snapshot() {
    let mut cluster = Cluster::new();
    let choices = vec!["x".to_owned(); 60_000];
    let results =
        cluster.import(vec![document(&draft("1.0.0", vec!["https://acme.ai/{v}".into()], choices))]);
    assert_eq!(results, [Ok(())]);
    assert_eq!(cluster.restored().hash(), cluster.0.hash());
}

#[test]
fn what_a_rejected_entry_says_does_not_fill_the_audit() {
    let mut cluster = Cluster::new();
    let (act, subject) = (Act::Suspend, Subject::Namespace("ai.acme".parse().unwrap()));
    let endless = || "é".repeat(5_000_000);
    cluster.operate(Command::Moderate { act, subject, reason: endless(), case: Some(endless()) });
    cluster.operate(Command::RevokeKey { kid: public_key("k").kid(), reason: endless() });
    cluster.apply(Principal::Node(NodeId(1)), Command::JoinRoster { http: endless(), version: endless() });
    assert!(snapshot::records(&cluster.0).all(|record| record.len() < 10_000));
    assert_eq!(cluster.restored().hash(), cluster.0.hash());
}

#[test]
fn lists_have_bounds_and_the_longest_survive_a_snapshot() {
    let mut cluster = Cluster::new();
    let globs = |length: usize| vec!["a".repeat(200).parse().unwrap(); length];
    let tenant = |length: usize| Tenant {
        allow: Some(globs(length)),
        block: globs(length),
        private_namespaces: vec!["a".repeat(198).parse().unwrap(); length],
        ..Tenant::default()
    };
    let put = |tenant| Command::PutTenant { id: "globex".parse().unwrap(), tenant };
    assert_eq!(cluster.operate(put(tenant(1_000))), Outcome::Done);
    assert_eq!(
        invalid(&cluster.operate(put(tenant(1_001)))),
        "each list of a tenant has at most 1000 entries"
    );

    let publisher = |length| NewToken { namespaces: globs(length), ..token("alice", Role::Publisher) };
    let too_long = cluster.operate(Command::CreateToken(publisher(1_001)));
    assert_eq!(invalid(&too_long), "a token has at most 1000 namespaces");
    assert_eq!(cluster.operate(Command::CreateToken(publisher(1_000))), Outcome::Done);
    assert_eq!(cluster.restored().hash(), cluster.0.hash());
}

#[test]
fn a_tenants_own_budget_goes_before_the_settings_and_draining_nodes_have_no_share() {
    let mut cluster = Cluster::new();
    let id: TenantId = "globex".parse().unwrap();
    let put = |connects_per_minute| Command::PutTenant {
        id: "globex".parse().unwrap(),
        tenant: Tenant { connects_per_minute, ..Tenant::default() },
    };
    assert!(!cluster.0.has_connect_budgets());
    for node in 1..=3 {
        let join = Command::JoinRoster { http: "https://a.example".into(), version: "1".into() };
        cluster.apply(Principal::Node(NodeId(node)), join);
    }
    let settings = SettingsPatch {
        client_connects_per_minute: Some(6),
        tenant_connects_per_minute: Some(60),
        ..SettingsPatch::default()
    };
    assert_eq!(cluster.operate(Command::UpdateSettings(settings)), Outcome::Done);
    let numbers = |cluster: &Cluster, tenant| {
        let budgets = cluster.0.connect_budgets(tenant);
        (budgets.client.map_or(0, NonZeroU32::get), budgets.tenant.map_or(0, NonZeroU32::get), budgets.nodes)
    };
    for (own, tenant) in [(None, 60), (Some(7), 7), (Some(0), 0)] {
        assert_eq!(cluster.operate(put(own)), Outcome::Done);
        assert_eq!(numbers(&cluster, Some(&id)), (6, tenant, 3));
    }
    assert_eq!(numbers(&cluster, None), (6, 0, 3), "a client of no tenant");
    cluster.operate(Command::DrainNode(NodeId(2)));
    assert_eq!(numbers(&cluster, None), (6, 0, 2));
}

fn invalid(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Rejected(Rejection::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// The longest texts of a moderator, character by character of the widest kind.
#[test]
fn the_longest_reason_is_kept_whole() {
    let mut cluster = Cluster::new();
    cluster.operate(Command::CreateToken(token("mona", Role::Moderator)));
    let client: ClientId = "carol".parse().unwrap();
    cluster.operate(Command::PutClient { id: client.clone(), tenant: None, keys: Vec::new() });
    let subject = || Subject::Client(client.clone());
    let suspend =
        |reason: String| Command::Moderate { act: Act::Suspend, subject: subject(), reason, case: None };
    let too_long = cluster.apply(by("mona", Role::Moderator), suspend("x".repeat(1_001)));
    assert_eq!(invalid(&too_long), "a reason of 1 to 1000 bytes is needed");
    let done = cluster.apply(by("mona", Role::Moderator), suspend("é".repeat(500)));
    assert_eq!(done, Outcome::Done);
    assert_eq!(cluster.0.audit_records().last().unwrap().reason, "é".repeat(500));
}

/// Instants far out of range stop no clock arithmetic and no printing.
#[test]
fn the_end_of_time_is_survived() {
    let mut cluster = Cluster::new();
    let node = || Principal::Node(NodeId(1));
    let at = Timestamp(u64::MAX);
    let key = public_key("k");
    let commands = [
        Command::JoinRoster { http: String::new(), version: String::new() },
        Command::PublishKey(key.clone()),
        Command::ActivateKey(key.kid()),
        Command::RetireKey(key.kid()),
        Command::RemoveKey(key.kid()),
    ];
    for command in commands {
        cluster.0.apply(cluster.0.applied() + 1, &Entry::new(at, node(), command));
    }
    assert_eq!(cluster.0.at(), at);
    assert_eq!(cluster.restored().hash(), cluster.0.hash());
    assert_eq!(cluster.0.audit_records().last().unwrap().at, at);
}
