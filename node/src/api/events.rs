//! `/v1/events`: what was done, in the order of the log, to be followed without a gap.
//!
//! A node tells what it has applied, without asking a majority: a reader that is ahead of it waits. The caller is judged on
//! the state that is read: what a credential was worth when those entries were made is known there, so that a node that is
//! behind tells nobody what it could not have told before. Events name tenants, clients and private namespaces, so that
//! only those read them who govern.

use super::{Api, body::Query};
use crate::{
    auth::Authenticated,
    events::{Place, ShownEvent, page},
    limits::{self, Origin},
    problem::{Problem, ProblemBody},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use hapi_registry_state::Right;
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use utoipa::{IntoParams, ToSchema};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// The longest that an answer is held back for an event.
const MAX_WAIT: u64 = 30;

/// How often a stream says that it is alive, and looks whether its reader may still read.
const ALIVE: Duration = Duration::from_secs(10);

/// Where to begin.
#[derive(Deserialize, IntoParams)]
pub(crate) struct EventQuery {
    /// Only events behind this index; a stream goes by `Last-Event-ID`, if it has one.
    #[serde(default)]
    since: u64,
    /// At most so many: 1 to 1000, default 100. For pages alone.
    limit: Option<usize>,
    /// Hold an empty page back for up to so many seconds, 0 to 30, until there is an event.
    #[serde(default)]
    wait: u64,
}

/// A stretch of events, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    events: Vec<ShownEvent>,
    /// Where the next page begins: its `since`.
    next: u64,
    /// The index of the state that was read.
    index: u64,
    /// Another one than before: the registry was restored, and its places are others. Begin anew.
    incarnation: u64,
}

/// Follow what is done: every act that changed something, once and in order. JSON pages, or with
/// `Accept: text/event-stream` server-sent events, whose `id` is the index.
#[utoipa::path(
    get, path = "/v1/events", tag = "governance", params(EventQuery),
    responses(
        (status = 200, content((EventPage = "application/json"), (String = "text/event-stream"))),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    from: Origin,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Right::ReadGovernance)?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid(format!("`limit` must be from 1 to {MAX_LIMIT}, got {limit}")));
    }
    if query.wait > MAX_WAIT {
        return Err(Problem::invalid(format!("`wait` must be from 0 to {MAX_WAIT}, got {}", query.wait)));
    }
    if wants_stream(&headers) {
        let since = last_event(&headers)?.unwrap_or(query.since);
        let origin = api.limits.stream(from.0)?;
        return streamed(api, caller, since, origin).map(IntoResponse::into_response);
    }
    let found = waited(&api, &caller, query.since, limit, Duration::from_secs(query.wait)).await?;
    Ok(Json(found).into_response())
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/event-stream"))
}

fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let index = value.to_str().ok().and_then(|text| text.parse().ok());
    index.map(Some).ok_or_else(|| Problem::invalid("`Last-Event-ID` is the index of an event"))
}

/// A page, as soon as there is something to tell, or when the time is over.
async fn waited(
    api: &Api,
    caller: &Authenticated,
    since: u64,
    limit: usize,
    wait: Duration,
) -> Result<EventPage, Problem> {
    let (until, mut closing) = (Instant::now() + wait, api.events.closing());
    let mut since = since;
    loop {
        let state = api.replica.state();
        caller.governs(&state)?;
        let (events, next) = page(&state, since, limit);
        let is_late = Instant::now() >= until || *closing.borrow();
        if !events.is_empty() || is_late {
            let (index, incarnation) = (state.applied(), state.incarnation());
            return Ok(EventPage { events, next, index, incarnation });
        }
        since = next;
        // Whatever ends it, the next look tells.
        let _ = timeout_at(until, further(api, next, wait, &mut closing)).await;
    }
}

/// Waits until this node has applied more than `index`, for at most so long, or until streams end.
async fn further(api: &Api, index: u64, within: Duration, closing: &mut watch::Receiver<bool>) {
    tokio::select! {
        _ = api.replica.wait_applied(index.saturating_add(1), within) => {}
        _ = closing.changed() => {}
    }
}

fn streamed(
    api: Arc<Api>,
    caller: Authenticated,
    since: u64,
    origin: limits::Place,
) -> Result<impl IntoResponse, Problem> {
    let place = api.events.enter().ok_or_else(|| {
        Problem::unavailable("too_many_streams", "this node has no place for another stream: ask another one")
    })?;
    let closing = api.events.closing();
    let reader = Reader { api, caller, since, batch: VecDeque::new(), closing, place, _origin: origin };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)))
}

/// One stream. It reads on when what it has read before was taken, so that a slow reader costs no memory.
struct Reader {
    api: Arc<Api>,
    caller: Authenticated,
    since: u64,
    batch: VecDeque<ShownEvent>,
    closing: watch::Receiver<bool>,
    place: Place,
    /// Its place among all streams of its address.
    _origin: limits::Place,
}

impl Reader {
    /// `None` when the process is to stop, or the caller may not read any more.
    async fn next(&mut self) -> Option<Event> {
        while self.batch.is_empty() {
            if *self.closing.borrow() {
                return None;
            }
            let state = self.api.replica.state();
            self.caller.governs(&state).ok()?;
            let (events, next) = page(&state, self.since, DEFAULT_LIMIT);
            (self.since, self.batch) = (next, events.into());
            if self.batch.is_empty() {
                further(&self.api, next, ALIVE, &mut self.closing).await;
            }
        }
        let event = self.batch.pop_front()?;
        self.place.count_sent();
        Event::default().id(event.index.to_string()).json_data(event).ok()
    }
}
