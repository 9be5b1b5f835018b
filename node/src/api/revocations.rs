//! `/v1/revocations`: which descriptors that are out are dead before their time.
//!
//! Anyone may read it, since every guard must: subjects are hashed, and a hash tells only those who know the name.

use super::{Api, body::Query, well_known::mentions};
use crate::{
    feed::{Edition, Said},
    limits::{Origin, Place},
    problem::{Problem, ProblemBody},
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::{Stream, stream};
use serde::Deserialize;
use std::{convert::Infallible, sync::Arc};
use tokio::sync::watch;
use utoipa::IntoParams;

/// A message is signed anew within a second; what stands between may not hold it for longer.
const MAX_AGE: &str = "public, max-age=1";

/// What the caller knows.
#[derive(Deserialize, IntoParams)]
pub(crate) struct Known {
    /// The index up to which the caller misses nothing; without it everything is sent.
    #[serde(default)]
    since: u64,
}

/// The newest message: a JWS of type `mcp-revocations+jwt`.
#[utoipa::path(
    get, path = "/v1/revocations", tag = "connect", params(Known),
    responses(
        (status = 200, description = "A signed message", body = String, content_type = "application/jwt"),
        (status = 304, description = "Not changed"),
        (status = 503, description = "This node may not speak now: ask another one", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    Query(known): Query<Known>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let edition = api.feed.current(&api.replica).await.ok_or_else(silent)?;
    let message = edition.since(known.since);
    let etag = etag(message);
    let same = headers.get(header::IF_NONE_MATCH).is_some_and(|known| mentions(known, &etag));
    let mut response =
        if same { StatusCode::NOT_MODIFIED.into_response() } else { message.to_owned().into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwt"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(MAX_AGE));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}

fn silent() -> Problem {
    Problem::unavailable(
        "no_serving_lease",
        "this node has no serving lease, and says nothing: ask another one",
    )
}

/// The signature names the message as well as any hash of it would.
fn etag(message: &str) -> String {
    format!("\"{}\"", message.rsplit('.').next().unwrap_or_default())
}

/// The same as server-sent events: at once on a change, and at least each second. It ends when this node may not
/// speak any more; take up another node's then, with `Last-Event-ID`.
#[utoipa::path(
    get, path = "/v1/revocations/stream", tag = "connect", params(Known),
    responses(
        (status = 200, description = "Events of type `revocations`", body = String, content_type = "text/event-stream"),
        (status = 503, description = "This node may not speak now: ask another one", body = ProblemBody),
    )
)]
pub(crate) async fn stream(
    State(api): State<Arc<Api>>,
    Query(known): Query<Known>,
    from: Origin,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = api.limits.stream(from.0)?;
    let newest = api.feed.subscribe();
    let first = api.feed.current(&api.replica).await.ok_or_else(silent)?;
    let since = last_event(&headers).unwrap_or(known.since);
    let reader = Reader { newest, first: Some(first), since, _place: place };
    Ok(Sse::new(stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    })))
}

fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// One stream. Who reads slowly misses messages, never what stands in them: each follows on the last that was sent.
struct Reader {
    newest: watch::Receiver<Said>,
    first: Option<Arc<Edition>>,
    since: u64,
    _place: Place,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        let edition = match self.first.take() {
            Some(first) => first,
            None => self.further().await?,
        };
        let event = Event::default().event("revocations").id(edition.index.to_string());
        let event = event.data(edition.since(self.since));
        self.since = edition.index;
        Some(event)
    }

    async fn further(&mut self) -> Option<Arc<Edition>> {
        self.newest.changed().await.ok()?;
        match &*self.newest.borrow_and_update() {
            Said::Edition(edition) => Some(edition.clone()),
            Said::Nothing | Said::Closed => None,
        }
    }
}
