//! The gate that every request to the console passes: who it is, whether its site sent it, whether it may.

use super::{
    fault,
    fields::Fields,
    layout,
    session::Session,
    visit::{Here, Manner, Visit, is_inside},
};
use crate::{
    api::{Api, Callers, SMALL, console_callers, read_body},
    auth::Authenticated,
    limits::Origin,
    problem::Problem,
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;
use url::Url;

/// Nothing but what this node serves itself is loaded or run, nothing may frame a page, and forms go nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What goes with every answer.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` browsers would not say in `Origin` either that a form comes from here.
    (header::REFERRER_POLICY, "same-origin"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Why a request does not come through.
enum Turned {
    /// With a problem.
    Away(Problem),
    /// Its session is over, or it has none where one is needed.
    ToSignIn { had_one: bool },
    /// Another site led here, and the browser kept the cookie to itself: it is to come again, from here.
    Round,
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Self::Away(problem)
    }
}

/// Lets a request through, or not, and puts on every answer what belongs there.
pub(super) async fn gate(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let manner = Manner::of(&api, &request);
    let mut response = match admit(&api, &manner, request).await {
        Ok((visit, mut request)) => {
            let visit = Arc::new(visit);
            request.extensions_mut().insert(Here(visit.clone()));
            let mut response = next.run(request).await;
            if let Some(problem) = response.extensions_mut().remove::<Problem>() {
                response = fault::told(&manner, Some(&visit), problem);
            }
            renew(&api, &visit, &mut response);
            response
        }
        Err(Turned::Away(problem)) => fault::told(&manner, None, problem),
        Err(Turned::ToSignIn { had_one }) => to_sign_in(&manner, had_one),
        Err(Turned::Round) => layout::onward(&manner.target, "Opening the console").into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn admit(api: &Arc<Api>, manner: &Manner, request: Request) -> Result<(Visit, Request), Turned> {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let callers = console_callers(&method.as_str().to_lowercase(), &route);
    // A path or a method that no row knows: what is behind the gate says so, and does nothing.
    let callers = callers.unwrap_or(Callers::Anyone);
    let is_write = method != Method::GET;
    if is_write {
        check_site(api, manner, request.headers())?;
    }
    let from = Origin::of(request.extensions());
    let session = match Session::of(api, request.headers(), manner.is_secure) {
        None => None,
        Some(session) => match Authenticated::by(api, from, &session.token).await {
            Ok(caller) => Some((session, caller)),
            // Where nobody need be signed in, a session that is over is none.
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
                if callers != Callers::Anyone {
                    return Err(Turned::ToSignIn { had_one: true });
                }
                None
            }
            Err(problem) => return Err(problem.into()),
        },
    };
    if session.is_none() && callers != Callers::Anyone && came_from_elsewhere(request.headers()) {
        return Err(Turned::Round);
    }
    check_right(api, callers, session.as_ref()).await?;
    let query = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
    let mut visit = Visit { manner: manner.clone(), session, form: Fields::default(), query };
    if !is_write {
        return Ok((visit, request));
    }
    let (parts, body) = request.into_parts();
    let bytes = read_body(Request::from_parts(parts.clone(), body), SMALL).await?;
    visit.form = Fields::parse(&bytes);
    check_form(&visit, &route)?;
    Ok((visit, Request::from_parts(parts, axum::body::Body::empty())))
}

async fn check_right(
    api: &Api,
    callers: Callers,
    session: Option<&(Session, Authenticated)>,
) -> Result<(), Turned> {
    match (callers, session) {
        (Callers::Anyone, _) => Ok(()),
        (Callers::Readers, Some(_)) => api.catch_up().await.map(drop).map_err(Turned::from),
        (Callers::Readers, None) => {
            api.catch_up().await?;
            let is_open = api.replica.state().settings().anonymous_reads;
            if is_open { Ok(()) } else { Err(Turned::ToSignIn { had_one: false }) }
        }
        (Callers::With(right), Some((_, caller))) => caller.require(right).map_err(Turned::from),
        _ => Err(Turned::ToSignIn { had_one: false }),
    }
}

/// A form of another site is turned away by what browsers say of where a request comes from. Whoever says nothing of that
/// is no browser of these years.
fn check_site(api: &Api, manner: &Manner, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = match (text("sec-fetch-site"), text(header::ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => is_own(origin, &manner.host) || is_same(origin, &api.http),
        (None, None) => false,
    };
    if is_ours {
        return Ok(());
    }
    Err(Problem::forbidden("this form was not sent by a page of this console"))
}

/// Whether `origin` is that of the host that was asked. A proxy may have ended its TLS, so that schemes tell nothing.
fn is_own(origin: &str, host: &str) -> bool {
    let after = origin.split_once("://").map(|(_, authority)| authority);
    after.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host))
}

fn is_same(origin: &str, base: &str) -> bool {
    match (Url::parse(origin), Url::parse(base)) {
        (Ok(origin), Ok(base)) => origin.origin() == base.origin(),
        _ => false,
    }
}

/// Whether a link of another site was followed.
fn came_from_elsewhere(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    is("sec-fetch-mode", "navigate") && is("sec-fetch-site", "cross-site")
}

/// Each form brings along what its session knows; that for signing in has no session yet.
fn check_form(visit: &Visit, route: &str) -> Result<(), Problem> {
    match &visit.session {
        Some((session, _)) if route != "/console/sign-in" && !session.made(visit.form.get("csrf")) => {
            Err(Problem::forbidden("this form is not of your session: load the page anew and send it again"))
        }
        _ => Ok(()),
    }
}

fn to_sign_in(manner: &Manner, had_one: bool) -> Response {
    let mut response = if manner.wants_json {
        fault::told(manner, None, Problem::unauthenticated())
    } else {
        let ended = if had_one { "ended=1&" } else { "" };
        let next = if is_inside(&manner.target) { manner.target.as_str() } else { "/console" };
        layout::see_other(&format!("/console/sign-in?{ended}next={}", super::fields::encoded(next)))
    };
    if had_one {
        response.headers_mut().append(header::SET_COOKIE, Session::end(manner.is_secure));
    }
    response
}

fn renew(api: &Api, visit: &Visit, response: &mut Response) {
    let Some((session, _)) = &visit.session else { return };
    // Whoever signs in or out has said what is to become of the cookie.
    if response.headers().contains_key(header::SET_COOKIE) {
        return;
    }
    if let Some(cookie) = session.renewed(api, visit.manner.is_secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_host_is_an_own_origin() {
        assert!(is_own("https://registry.example:8443", "registry.example:8443"));
        assert!(is_own("http://127.0.0.1:8080", "127.0.0.1:8080"));
        for origin in ["https://evil.example", "https://registry.example.evil:8443", "null", "", "https://"] {
            assert!(!is_own(origin, "registry.example:8443"), "{origin}");
        }
        assert!(is_same("https://registry.example", "https://registry.example/base"));
        assert!(!is_same("http://registry.example", "https://registry.example"));
    }

    #[test]
    fn the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline() {
        assert!(!POLICY.contains("unsafe") && !POLICY.contains('*') && !POLICY.contains("http"));
        assert!(POLICY.starts_with("default-src 'none';"));
    }
}
