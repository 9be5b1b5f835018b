//! What the state machine costs on a catalog of 10,000 servers: a decision, an entry, a snapshot.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

#[path = "../tests/world/mod.rs"]
mod world;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use hapi_registry_state::{
    Command, ConnectRequest, Credential, Entry, Issuer, ListQuery, NewToken, NodeId, Outcome, Principal,
    Registry, Role, ServerJson, Timestamp, Viewer, snapshot,
};
use std::{collections::BTreeMap, hint::black_box};
use world::{Draft, document, presented, public_key};

const SERVERS: u32 = 10_000;
const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);
const NODE: NodeId = NodeId(1);

fn apply(registry: &mut Registry, by: Principal, command: Command) {
    let outcome = registry.apply(registry.applied() + 1, &Entry::new(NOW, by, command));
    assert_eq!(outcome, Outcome::Done);
}

fn token(name: &str, role: Role) -> NewToken {
    let presented = presented(name, role);
    NewToken {
        id: presented.id,
        hash: presented.hash,
        role,
        client: (role == Role::Client).then(|| name.parse().unwrap()),
        tenant: None,
        namespaces: if role == Role::Publisher { vec!["*".parse().unwrap()] } else { Vec::new() },
        expires_at: None,
    }
}

fn by(name: &str, role: Role) -> Principal {
    Principal::Token(presented(name, role).id)
}

/// Server number `number`; every tenth has a placeholder in its URL, and ten servers share a host.
fn server(number: u32) -> ServerJson {
    let rest = if number.is_multiple_of(10) { "{room}" } else { "mcp" };
    document(&Draft {
        name: format!("ai.acme{}/server-{number}", number / 10),
        version: "1.0.0".into(),
        title: Some(format!("Server {number}")),
        description: Some("A server of the benchmark, described at the length that servers have".into()),
        remotes: vec![(
            "streamable-http".into(),
            format!("https://acme{}.example/server-{number}/{rest}", number / 10),
        )],
        variables: vec![("room".into(), Vec::new(), Some("lobby".into()))],
        ..Draft::default()
    })
}

fn catalog() -> Registry {
    let mut registry = Registry::default();
    apply(&mut registry, Principal::ClusterSecret, Command::Bootstrap(token("root", Role::Operator)));
    let root = || by("root", Role::Operator);
    apply(&mut registry, root(), Command::CreateToken(token("alice", Role::Publisher)));
    apply(&mut registry, root(), Command::CreateToken(token("carol", Role::Client)));
    let key = public_key("key");
    let node = || Principal::Node(NODE);
    let join = Command::JoinRoster { http: "https://n1.example".into(), version: "1".into() };
    apply(&mut registry, node(), join);
    apply(&mut registry, node(), Command::PublishKey(key.clone()));
    apply(&mut registry, node(), Command::ActivateKey(key.kid()));
    for number in 0..SERVERS {
        apply(&mut registry, by("alice", Role::Publisher), Command::Publish(server(number)));
    }
    registry
}

fn benches(criterion: &mut Criterion) {
    let registry = catalog();
    decide(criterion, &registry);
    publish(criterion, &registry);
    list(criterion, &registry);
    snapshots(criterion, &registry);
}

fn decide(criterion: &mut Criterion, registry: &Registry) {
    let credential = Credential::Token(presented("carol", Role::Client));
    let issuer = Issuer { node: NODE, kid: public_key("key").kid() };
    for (name, number) in [("decide, literal URL", 4_321), ("decide, URL with a placeholder", 4_320)] {
        let request = ConnectRequest {
            server: server(number).name().as_str().parse().unwrap(),
            client_id: None,
            tenant_id: None,
            variables: BTreeMap::new(),
            ttl: None,
        };
        criterion.bench_function(name, |bench| {
            bench
                .iter(|| black_box(registry.decide(NOW, &credential, black_box(&request), &issuer)).unwrap());
        });
    }
}

/// On a clone each time, as a node does: readers keep the state before, so that nothing is changed in place.
fn publish(criterion: &mut Criterion, registry: &Registry) {
    let entry = Entry::new(NOW, by("alice", Role::Publisher), Command::Publish(server(SERVERS + 1)));
    criterion.bench_function("apply publish", |bench| {
        bench.iter_batched(
            || registry.clone(),
            |mut next| {
                next.apply(next.applied() + 1, black_box(&entry));
                next
            },
            BatchSize::SmallInput,
        );
    });
}

fn list(criterion: &mut Criterion, registry: &Registry) {
    let first = ListQuery { limit: 30, ..ListQuery::default() };
    let rare = ListQuery { limit: 30, search: Some("server 9999".into()), ..ListQuery::default() };
    criterion.bench_function("list, first page of 30", |bench| {
        bench.iter(|| black_box(registry.list(&first, Viewer::Anonymous)));
    });
    criterion.bench_function("list, search that matches one of 10,000", |bench| {
        bench.iter(|| black_box(registry.list(&rare, Viewer::Anonymous)));
    });
}

fn snapshots(criterion: &mut Criterion, registry: &Registry) {
    let records: Vec<_> = snapshot::records(registry).collect();
    criterion.bench_function("snapshot, all records", |bench| {
        bench.iter(|| snapshot::records(registry).map(|record| black_box(record).len()).sum::<usize>());
    });
    criterion.bench_function("snapshot, restore", |bench| {
        bench.iter(|| {
            let mut builder = snapshot::Builder::new(snapshot::VERSION).unwrap();
            records.iter().for_each(|record| builder.push(record).unwrap());
            builder.finish().unwrap()
        });
    });
    criterion.bench_function("hash of the state", |bench| bench.iter(|| black_box(registry.hash())));
}

criterion_group!(all, benches);
criterion_main!(all);
