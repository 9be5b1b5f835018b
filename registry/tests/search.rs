//! How good the search is, over the entries of the official registry as they were in January 2026.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use hapi_registry_state::{
    Command, Entry, Imported, ListQuery, Outcome, Principal, Registry, Role, Rules, ServerJson, Status,
    Strictness, Timestamp, VersionFilter, Viewer, mint,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{fs, path::PathBuf};

/// What somebody asks, and the server that is to be among the first three.
///
/// Chosen from the list itself, before anything was tuned: exact names, names in another case, words and beginnings of
/// names, parts of words, words of descriptions.
const QUESTIONS: [(&str, &str); 40] = [
    ("io.github.grafana/mcp-grafana", "io.github.grafana/mcp-grafana"),
    ("com.supabase/mcp", "com.supabase/mcp"),
    ("com.atlassian/atlassian-mcp-server", "com.atlassian/atlassian-mcp-server"),
    ("IO.GITHUB.CHROMEDEVTOOLS/chrome-devtools-mcp", "io.github.ChromeDevTools/chrome-devtools-mcp"),
    ("gRaFaNa", "io.github.grafana/mcp-grafana"),
    ("supabase", "com.supabase/mcp"),
    ("ATLASSIAN", "com.atlassian/atlassian-mcp-server"),
    ("chrome devtools", "io.github.ChromeDevTools/chrome-devtools-mcp"),
    ("brave search", "io.github.brave/brave-search-mcp-server"),
    ("kubernetes mcp server", "io.github.containers/kubernetes-mcp-server"),
    ("neo4j cypher", "io.github.neo4j-contrib/mcp-neo4j-cypher"),
    ("jupyter notebook", "io.github.ChengJiale150/jupyter-mcp-server"),
    ("trino", "io.github.tuannvm/mcp-trino"),
    ("bitbucket", "io.github.MatanYemini/bitbucket-mcp"),
    ("unity", "io.github.IvanMurzak/Unity-MCP"),
    ("amazon redshift", "io.github.davidalbertonogueira/redshift-mcp-server"),
    ("jotform", "com.jotform/mcp"),
    ("amplitude", "com.amplitude/mcp-server"),
    ("canvas lms", "io.github.vishalsachdev/canvas-mcp"),
    ("figma", "com.figma.mcp/mcp"),
    ("svelte", "dev.svelte/mcp"),
    ("postgres", "io.github.neverinfamous/postgres-mcp-server"),
    ("playwright", "io.github.dinesh-nalla-se/playwright-mcp"),
    ("graf", "io.github.grafana/mcp-grafana"),
    ("justc", "host.justcall.mcp/justcall-mcp-server"),
    ("oreleas", "io.github.goreleaser/mcp"),
    ("devtools", "io.github.ChromeDevTools/chrome-devtools-mcp"),
    ("feature flags", "io.getunleash/unleash-mcp"),
    ("analyze pcap files", "ai.mcpcap/mcpcap"),
    ("web scraping marketplace", "com.apify/apify-mcp-server"),
    ("distributed SQL query engine", "io.github.tuannvm/mcp-trino"),
    ("arxiv papers", "io.github.Saidiibrahim/search-papers"),
    ("real-time flight data", "io.github.Flightradar24/fr24api-mcp"),
    ("make voice calls and send SMS", "host.justcall.mcp/justcall-mcp-server"),
    ("google forms surveys", "ai.smithery/data-mindset-sts-google-forms-mcp"),
    ("splitwise expenses", "ai.smithery/HARJAP-SINGH-3105-splitwise_mcp"),
    ("android automation", "io.github.pedro-rivas/android-puppeteer-mcp"),
    ("hotel booking", "io.github.nathishdev-netizen/dida-mcp-server"),
    ("find a golf coach", "com.pga/pga-golf"),
    ("letterhead pdf for my mac", "io.github.easytocloud/mac-letterhead"),
];

/// How many of them have to be found.
const AIM: usize = 38;

#[derive(Deserialize)]
struct ServerList<'a> {
    #[serde(borrow)]
    servers: Vec<ListEntry<'a>>,
}

#[derive(Deserialize)]
struct ListEntry<'a> {
    #[serde(borrow)]
    server: &'a RawValue,
}

fn real_documents() -> Option<Vec<ServerJson>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let root = std::env::var_os("HAPI_FIXTURES").map_or_else(|| default.into(), PathBuf::from);
    let path = root.join("registry/servers.json");
    let Ok(text) = fs::read_to_string(&path) else {
        eprintln!("SKIPPED: there is no {}; set HAPI_FIXTURES to the folder of the data", path.display());
        return None;
    };
    let list: ServerList<'_> = serde_json::from_str(&text).unwrap();
    let rules = Rules { strictness: Strictness::Import, allow_insecure_endpoints: false };
    let parse =
        |entry: &ListEntry<'_>| ServerJson::parse(entry.server.get().as_bytes(), rules).unwrap().server;
    Some(list.servers.iter().map(parse).collect())
}

fn registry_of(documents: Vec<ServerJson>) -> Registry {
    let mut registry = Registry::default();
    let mut number = 0;
    let (_, token) = mint(Role::Operator, || {
        number += 1;
        number
    });
    let new = hapi_registry_state::NewToken {
        id: token.id.clone(),
        hash: token.hash,
        role: Role::Operator,
        client: None,
        tenant: None,
        namespaces: Vec::new(),
        expires_at: None,
    };
    let at = Timestamp::from_seconds(1_767_225_600);
    let mut apply = |index, by, command| registry.apply(index, &Entry::new(at, by, command));
    assert_eq!(apply(1, Principal::ClusterSecret, Command::Bootstrap(new)), Outcome::Done);
    let imported = documents.into_iter().map(|document| Imported {
        document,
        status: Status::Active,
        status_message: None,
        published_at: None,
        updated_at: None,
    });
    let outcome = apply(2, Principal::Token(token.id), Command::Import(imported.collect()));
    assert!(matches!(outcome, Outcome::Imported(_)), "{outcome:?}");
    registry
}

#[test]
fn the_server_that_is_meant_is_among_the_first_three() {
    let Some(documents) = real_documents() else { return };
    let registry = registry_of(documents);
    let mut missed = Vec::new();
    for (question, wanted) in QUESTIONS {
        let query = ListQuery {
            limit: 3,
            search: Some(question.into()),
            version: VersionFilter::Latest,
            ..ListQuery::default()
        };
        let page = registry.list(&query, Viewer::Anonymous);
        let first: Vec<_> =
            page.items.iter().map(|item| item.published.document.name().to_string()).collect();
        if !first.iter().any(|name| name == wanted) {
            missed.push(format!("{question}: {wanted} is not among {first:?}"));
        }
    }
    assert!(QUESTIONS.len() - missed.len() >= AIM, "{missed:#?}");
    eprintln!("{} of {} found; missed: {missed:#?}", QUESTIONS.len() - missed.len(), QUESTIONS.len());
}
