//! The way of one request through the guard.

use std::sync::Arc;

use bytes::Bytes;
use hapi_descriptor::Refusal;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use crate::denial::Denial;
use crate::events::is_event_stream;
use crate::gate::Admitted;
use crate::line::Line;
use crate::presented::{MCP_CONNECT_REFRESH, Presented, session_id};
use crate::request_body::{Peeked, RequestBody};
use crate::response_body::GuardBody;
use crate::session::{EndReason, Renewal, is_due};
use crate::shared::{Sessions, Shared, close_all};

type Answer<R> = Response<GuardBody<R>>;

pub(crate) async fn pass<S, B, R>(
    shared: &Arc<Shared>,
    inner: S,
    request: Request<B>,
) -> Result<Answer<R>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
{
    let (parts, body) = request.into_parts();
    let id = session_id(&parts.headers).filter(|_| shared.has_sessions()).map(str::to_owned);
    let now = shared.clock.now().unix_seconds;
    let bound = id.as_deref().and_then(|id| shared.sessions().bound(id, now));
    match (id, bound) {
        (Some(id), Some(bound)) => in_session(shared, inner, &id, bound, parts, body).await,
        (Some(_), None) if shared.config.descriptor_required => Ok(deny(shared, Denial::SessionEnded)),
        _ => alone(shared, inner, parts, body).await,
    }
}

/// A request that belongs to no session, though its answer may open one.
async fn alone<S, B, R>(
    shared: &Arc<Shared>,
    mut inner: S,
    mut parts: Parts,
    body: B,
) -> Result<Answer<R>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
{
    let admitted = match shared.admit(&parts.headers).await {
        Ok(admitted) => admitted,
        Err(denial) => return Ok(deny(shared, denial)),
    };
    match &admitted {
        Some(admitted) => enter(shared, &mut parts, admitted),
        None => shared.metrics.without_descriptor.add(),
    }
    let bound = admitted.as_ref().filter(|_| shared.has_sessions());
    let (body, place) = match bound {
        Some(admitted) => match reserve(shared, admitted, &parts, body).await {
            Ok(reserved) => reserved,
            Err(denial) => return Ok(deny(shared, denial)),
        },
        None => (RequestBody::untouched(body), None),
    };
    let response = inner.call(Request::from_parts(parts, body)).await?;
    let opened = session_id(response.headers()).filter(|_| shared.has_sessions()).map(str::to_owned);
    Ok(match (opened, admitted) {
        (Some(id), Some(admitted)) => open(shared, &id, admitted, place, response),
        (None, Some(admitted)) => watch_alone(shared, admitted, response),
        (_, None) => response.map(GuardBody::passed),
    })
}

/// Keeps a place for the session that this request may open.
async fn reserve<'a, B: Body<Data = Bytes>>(
    shared: &'a Shared,
    admitted: &Admitted,
    parts: &Parts,
    body: B,
) -> Result<(RequestBody<B>, Option<Place<'a>>), Denial> {
    let (body, peeked) = look_into(parts, body).await;
    let place = peeked.may_open_a_session().then(|| Place::reserve(shared, admitted)).transpose()?;
    Ok((body, place))
}

/// A place for a session, given back when none comes of it.
struct Place<'a> {
    shared: &'a Shared,
    /// Taken when it is given back.
    client: Option<String>,
}

impl<'a> Place<'a> {
    fn reserve(shared: &'a Shared, admitted: &Admitted) -> Result<Self, Denial> {
        let client = admitted.verified.claims.client.id.clone();
        shared.sessions().reserve(&client)?;
        Ok(Self { shared, client: Some(client) })
    }

    fn give_back(mut self, sessions: &mut Sessions) {
        self.client.take().iter().for_each(|client| sessions.give_back(client));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            self.shared.sessions().give_back(&client);
        }
    }
}

/// Binds the session that the server has just opened to the descriptor that its client came in with.
fn open<R>(
    shared: &Shared,
    id: &str,
    admitted: Admitted,
    place: Option<Place<'_>>,
    response: Response<R>,
) -> Answer<R> {
    let bound = {
        let mut sessions = shared.sessions();
        if let Some(place) = place {
            place.give_back(&mut sessions);
        }
        sessions.bind(id, admitted)
    };
    match bound {
        Ok(former) => close_all(&former),
        Err(denial) => return deny(shared, denial),
    }
    shared.metrics.sessions_opened.add();
    watch(shared, id, false, response)
}

/// A request of a live session: it lives on the session's descriptor, and may bring a fresh one.
async fn in_session<S, B, R>(
    shared: &Arc<Shared>,
    mut inner: S,
    id: &str,
    bound: Admitted,
    mut parts: Parts,
    body: B,
) -> Result<Answer<R>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
{
    if let Err(denial) = may_pass(shared, id, &bound, &parts.headers).await {
        return Ok(deny(shared, denial));
    }
    let body = match look_into(&parts, body).await {
        (_, Peeked::Refresh { descriptor }) => return Ok(renew_by_message(shared, id, &descriptor).await),
        (body, _) => body,
    };
    let method = parts.method.clone();
    let current = shared.sessions().bound(id, shared.clock.now().unix_seconds).unwrap_or(bound);
    enter(shared, &mut parts, &current);
    let response = inner.call(Request::from_parts(parts, body)).await?;
    Ok(leave(shared, id, &method, response))
}

async fn may_pass(shared: &Shared, id: &str, bound: &Admitted, headers: &HeaderMap) -> Result<(), Denial> {
    stay(shared, id, bound)?;
    renew_by_header(shared, id, bound, headers).await
}

/// Whether the session's own descriptor still counts. If it was revoked, the session ends here.
fn stay(shared: &Shared, id: &str, bound: &Admitted) -> Result<(), Denial> {
    let denial = match shared.gate.recheck(&bound.verified, shared.clock.now()) {
        Ok(()) => return Ok(()),
        Err(denial) => denial,
    };
    match EndReason::of_failure(denial) {
        Some(reason) => {
            shared.end(id, reason);
            Err(Denial::SessionEnded)
        }
        None => Err(denial),
    }
}

/// Renews the session, if the request brings another descriptor than it has.
async fn renew_by_header(
    shared: &Shared,
    id: &str,
    bound: &Admitted,
    headers: &HeaderMap,
) -> Result<(), Denial> {
    match Presented::of(headers) {
        Presented::Nothing => Ok(()),
        Presented::Unreadable => Err(Denial::Refused(Refusal::Parts)),
        Presented::Header(token) | Presented::Bearer(token) if bound.is(token) => Ok(()),
        Presented::Header(token) => match shared.check(token).await {
            // A client that renewed by message may go on sending the header that it began with.
            Err(Denial::Refused(Refusal::Expired)) => Ok(()),
            fresh => renew_with(shared, id, fresh),
        },
        // What is no descriptor of ours is the user's own affair.
        Presented::Bearer(token) => match renew(shared, id, token).await {
            Err(denial) if denial.status() != StatusCode::UNAUTHORIZED => Err(denial),
            _ => Ok(()),
        },
    }
}

async fn renew(shared: &Shared, id: &str, descriptor: &str) -> Result<(), Denial> {
    renew_with(shared, id, shared.check(descriptor).await)
}

fn renew_with(shared: &Shared, id: &str, fresh: Result<Admitted, Denial>) -> Result<(), Denial> {
    let now = shared.clock.now().unix_seconds;
    let mut sessions = shared.sessions();
    let renewal = fresh.and_then(|fresh| sessions.renew(id, fresh, now));
    match renewal {
        Ok(Renewal::Renewed) => shared.metrics.sessions_renewed.add(),
        Ok(Renewal::NotNewer) => {}
        Err(denial) => sessions.failed(id, denial),
    }
    renewal.map(|_| ())
}

/// The message is for the guard, so the server does not see it, and the guard answers as MCP wants it: 202.
async fn renew_by_message<R>(shared: &Shared, id: &str, descriptor: &str) -> Answer<R> {
    match renew(shared, id, descriptor).await {
        Ok(()) => {
            let mut response = Response::new(GuardBody::own(""));
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Err(denial) => deny(shared, denial),
    }
}

async fn look_into<B: Body<Data = Bytes>>(parts: &Parts, body: B) -> (RequestBody<B>, Peeked) {
    if parts.method == Method::POST {
        RequestBody::peek(body).await
    } else {
        (RequestBody::untouched(body), Peeked::Other)
    }
}

fn enter(shared: &Shared, parts: &mut Parts, admitted: &Admitted) {
    shared.metrics.admitted.add();
    parts.extensions.insert(admitted.verified.clone());
}

/// The answer to a request of a session, on its way out.
fn leave<R>(shared: &Shared, id: &str, method: &Method, response: Response<R>) -> Answer<R> {
    if *method == Method::DELETE && response.status().is_success() {
        shared.close(id);
        return response.map(GuardBody::passed);
    }
    let now = shared.clock.now().unix_seconds;
    let exp = shared.sessions().bound(id, now).map(|bound| bound.verified.claims.exp);
    let mut response = watch(shared, id, *method == Method::GET, response);
    if let Some(exp) = exp.filter(|exp| is_due(*exp, now)) {
        response.headers_mut().insert(MCP_CONNECT_REFRESH, HeaderValue::from(exp));
    }
    response
}

/// Keeps a line to the answer, if it is a stream of events: it ends with its session.
fn watch<R>(shared: &Shared, id: &str, of_get: bool, response: Response<R>) -> Answer<R> {
    let headers = response.headers();
    if !is_event_stream(headers) {
        return response.map(GuardBody::passed);
    }
    // Into a compressed stream nothing can be put.
    let line = Arc::new(Line::new(of_get && !headers.contains_key(CONTENT_ENCODING)));
    match shared.sessions().attach(id, Arc::downgrade(&line)) {
        Ok(()) => response.map(|body| GuardBody::watched(body, line)),
        Err(denial) => deny(shared, denial),
    }
}

/// The same for a stream that belongs to no session.
fn watch_alone<R>(shared: &Shared, admitted: Admitted, response: Response<R>) -> Answer<R> {
    if !is_event_stream(response.headers()) {
        return response.map(GuardBody::passed);
    }
    let line = Arc::new(Line::new(false));
    match shared.lone().attach(admitted.verified, Arc::downgrade(&line)) {
        Ok(()) => response.map(|body| GuardBody::watched(body, line)),
        Err(denial) => deny(shared, denial),
    }
}

/// The guard's own answer.
fn deny<R>(shared: &Shared, denial: Denial) -> Answer<R> {
    shared.metrics.denied(denial);
    tracing::debug!(code = denial.code(), %denial, "the request was refused");
    let mut response = Response::new(GuardBody::own(denial.to_json()));
    *response.status_mut() = denial.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if denial.status() == StatusCode::UNAUTHORIZED {
        headers.extend(shared.resource.challenge(denial).map(|value| (WWW_AUTHENTICATE, value)));
    }
    if denial.status() == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
