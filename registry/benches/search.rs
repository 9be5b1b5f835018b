//! What a search takes in a catalog of 100,000 servers, by how many servers have the word.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use hapi_registry_state::{
    Command, Entry, Imported, ListQuery, NewToken, Outcome, Principal, Registry, Role, Rules, ServerJson,
    Status, Strictness, Timestamp, VersionFilter, Viewer, mint,
};
use std::hint::black_box;

const SERVERS: usize = 100_000;

/// Words of descriptions: the first of them are in half of all, the others in fewer and fewer.
const WORDS: &[&str] = &["server", "data", "search", "weather", "postgres", "calendar", "payments", "tides"];

fn document(number: usize) -> ServerJson {
    let words: Vec<_> =
        (0..WORDS.len()).filter(|at| number.is_multiple_of(2 << at)).map(|at| WORDS[at]).collect();
    let text = format!(
        r#"{{"name":"io.github.user{}/tool-{number}-mcp","version":"1.0.0","description":"Does {} {number}"}}"#,
        number / 3,
        words.join(" and ")
    );
    let rules = Rules { strictness: Strictness::Import, allow_insecure_endpoints: false };
    ServerJson::parse(text.as_bytes(), rules).unwrap().server
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    let mut number = 0;
    let (_, token) = mint(Role::Operator, || {
        number += 1;
        number
    });
    let operator = NewToken {
        id: token.id.clone(),
        hash: token.hash,
        role: Role::Operator,
        client: None,
        tenant: None,
        namespaces: Vec::new(),
        expires_at: None,
    };
    let at = Timestamp::from_seconds(1_767_225_600);
    registry.apply(1, &Entry::new(at, Principal::ClusterSecret, Command::Bootstrap(operator)));
    let imported = (0..SERVERS).map(|number| Imported {
        document: document(number),
        status: Status::Active,
        status_message: None,
        published_at: None,
        updated_at: None,
    });
    let import = Command::Import(imported.collect());
    let outcome = registry.apply(2, &Entry::new(at, Principal::Token(token.id), import));
    assert!(matches!(outcome, Outcome::Imported(_)), "{outcome:?}");
    registry
}

fn search(c: &mut Criterion) {
    let registry = registry();
    for words in
        ["mcp", "data", "weather", "tides", "tool-77", "user123", "data search weather", "ide", "nothing"]
    {
        let query = ListQuery {
            limit: 10,
            search: Some(words.into()),
            version: VersionFilter::Latest,
            ..ListQuery::default()
        };
        c.bench_function(&format!("search {words}"), |b| {
            b.iter(|| registry.list(black_box(&query), Viewer::Anonymous));
        });
    }
}

criterion_group!(benches, search);
criterion_main!(benches);
