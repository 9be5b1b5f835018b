//! `mirror`: take over what another registry has, once or for good.

use super::percent::encode;
use super::seal::Follow;
use super::{Failure, Remote, progress, session::Session, table};
use crate::config;
use crate::mirror::{Bounds, OFFICIAL, Page, Question, Source, SourceError, Walk, base_url};
use crate::outbound::Outbound;
use hapi_client::Method;
use hapi_registry_state::{Glob, MirrorId};
use serde::{Deserialize, Serialize};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

const COLUMNS: &[table::Column] = &[
    ("ID", "/id"),
    ("URL", "/url"),
    ("VERSIONS", "/versions"),
    ("COMPLETE UNTIL", "/complete_until"),
    ("INCLUDE", "/include"),
    ("EXCLUDE", "/exclude"),
    ("INTERVAL", "/interval_seconds"),
];

const FIELDS: &[table::Column] = &[
    ("id", "/id"),
    ("url", "/url"),
    ("include", "/include"),
    ("exclude", "/exclude"),
    ("interval", "/interval_seconds"),
    ("versions", "/versions"),
    ("complete until", "/complete_until"),
    ("under way", "/under_way"),
    ("followed by", "/followed_by"),
    ("last success", "/progress/last_success"),
    ("error", "/progress/error"),
    ("failures", "/progress/failures"),
];

const REJECTED: &[table::Column] =
    &[("NAME", "/name"), ("VERSION", "/version"), ("CODE", "/code"), ("REASON", "/reason")];

/// How many entries go to the cluster in one request.
const CHUNK: usize = 100;

/// The longest id, and what is no part of one.
const ID_CHARS: usize = 63;

/// Take over the servers of another registry, once, or let the cluster follow it for good.
///
/// Without a subcommand everything is read here and handed to the cluster, with an operator token: what is new is added
/// and marked with its source, what has changed there is changed here, what is deleted there is deleted here. Nothing
/// that was published here is touched, and no moderation is lifted. It may be repeated, also after it was broken off:
/// what stands so already is not written again.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Example:
  hapi-registry mirror --from https://registry.example.com --include 'com.example/*' --token-file operator.token
      Takes over these servers once. `mirror add` instead lets the cluster follow that registry for good.")]
pub(crate) struct MirrorVerb {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    origin: Origin,
    #[command(flatten)]
    remote: Remote,
}

/// What is taken over from where.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Origin {
    /// The base URL of the other registry, before `/v0.1/servers`
    #[arg(long, value_name = "URL", default_value = OFFICIAL)]
    from: String,
    /// What its servers are marked with; without it, the host's name
    #[arg(long = "as", value_name = "ID")]
    id: Option<MirrorId>,
    /// Servers that are taken, as `com.example/*`; may be repeated; without any, all
    #[arg(long, value_name = "GLOB")]
    include: Vec<Glob>,
    /// Servers that are not taken, whatever is included; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<Glob>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Let the cluster follow another registry, or change how it does, with an operator token.
    ///
    /// The node that leads reads what has changed there, again and again; another one that comes to lead goes on where
    /// it stopped.
    #[command(after_help = "Example:
  hapi-registry mirror add --exclude 'io.github.spam/*'
      Follows the official registry, but for these servers.")]
    Add(Add),
    /// List the registries that are followed.
    #[command(after_help = "Example:
  hapi-registry mirror list
      One line for each: from where, how many versions, and until when they are complete.")]
    List(List),
    /// Show how far a mirror has come, and what went wrong last.
    #[command(after_help = "Example:
  hapi-registry mirror status registry.modelcontextprotocol.io
      Asks the node that follows it.")]
    Status(One),
    /// Follow another registry no more, with an operator token. What came from it stays.
    #[command(after_help = "Example:
  hapi-registry mirror remove registry.modelcontextprotocol.io
      Its servers stay in the catalog as they are.")]
    Remove(One),
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    origin: Origin,
    /// How many seconds to rest between two passes
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    interval: u32,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The mirror's id, as `mirror list` shows it
    id: MirrorId,
    #[command(flatten)]
    remote: Remote,
}

impl MirrorVerb {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.act {
            None => once(&self.origin, &self.remote.session()?).await,
            Some(Act::Add(add)) => add.run().await,
            Some(Act::List(List { remote })) => {
                remote.session()?.list("/v1/mirrors", "mirrors", COLUMNS).await
            }
            Some(Act::Status(one)) => one.status().await,
            Some(Act::Remove(one)) => one.remove().await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let Origin { from, include, exclude, .. } = &self.origin;
        let id = self.origin.id()?;
        let body = json!({
            "url": from, "include": texts(include), "exclude": texts(exclude), "interval_seconds": self.interval,
        });
        let answer = Follow::default().write(&session, Method::PUT, &path(&id), Some(body)).await?;
        session.show(&answer, |answer| format!("following {} as {id}", table::cell(answer.get("url"))))
    }
}

impl One {
    /// Only the node that follows a mirror knows what goes wrong: if another one has answered, that one is asked too.
    async fn status(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let mut answer = session.get(&path(&self.id)).await?;
        let elsewhere = answer["followed_by"].as_str().filter(|_| answer["progress"].is_null());
        if let Some(url) = elsewhere {
            let remote = Remote { nodes: vec![url.to_owned()], ..self.remote.clone() };
            // What was answered already is better than nothing.
            if let Ok(session) = remote.session()
                && let Ok(better) = session.get(&path(&self.id)).await
            {
                answer = better;
            }
        }
        session.show(&answer, status_text)
    }

    async fn remove(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let answer = Follow::default().write(&session, Method::DELETE, &path(&self.id), None).await?;
        session.show(&answer, |_| format!("{} is followed no more; what came from it stays", self.id))
    }
}

fn path(id: &MirrorId) -> String {
    format!("/v1/mirrors/{}", encode(id.as_str()))
}

fn texts(globs: &[Glob]) -> Vec<&str> {
    globs.iter().map(Glob::as_str).collect()
}

fn status_text(mirror: &Value) -> String {
    let counts = mirror.pointer("/progress/entries").and_then(Value::as_object);
    let counts = counts.filter(|counts| !counts.is_empty()).map(|counts| {
        let texts = counts.iter().map(|(outcome, count)| format!("{count} {outcome}"));
        format!("\nthe last pass: {}\n", texts.collect::<Vec<_>>().join(", "))
    });
    let rejected = mirror.pointer("/progress/rejected").and_then(Value::as_array);
    let rejected = rejected.filter(|rejected| !rejected.is_empty());
    let rejected = rejected.map(|rejected| format!("\n{}", table::table(REJECTED, rejected)));
    let fields = table::fields(FIELDS, mirror);
    format!("{fields}{}{}", counts.unwrap_or_default(), rejected.unwrap_or_default())
}

impl Origin {
    /// The id that was given, or what the host's name makes.
    fn id(&self) -> Result<MirrorId, Failure> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let url = base_url(&self.from).map_err(usage)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let text = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}-{port}"));
        let plain = |char: char| if char.is_ascii_alphanumeric() || char == '.' { char } else { '-' };
        let text: String = text.chars().map(plain).take(ID_CHARS).collect();
        text.parse().map_err(|_| {
            Failure::usage(format!("the host of {} makes no id", self.from)).hint("give one with --as")
        })
    }

    fn takes(&self, entry: &RawValue) -> bool {
        let Ok(named) = serde_json::from_str::<Named>(entry.get()) else { return true };
        let listed = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(&named.server.name));
        (self.include.is_empty() || listed(&self.include)) && !listed(&self.exclude)
    }
}

fn usage(error: SourceError) -> Failure {
    Failure::usage(error.to_string())
}

/// As much of an entry as the filter asks for.
#[derive(Deserialize)]
struct Named {
    server: ServerName,
}

#[derive(Deserialize)]
struct ServerName {
    name: String,
}

/// Some entries, as one request.
#[derive(Serialize)]
struct Chunk<'a> {
    servers: &'a [Box<RawValue>],
}

/// Reads the other registry from its first page to its last.
async fn once(origin: &Origin, session: &Session) -> Result<(), Failure> {
    let id = origin.id()?;
    let path = format!("{}/entries", path(&id));
    let source = Source::new(&origin.from, Bounds::default(), &outbound()?).map_err(usage)?;
    let mut walk = Walk::new(source, Question::default());
    let bar = progress::endless_entries();
    let mut total = Total::default();
    while let Some(page) = walk.next().await.map_err(|error| total.interrupted(unread(&error)))? {
        let Page { mut entries, .. } = page;
        let read = entries.len();
        entries.retain(|entry| origin.takes(entry));
        total.excluded += (read - entries.len()) as u64;
        for servers in entries.chunks(CHUNK) {
            let body = to_raw_value(&Chunk { servers }).map_err(|error| Failure::usage(error.to_string()))?;
            let answer = session.send_raw(Method::POST, &path, &body).await;
            total.add(answer.map_err(|failure| total.interrupted(failure))?);
        }
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    session.show(&total.to_json(&id), Total::report)
}

/// Whoever types the URL is on this machine and in its network already.
fn outbound() -> Result<Outbound, Failure> {
    let settings = config::Outbound { allow_private: true, dns_server: None };
    Outbound::new(&settings).map_err(|error| Failure::usage(error.to_string()))
}

fn unread(error: &SourceError) -> Failure {
    Failure::refused(error.to_string())
}

/// What comes of entries, in the order in which it is told.
const OUTCOMES: [&str; 6] = ["added", "updated", "deleted", "unchanged", "kept", "absent"];

/// What all requests together came to.
#[derive(Default)]
struct Total {
    index: u64,
    counts: [u64; OUTCOMES.len()],
    excluded: u64,
    rejected: Vec<Value>,
}

impl Total {
    fn add(&mut self, mut answer: Value) {
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        self.index = self.index.max(count("index"));
        for (total, name) in self.counts.iter_mut().zip(OUTCOMES) {
            *total += count(name);
        }
        if let Value::Array(rejected) = answer["rejected"].take() {
            self.rejected.extend(rejected);
        }
    }

    fn interrupted(&self, failure: Failure) -> Failure {
        let [added, updated, deleted, ..] = self.counts;
        match (added + updated + deleted, &failure.hint) {
            (0, Some(_)) => failure,
            (done, _) => failure.hint(format!(
                "{done} entries were taken over before; the same again goes on with what is missing"
            )),
        }
    }

    fn to_json(&self, id: &MirrorId) -> Value {
        let mut total = json!({
            "source": id.as_str(), "index": self.index, "excluded": self.excluded, "rejected": self.rejected,
        });
        for (count, name) in self.counts.iter().zip(OUTCOMES) {
            total[name] = json!(count);
        }
        total
    }

    fn report(total: &Value) -> String {
        let rejected = total["rejected"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut counts: Vec<_> = OUTCOMES.iter().map(|name| format!("{name} {}", total[*name])).collect();
        counts.push(format!("excluded {}, rejected {}", total["excluded"], rejected.len()));
        let summary = counts.join(", ");
        if rejected.is_empty() {
            return summary;
        }
        format!("{}{summary}", table::table(REJECTED, rejected))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        origin: Origin,
    }

    fn origin(line: &str) -> Origin {
        Line::try_parse_from(line.split(' ')).unwrap().origin
    }

    #[test]
    fn a_mirror_is_named_after_its_host_unless_it_has_a_name() {
        let id = |line: &str| origin(line).id().unwrap().to_string();
        assert_eq!(id("mirror"), "registry.modelcontextprotocol.io");
        assert_eq!(id("mirror --from https://Registry.Example/base"), "registry.example");
        assert_eq!(id("mirror --from http://127.0.0.1:8080"), "127.0.0.1-8080");
        assert_eq!(id("mirror --from http://[2001:db8::1]:8080"), "2001-db8--1-8080");
        assert_eq!(id("mirror --as official"), "official");
        assert!(origin("mirror --from registry.example").id().is_err());
    }

    #[test]
    fn globs_say_what_is_taken() {
        let takes = |line: &str, name: &str| {
            origin(line).takes(&to_raw_value(&json!({ "server": { "name": name } })).unwrap())
        };
        assert!(takes("mirror", "ai.acme/a"));
        assert!(takes("mirror --include ai.acme/*", "ai.acme/a"));
        assert!(!takes("mirror --include ai.acme/*", "ai.other/a"));
        assert!(!takes("mirror --include ai.acme/* --exclude */a", "ai.acme/a"));
        // What has no name is for the cluster to reject, by name and reason.
        assert!(origin("mirror --include a/*").takes(&to_raw_value(&json!(7)).unwrap()));
    }

    #[test]
    fn answers_add_up() {
        let mut total = Total { excluded: 4, ..Total::default() };
        total.add(json!({"index": 7, "added": 2, "unchanged": 1, "rejected": []}));
        total.add(json!({"index": 0, "added": 1, "kept": 5, "deleted": 1, "rejected": [
            {"name": "a.b/c", "version": "1", "code": "remote_url_taken", "reason": "It is taken."}
        ]}));
        let total = total.to_json(&"official".parse().unwrap());
        assert_eq!((&total["index"], &total["source"]), (&json!(7), &json!("official")));
        insta::assert_snapshot!(Total::report(&total), @r"
        NAME   VERSION  CODE              REASON
        a.b/c  1        remote_url_taken  It is taken.
        added 3, updated 0, deleted 1, unchanged 1, kept 5, absent 0, excluded 4, rejected 1
        ");
    }

    #[test]
    fn the_status_shows_what_went_wrong_and_what_was_rejected() {
        let mirror = json!({
            "id": "official", "url": "https://registry.example", "include": [], "exclude": ["a.b/*"],
            "interval_seconds": 300, "versions": 12, "under_way": true, "followed_by": "http://a",
            "progress": {
                "error": "https://registry.example/v0.1/servers answers 500", "failures": 3,
                "entries": {"added": 7, "rejected": 1},
                "rejected": [{"name": "a.b/c", "version": "1", "code": "immutable", "reason": "It never changes."}],
            },
        });
        insta::assert_snapshot!(status_text(&mirror), @r"
        id:           official
        url:          https://registry.example
        include:      -
        exclude:      a.b/*
        interval:     300
        versions:     12
        under way:    yes
        followed by:  http://a
        error:        https://registry.example/v0.1/servers answers 500
        failures:     3

        the last pass: 7 added, 1 rejected

        NAME   VERSION  CODE       REASON
        a.b/c  1        immutable  It never changes.
        ");
    }
}
