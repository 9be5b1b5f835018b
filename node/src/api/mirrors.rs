//! `/v1/mirrors`: other registries that this one follows.

use super::{
    Api,
    body::{self, Json, Path},
    import::MAX_IMPORT,
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    entries::{Batch, RejectedEntry, ServerList, parse_mirrored},
    mirror::{OFFICIAL, REPORTED, SINCE, Seen, base_url},
    problem::{Problem, ProblemBody},
};
use axum::{
    Json as Answer,
    extract::{Request, State},
    http::StatusCode,
};
use hapi_registry_state::{
    Command, Glob, GlobError, Mirror, MirrorId, MirrorSettings, Mirrored, Outcome, Registry, Right,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use utoipa::ToSchema;

/// What is followed, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MirrorBody {
    /// The base URL of the other registry, before `/v0.1/servers`; without it, the official one's.
    #[serde(default = "official")]
    url: String,
    /// Server names that are taken, with `*` for anything; without any, all.
    #[serde(default)]
    include: Vec<String>,
    /// Server names that are not, whatever is included.
    #[serde(default)]
    exclude: Vec<String>,
    /// How many seconds it rests between two passes: 1 to 3600.
    #[serde(default = "interval")]
    interval_seconds: u32,
}

fn official() -> String {
    OFFICIAL.into()
}

/// Changes arrive within minutes, and a registry bears this from many.
fn interval() -> u32 {
    300
}

/// All mirrors.
#[derive(Serialize, ToSchema)]
pub(crate) struct MirrorList {
    mirrors: Vec<ShownMirror>,
    index: u64,
}

/// A mirror and how far it has come.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownMirror {
    id: String,
    url: String,
    include: Vec<String>,
    exclude: Vec<String>,
    interval_seconds: u32,
    /// How many versions here came from it.
    versions: usize,
    /// What had changed there by then is here, by its own clock; absent until a first pass has come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete_until: Option<String>,
    /// Whether the log knows of a pass that is under way, or was broken off and will be gone on with.
    under_way: bool,
    /// The index of the act that made these settings.
    index: u64,
    /// The base URL of the node that follows it: it alone shows `progress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    followed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ShownProgress>,
}

/// What the node that follows a mirror has seen since it began to.
#[derive(Serialize, ToSchema)]
struct ShownProgress {
    /// When a pass last came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<String>,
    /// What went wrong since.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How many passes have failed, one after the other.
    failures: u32,
    /// Entries of the present or the last pass, by what came of them.
    #[schema(value_type = BTreeMap<String, u64>)]
    entries: BTreeMap<&'static str, u64>,
    /// Some of those that were rejected in it.
    rejected: Vec<RejectedEntry>,
}

/// What came of entries that were handed over.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct MirrorReport {
    /// The index of the last entry of the log that this made; 0 if nothing had to be written.
    index: u64,
    /// How many versions are new.
    added: usize,
    /// Of how many the status, the message or the document is another now.
    updated: usize,
    /// How many were deleted there, and are here now: no node issues for them any more.
    deleted: usize,
    /// How many stood so already.
    unchanged: usize,
    /// How many belong to a server that was published here or comes from another source.
    kept: usize,
    /// How many are deleted there and have never been here.
    absent: usize,
    /// Which were not taken over, and why.
    rejected: Vec<RejectedEntry>,
}

/// Show all mirrors.
#[utoipa::path(
    get, path = "/v1/mirrors", tag = "governance",
    responses((status = 200, body = MirrorList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<MirrorList>, Problem> {
    caller.govern(&api).await?;
    let state = api.replica.state();
    let mirrors = state.mirrors().map(|(id, mirror)| shape(&api, &state, id, mirror)).collect();
    Ok(Answer(MirrorList { mirrors, index: state.applied() }))
}

/// Show a mirror.
#[utoipa::path(
    get, path = "/v1/mirrors/{id}", tag = "governance", params(("id" = String, Path)),
    responses((status = 200, body = ShownMirror), (status = "default", body = ProblemBody))
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<ShownMirror>, Problem> {
    caller.govern(&api).await?;
    one(&api, &parse_id(&id)?)
}

/// Follow another registry, or change how it is followed. Other lists or another URL begin anew from the first page.
#[utoipa::path(
    put, path = "/v1/mirrors/{id}", tag = "governance", params(("id" = String, Path)), request_body = MirrorBody,
    responses((status = 200, body = ShownMirror), (status = "default", body = ProblemBody))
)]
pub(crate) async fn put(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(body): Json<MirrorBody>,
) -> Result<Answer<ShownMirror>, Problem> {
    caller.require(Right::Operate)?;
    require_upgraded(&api)?;
    let (id, mirror) = (parse_id(&id)?, body.settings()?);
    api.write(&caller, Command::PutMirror { id: id.clone(), mirror }).await?;
    one(&api, &id)
}

/// Follow another registry no more. What came from it stays, and stays as it is.
#[utoipa::path(
    delete, path = "/v1/mirrors/{id}", tag = "governance", params(("id" = String, Path)),
    responses((status = 200, body = Receipt), (status = "default", body = ProblemBody))
)]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    require_upgraded(&api)?;
    Ok(Answer(api.write(&caller, Command::RemoveMirror(parse_id(&id)?)).await?.into()))
}

/// Hand over entries of another registry, as it gives them: what is new is added, what has changed is changed, what is
/// deleted there is deleted here. What stands so already writes nothing, so that this may be repeated.
#[utoipa::path(
    post, path = "/v1/mirrors/{id}/entries", tag = "governance", params(("id" = String, Path)),
    request_body(content = Object, description = "A ServerList of the registry API, at most 16 MiB"),
    responses((status = 200, body = MirrorReport), (status = "default", body = ProblemBody))
)]
pub(crate) async fn take(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer<MirrorReport>, Problem> {
    caller.require(Right::Operate)?;
    require_upgraded(&api)?;
    let source = parse_id(&id)?;
    let list: ServerList = body::read_json(request, MAX_IMPORT).await?;
    // What was written a moment ago, perhaps on another node, is not to be written again.
    api.replica.read_index().await?;
    let mut report = MirrorReport::default();
    let mut batch = Batch::default();
    for text in list.servers {
        let entry = match parse_mirrored(&text) {
            Ok(entry) => entry,
            Err(rejected) => {
                report.rejected.push(rejected);
                continue;
            }
        };
        match api.replica.state().mirroring(&source, &entry) {
            Ok(outcome) if outcome.changes() => batch.add(entry),
            Ok(outcome) => report.count(outcome),
            Err(rejection) => {
                let (name, version) = (entry.document.name(), entry.document.version());
                report.rejected.push(RejectedEntry::new(name.to_string(), version.to_string(), &rejection));
            }
        }
        if batch.is_full() {
            send(&api, &caller, &source, std::mem::take(&mut batch), &mut report).await?;
        }
    }
    send(&api, &caller, &source, batch, &mut report).await?;
    Ok(Answer(report))
}

async fn send(
    api: &Api,
    caller: &Authenticated,
    source: &MirrorId,
    batch: Batch,
    report: &mut MirrorReport,
) -> Result<(), Problem> {
    if batch.entries.is_empty() {
        return Ok(());
    }
    let names = batch.names();
    let command = Command::Mirror { source: source.clone(), entries: batch.entries, step: None };
    let written = api.write_unnamed(caller, command).await?;
    report.index = written.index;
    if let Outcome::Mirrored(results) = written.outcome {
        for (result, (name, version)) in results.into_iter().zip(names) {
            match result {
                Ok(outcome) => report.count(outcome),
                Err(rejection) => report.rejected.push(RejectedEntry::new(name, version, &rejection)),
            }
        }
    }
    Ok(())
}

impl MirrorReport {
    fn count(&mut self, outcome: Mirrored) {
        let counter = match outcome {
            Mirrored::Added => &mut self.added,
            Mirrored::Updated => &mut self.updated,
            Mirrored::Deleted => &mut self.deleted,
            Mirrored::Unchanged => &mut self.unchanged,
            Mirrored::Kept => &mut self.kept,
            Mirrored::Absent => &mut self.absent,
        };
        *counter += 1;
    }
}

impl MirrorBody {
    fn settings(self) -> Result<MirrorSettings, Problem> {
        let url = base_url(&self.url).map_err(|error| Problem::invalid(format!("`url`: {error}")))?;
        Ok(MirrorSettings {
            url: url.as_str().trim_end_matches('/').to_owned(),
            include: globs("include", &self.include)?,
            exclude: globs("exclude", &self.exclude)?,
            interval: self.interval_seconds,
        })
    }
}

fn globs(field: &str, texts: &[String]) -> Result<Vec<Glob>, Problem> {
    let parsed: Result<_, GlobError> = texts.iter().map(|text| text.parse()).collect();
    parsed.map_err(|error| Problem::invalid(format!("`{field}`: {error}")))
}

fn parse_id(id: &str) -> Result<MirrorId, Problem> {
    id.parse().map_err(|error| Problem::invalid(format!("mirror id: {error}")))
}

/// An older program could not read the log any more.
fn require_upgraded(api: &Api) -> Result<(), Problem> {
    if api.replica.all_run(SINCE) {
        return Ok(());
    }
    let detail = format!("mirrors need every node to run {SINCE} or later: finish the upgrade first");
    Err(Problem::new(StatusCode::CONFLICT, "conflict", detail))
}

fn one(api: &Api, id: &MirrorId) -> Result<Answer<ShownMirror>, Problem> {
    let state = api.replica.state();
    let mirror = state.mirror(id).ok_or_else(|| {
        Problem::not_found("mirror_not_found", format!("there is no mirror {id}: see `mirror list`"))
    })?;
    Ok(Answer(shape(api, &state, id, mirror)))
}

fn shape(api: &Api, state: &Registry, id: &MirrorId, mirror: &Mirror) -> ShownMirror {
    let Mirror { settings, progress, index } = mirror;
    let text = |globs: &[Glob]| globs.iter().map(ToString::to_string).collect();
    let leader = api.replica.status().leader.and_then(|leader| state.member(leader));
    ShownMirror {
        id: id.to_string(),
        url: settings.url.clone(),
        include: text(&settings.include),
        exclude: text(&settings.exclude),
        interval_seconds: settings.interval,
        versions: state.mirrored_from(id),
        complete_until: progress.mark.map(|mark| mark.to_string()),
        under_way: progress.pass.is_some(),
        index: *index,
        followed_by: leader.map(|leader| leader.http.clone()),
        progress: api.mirrors.seen(id).map(progress_of),
    }
}

fn progress_of(Seen { last_success, error, failures, counts, mut rejected }: Seen) -> ShownProgress {
    rejected.truncate(REPORTED);
    let last_success = last_success.map(|at| at.to_string());
    ShownProgress { last_success, error, failures, entries: counts, rejected }
}
