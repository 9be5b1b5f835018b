//! `/v1/moderation`: acts that bind every node, and the records that they leave.

use super::{
    Api, Written,
    act_requests::ShownRequest,
    audit::{ShownRecord, ShownSubject, shape as shape_record},
    body::{Json, Query, object},
    receipt::Receipt,
};
use crate::{
    auth::Authenticated,
    clock,
    problem::{Problem, ProblemBody},
};
use axum::{
    Json as Answer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hapi_registry_state::{
    ActRequest, AuditRecord, AuditedSubject, Command, Entry, Moderation, Order, Outcome, Registry, Right,
    Standing, Subject, Target, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use utoipa::{IntoParams, ToSchema};

/// An act of moderation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActBody {
    /// `suspend`, `quarantine`, `revoke`, `reinstate`, `approve`, `verify` or `unverify`.
    act: String,
    /// What it is done to.
    #[serde(deserialize_with = "object")]
    subject: TargetBody,
    /// Why; shown to whoever is refused because of it.
    reason: String,
    /// The moderator's own reference.
    case: Option<String>,
    /// When a suspension or a quarantine lifts itself (RFC 3339); without this a moderator lifts it.
    expires_at: Option<String>,
    /// Say what would come of it, and do nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What an act is done to: one subject by its `id`, or all that fit a `glob`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetBody {
    /// `server`, `version`, `namespace`, `client`, `tenant`, `token`, `key` or `node`; with a glob `server` or `version`.
    kind: String,
    /// Its id; of a version `namespace/name@version`.
    id: Option<String>,
    /// Over names, as `ai.acme/*`; of versions perhaps with a glob over versions, as `ai.acme/*@1.*`. At most 1000 may
    /// fit.
    glob: Option<String>,
}

/// How one subject is named.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubjectBody {
    /// `server`, `version`, `namespace`, `client`, `tenant`, `token`, `key` or `node`.
    kind: String,
    /// Its id; of a version `namespace/name@version`.
    id: String,
}

/// What came of an act.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActAnswer {
    #[serde(flatten)]
    #[schema(inline)]
    pub(crate) receipt: Receipt,
    /// Present if nothing was done, and all of this is what would come of it on the state at `index`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<DryRun>,
    /// For a glob, how many subjects there are by what came of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<String, u64>,
    /// For a glob, what came of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subjects: Vec<ShownSubject>,
}

/// What would come of an act.
#[derive(Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// `done` or `unchanged`; for a glob `done` if it is for one subject at least.
    outcome: &'static str,
    /// Whether it would take something from somebody, and be answered once no node issues against it.
    denies: bool,
}

/// An act that another moderator has to confirm.
#[derive(Serialize, ToSchema)]
pub(crate) struct Asked {
    /// Always `confirmation_needed`.
    code: &'static str,
    /// A sentence for people.
    detail: String,
    /// The index of the entry.
    pub(crate) index: u64,
    request: ShownRequest,
}

/// What an act is answered.
pub(crate) enum ActReply {
    Done(ActAnswer),
    Asked(Asked),
}

impl IntoResponse for ActReply {
    fn into_response(self) -> Response {
        match self {
            Self::Done(answer) => Answer(answer).into_response(),
            Self::Asked(asked) => (StatusCode::ACCEPTED, Answer(asked)).into_response(),
        }
    }
}

/// Suspend, quarantine, revoke, reinstate, approve, verify, unverify; one subject or all that fit a glob.
#[utoipa::path(
    post, path = "/v1/moderation", tag = "governance", request_body = ActBody,
    responses(
        (status = 200, description = "No node issues against this act any more", body = ActAnswer),
        (
            status = 202,
            description = "With `not_sealed`: committed; some node may still issue: follow `seal`. With \
                `confirmation_needed`: another moderator has to confirm `request`",
            body = Object,
        ),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn act(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Json(body): Json<ActBody>,
) -> Result<ActReply, Problem> {
    perform(&api, &caller, body).await
}

/// Does the act in the caller's name, or says what would come of it.
pub(crate) async fn perform(api: &Api, caller: &Authenticated, body: ActBody) -> Result<ActReply, Problem> {
    caller.require(Right::Moderate)?;
    let dry_run = body.dry_run;
    let command = command(body.order()?);
    if dry_run {
        return rehearse(api, caller, command).await.map(ActReply::Done);
    }
    let written = api.write(caller, command).await?;
    let (state, index) = (api.replica.state(), entry_of(&written));
    Ok(match state.act_request(index) {
        Some(request) => ActReply::Asked(Asked::new(index, request)),
        None => ActReply::Done(ActAnswer::of(written, &state)),
    })
}

/// The entry that did it, now or when it was first asked for.
fn entry_of(written: &Written) -> u64 {
    match written.outcome {
        Outcome::Repeated { index, .. } => index,
        _ => written.index,
    }
}

impl Asked {
    fn new(index: u64, request: &ActRequest) -> Self {
        let detail = format!(
            "nothing was done yet: another moderator confirms it at `/v1/moderation/requests/{index}/confirm` until {}",
            request.expires_at
        );
        let request = ShownRequest::new(index, request);
        Self { code: "confirmation_needed", detail, index, request }
    }
}

/// Judges the act on a state that is not stale, in a copy that is thrown away.
async fn rehearse(api: &Api, caller: &Authenticated, command: Command) -> Result<ActAnswer, Problem> {
    api.replica.read_index().await?;
    let state = api.replica.state();
    let (outcome, then) = state.rehearse(&Entry::new(clock::now(), caller.principal(), command));
    let (index, denies) = (state.applied(), then.denied() == then.applied());
    let shown = Some(DryRun { outcome: outcome.code(), denies });
    if let Outcome::Rejected(rejection) = outcome {
        return Err(Problem::from(rejection).at(index));
    }
    let receipt = Receipt { index, sealed: false, unchanged: outcome.since().is_some(), nodes: Vec::new() };
    Ok(ActAnswer { dry_run: shown, ..ActAnswer::new(receipt, then.audit_record(then.applied())) })
}

impl ActAnswer {
    pub(crate) fn of(written: Written, state: &Registry) -> Self {
        let index = entry_of(&written);
        Self::new(written.into(), state.audit_record(index))
    }

    fn new(receipt: Receipt, record: Option<&AuditRecord>) -> Self {
        let subjects: &[AuditedSubject] = record.map_or(&[], |record| &record.subjects);
        let mut counts = BTreeMap::new();
        for one in subjects {
            *counts.entry(one.outcome.clone()).or_default() += 1;
        }
        Self { receipt, dry_run: None, counts, subjects: subjects.iter().map(ShownSubject::from).collect() }
    }
}

impl ActBody {
    /// An act on one subject, named as `server/ai.acme/payments`.
    pub(crate) fn on_one(act: &str, subject: &str, reason: &str) -> Result<Self, Problem> {
        let (kind, id) = split_subject(subject)?;
        let subject = TargetBody { kind: kind.into(), id: Some(id.into()), glob: None };
        let (act, reason) = (act.into(), reason.into());
        Ok(Self { act, subject, reason, case: None, expires_at: None, dry_run: false })
    }

    /// With the moderator's own reference, and an end by which it lifts itself.
    pub(crate) fn with(self, case: Option<String>, expires_at: Option<String>) -> Self {
        Self { case, expires_at, ..self }
    }

    fn order(self) -> Result<Order, Problem> {
        let act = self.act.parse().map_err(Problem::invalid)?;
        let target = self.subject.parse().map_err(Problem::invalid)?;
        let expires_at = parse_instant(self.expires_at)?;
        Ok(Order { act, target, reason: self.reason, case: self.case, expires_at })
    }
}

impl TargetBody {
    fn parse(&self) -> Result<Target, String> {
        match (&self.id, &self.glob) {
            (Some(id), None) => Subject::parse(&self.kind, id).map(Target::One),
            (None, Some(glob)) => Target::parse_glob(&self.kind, glob),
            _ => Err("`subject` has an `id`, or a `glob`".into()),
        }
    }
}

/// The oldest form that says it all: a cluster that is being upgraded takes only what all its members know.
fn command(order: Order) -> Command {
    match order {
        Order { act, target: Target::One(subject), reason, case, expires_at: None } => {
            Command::Moderate { act, subject, reason, case }
        }
        order => Command::Order(order),
    }
}

fn parse_instant(text: Option<String>) -> Result<Option<Timestamp>, Problem> {
    let parsed = text.map(|text| {
        Timestamp::parse(&text)
            .ok_or_else(|| Problem::invalid(format!("`expires_at`: `{text}` is no RFC 3339 date")))
    });
    parsed.transpose()
}

/// Which records to show.
#[derive(Deserialize, IntoParams)]
pub(crate) struct RecordsQuery {
    /// Only the record of this subject, as `server/ai.acme/payments`.
    subject: Option<String>,
    /// Only records with this standing: `none`, `suspended`, `quarantined` or `revoked`.
    standing: Option<String>,
    /// Only records behind that of this subject: the `next` of the page before.
    after: Option<String>,
    /// At most so many: 1 to 1000, default 1000. Of one subject, so many acts of its history.
    limit: Option<usize>,
    /// Of one subject, only acts below this index: the `next_before` of the page before.
    before: Option<u64>,
}

const MAX_LIMIT: usize = 1_000;

/// The records of moderation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Records {
    records: Vec<Record>,
    /// The last subject of this page, if there are more behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Of one subject, all that was done to it, by whomever, or was to be done and refused; the newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<ShownRecord>>,
    /// The index of the last act of this page, if there are older ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<u64>,
    index: u64,
}

/// How one subject stands.
#[derive(Serialize, ToSchema)]
struct Record {
    subject: SubjectBody,
    standing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    /// When it lifts itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    at: String,
    index: u64,
}

/// Show records of moderation; of one subject with the history of what was done to it.
#[utoipa::path(
    get, path = "/v1/moderation", tag = "governance", params(RecordsQuery),
    responses((status = 200, body = Records), (status = "default", body = ProblemBody))
)]
pub(crate) async fn records(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Query(query): Query<RecordsQuery>,
) -> Result<Answer<Records>, Problem> {
    let limit = query.limit.unwrap_or(MAX_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid(format!("`limit` must be from 1 to {MAX_LIMIT}, got {limit}")));
    }
    let parsed = |text: Option<&str>| text.map(parse_subject).transpose();
    let (subject, after) = (parsed(query.subject.as_deref())?, parsed(query.after.as_deref())?);
    if query.before.is_some() && subject.is_none() {
        return Err(Problem::invalid("`before` goes with `subject`"));
    }
    let standing = query.standing.as_deref().map(Standing::parse).transpose().map_err(Problem::invalid)?;
    caller.govern(&api).await?;
    let state = api.replica.state();
    if let Some(subject) = subject {
        return Ok(Answer(Records::of(&state, &subject, query.before.unwrap_or(u64::MAX), limit)));
    }
    let wanted = |record: &Moderation| standing.is_none_or(|standing| record.standing == standing);
    let found = state.moderations_after(after.as_ref()).filter(|(_, it)| wanted(it));
    let found: Vec<_> = found.take(limit + 1).collect();
    let is_last = found.len() <= limit;
    let records: Vec<_> = found.iter().take(limit).map(|(subject, record)| shape(subject, record)).collect();
    let next = found.get(limit - 1).filter(|_| !is_last).map(|(subject, _)| subject.to_string());
    Ok(Answer(Records { records, next, history: None, next_before: None, index: state.applied() }))
}

impl Records {
    /// How one subject stands, and how it came to that.
    fn of(state: &Registry, subject: &Subject, before: u64, limit: usize) -> Self {
        let records = state.moderation(subject).map(|record| shape(subject, record));
        let mut history: Vec<_> = state.audit_of(subject, before).take(limit + 1).collect();
        let has_more = history.len() > limit;
        history.truncate(limit);
        Self {
            records: records.into_iter().collect(),
            next: None,
            next_before: history.last().map(|chained| chained.record.index).filter(|_| has_more),
            history: Some(history.into_iter().map(shape_record).collect()),
            index: state.applied(),
        }
    }
}

fn parse_subject(text: &str) -> Result<Subject, Problem> {
    let (kind, id) = split_subject(text)?;
    Subject::parse(kind, id).map_err(Problem::invalid)
}

fn split_subject(text: &str) -> Result<(&str, &str), Problem> {
    text.split_once('/').ok_or_else(|| {
        Problem::invalid(format!("`{text}` is no subject: write KIND/ID, as server/ai.acme/payments"))
    })
}

fn shape(subject: &Subject, record: &Moderation) -> Record {
    Record {
        subject: SubjectBody { kind: subject.kind().into(), id: subject.id() },
        standing: record.standing.as_str(),
        verified: record.verified,
        reason: record.reason.clone(),
        case: record.case.clone(),
        expires_at: record.expires_at.map(|end| end.to_string()),
        at: record.at.to_string(),
        index: record.index,
    }
}
