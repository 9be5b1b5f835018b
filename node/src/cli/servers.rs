//! `servers`: the catalog.

use super::percent::encode;
use super::publish::read_json;
use super::session::Session;
use super::{Failure, Remote, table};
use hapi_client::Method;
use hapi_registry_state::{ServerName, ServerRef, Status};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::path::PathBuf;

/// The most entries that one page of the API has.
const PAGE: usize = 100;

const COLUMNS: &[table::Column] = &[
    ("NAME", "/server/name"),
    ("VERSION", "/server/version"),
    ("STATUS", "/_meta/io.modelcontextprotocol.registry~1official/status"),
    ("VERIFIED", "/_meta/ai.com.mcp~1governance/verified"),
    ("CONNECTABLE", "/_meta/ai.com.mcp~1governance/connectable"),
    ("DESCRIPTION", "/server/description"),
];

const FIELDS: &[table::Column] = &[
    ("name", "/server/name"),
    ("version", "/server/version"),
    ("title", "/server/title"),
    ("description", "/server/description"),
    ("website", "/server/websiteUrl"),
    ("status", "/_meta/io.modelcontextprotocol.registry~1official/status"),
    ("message", "/_meta/io.modelcontextprotocol.registry~1official/statusMessage"),
    ("published", "/_meta/io.modelcontextprotocol.registry~1official/publishedAt"),
    ("latest", "/_meta/io.modelcontextprotocol.registry~1official/isLatest"),
    ("verified", "/_meta/ai.com.mcp~1governance/verified"),
    ("moderation", "/_meta/ai.com.mcp~1governance/moderation"),
    ("reason", "/_meta/ai.com.mcp~1governance/reason"),
    ("until", "/_meta/ai.com.mcp~1governance/expires_at"),
    ("connectable", "/_meta/ai.com.mcp~1governance/connectable"),
    ("down since", "/_meta/ai.com.mcp~1governance/health/since"),
    ("because of", "/_meta/ai.com.mcp~1governance/health/fault"),
];

const VERSIONS: &[table::Column] = &[
    ("VERSION", "/server/version"),
    ("STATUS", "/_meta/io.modelcontextprotocol.registry~1official/status"),
    ("LATEST", "/_meta/io.modelcontextprotocol.registry~1official/isLatest"),
    ("VERIFIED", "/_meta/ai.com.mcp~1governance/verified"),
    ("CONNECTABLE", "/_meta/ai.com.mcp~1governance/connectable"),
    ("PUBLISHED", "/_meta/io.modelcontextprotocol.registry~1official/publishedAt"),
];

/// Read the catalog: list it, search it, or show one server and its versions.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry servers search weather
      The servers that have to do with weather, the best match first.")]
pub(crate) enum Servers {
    /// List servers, ordered by name and version.
    #[command(after_help = "Example:
  hapi-registry servers list --limit 500 --output json
      The latest versions of the first 500 servers, for a program.")]
    List(List),
    /// Search names, titles and descriptions, the best match first.
    #[command(after_help = "Example:
  hapi-registry servers search weather
      The servers that have to do with weather, the best match first.")]
    Search(Search),
    /// Show one server, in its latest version or in the one given.
    #[command(after_help = "Example:
  hapi-registry servers get ai.acme/weather@1.2.0
      What is known of this version, and where it can be reached.")]
    Get(Get),
    /// List all versions of one server, the newest first.
    #[command(after_help = "Example:
  hapi-registry servers versions ai.acme/weather
      Which versions there are, and which of them can be reached.")]
    Versions(Versions),
    /// Change what a published version says of itself, with a publisher token for its namespace.
    ///
    /// Name, version, remotes and packages stay as they were published: clients connect by them.
    #[command(after_help = "Example:
  hapi-registry servers edit server.json --token-file publisher.token
      Gives a published version the title and description that stand in the file now.")]
    Edit(Edit),
    /// Say that a version, or all of a server's, is active, deprecated or deleted.
    #[command(after_help = "Example:
  hapi-registry servers set-status ai.acme/weather@1.2.0 deprecated --message 'use 2.0.0'
      Clients are told; `deleted` also ends every connect.")]
    SetStatus(SetStatus),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    /// The whole `server.json` document
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetStatus {
    /// NAMESPACE/NAME@VERSION, or NAMESPACE/NAME for all versions
    server_ref: ServerRef,
    /// `active`, `deprecated` or `deleted`
    status: Status,
    /// Why, for people; does not go with `active`
    #[arg(long)]
    message: Option<String>,
    /// Seconds to wait until no node issues against `deleted` any more
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=60))]
    wait: u64,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// At most so many entries
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Every version, not only the latest
    #[arg(long)]
    all_versions: bool,
    /// Also what was deleted or moderated away
    #[arg(long)]
    include_deleted: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// What to look for
    query: String,
    /// At most so many entries
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// NAMESPACE/NAME or NAMESPACE/NAME@VERSION
    server_ref: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Versions {
    /// NAMESPACE/NAME
    name: ServerName,
    /// Also what was deleted or moderated away
    #[arg(long)]
    include_deleted: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Servers {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let version = if list.all_versions { "" } else { "&version=latest" };
                let deleted = if list.include_deleted { "&include_deleted=true" } else { "" };
                let filter = format!("{version}{deleted}");
                show_pages(&list.remote.session()?, "/v0.1/servers", &filter, list.limit).await
            }
            Self::Search(search) => {
                let filter = format!("&query={}", encode(&search.query));
                show_pages(&search.remote.session()?, "/v1/servers", &filter, search.limit).await
            }
            Self::Get(get) => get.run().await,
            Self::Versions(versions) => versions.run().await,
            Self::Edit(edit) => edit.run().await,
            Self::SetStatus(set) => set.run().await,
        }
    }
}

impl Edit {
    async fn run(self) -> Result<(), Failure> {
        let document: Box<RawValue> = read_json(&self.file)?;
        let Identity { name, version } = serde_json::from_str(document.get()).map_err(|error| {
            Failure::usage(format!("{} names no published version: {error}", self.file.display()))
        })?;
        let path = format!("/v0.1/servers/{}/versions/{}", encode(&name), encode(&version));
        let session = self.remote.session()?;
        let answer = session.send_raw(Method::PUT, &path, &document).await?;
        session.show(&answer, |_| format!("edited {name}@{version}"))
    }
}

/// What of a document says where it belongs.
#[derive(Deserialize)]
struct Identity {
    name: String,
    version: String,
}

impl SetStatus {
    async fn run(self) -> Result<(), Failure> {
        let Self { server_ref, status, message, wait, remote } = self;
        let version = server_ref.version.as_ref();
        let version = version.map(|version| format!("/versions/{}", encode(version.as_str())));
        let name = encode(server_ref.name.as_str());
        let path = format!("/v0.1/servers/{name}{}/status", version.unwrap_or_default());
        let body = json!({ "status": status.as_str(), "statusMessage": message });
        let session = remote.session()?;
        let answer = session.write(Method::PATCH, &path, Some(body), wait).await?;
        session.show(&answer, |_| format!("{server_ref} is {}", status.as_str()))
    }
}

impl Versions {
    async fn run(self) -> Result<(), Failure> {
        let name = encode(self.name.as_ref());
        let path = format!("/v0.1/servers/{name}/versions?include_deleted={}", self.include_deleted);
        self.remote.session()?.list(&path, "servers", VERSIONS).await
    }
}

impl Get {
    async fn run(self) -> Result<(), Failure> {
        let (name, version) = self.server_ref.split_once('@').unwrap_or((&self.server_ref, "latest"));
        let path =
            format!("/v0.1/servers/{}/versions/{}?include_deleted=true", encode(name), encode(version));
        let session = self.remote.session()?;
        let answer = session.get(&path).await?;
        session.show(&answer, |answer| {
            let remotes = answer.pointer("/server/remotes").and_then(Value::as_array).map(Vec::as_slice);
            let columns = [("TRANSPORT", "/type"), ("REMOTE", "/url")];
            let remotes =
                remotes.map(|remotes| format!("\n{}", table::table(&columns, remotes))).unwrap_or_default();
            format!("{}{remotes}", table::fields(FIELDS, answer))
        })
    }
}

/// Follows the pages until `limit` entries are there.
async fn show_pages(session: &Session, path: &str, filter: &str, limit: usize) -> Result<(), Failure> {
    let mut servers: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    while servers.len() < limit {
        let size = PAGE.min(limit - servers.len());
        let mut page = session.get(&format!("{path}?limit={size}{filter}{cursor}")).await?;
        if let Value::Array(entries) = page["servers"].take() {
            servers.extend(entries);
        }
        let Some(next) = page.pointer("/metadata/nextCursor").and_then(Value::as_str) else { break };
        cursor = format!("&cursor={}", encode(next));
    }
    let answer = json!({"servers": servers, "metadata": {"count": servers.len()}});
    session.show(&answer, |_| table::table(COLUMNS, &servers))
}
