//! Signing in at an identity provider, and coming back with one of its tokens.
//!
//! What a token makes of its bearer is judged like at the API: by the provider's rules, on each request anew.

use super::{
    cookie::{self, Cookie},
    envelope::Envelopes,
    fault::Fault,
    layout,
    session::Session,
    visit::{Here, Manner, Path, is_inside},
};
use crate::{
    api::{Api, hex},
    auth::Authenticated,
    clock,
    limits::Origin,
    oidc::{self, OidcError, Sent},
    problem::Problem,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use hapi_registry_state::IdentityProviderId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the key of sign-ins under way is derived for.
const PURPOSE: &str = "console sign-in v1";

/// How long one may be under way, in seconds.
const LIFE: u64 = 10 * 60;

/// What the browser keeps for us until it comes back.
#[derive(Serialize, Deserialize)]
struct Journey {
    provider: IdentityProviderId,
    /// By which of the provider's settings it began.
    of: u64,
    state: String,
    nonce: String,
    code_verifier: String,
    redirect_uri: String,
    next: String,
    began: u64,
}

impl Journey {
    fn new(provider: IdentityProviderId, of: u64, manner: &Manner, next: &str) -> Self {
        let random = || hex(&clock::random_name());
        let scheme = if manner.is_secure { "https" } else { "http" };
        Self {
            provider,
            of,
            state: random(),
            nonce: random(),
            code_verifier: random() + &random(),
            redirect_uri: format!("{scheme}://{}/console/oidc/callback", manner.host),
            next: if is_inside(next) { next } else { "/console" }.to_owned(),
            began: clock::now().seconds(),
        }
    }

    fn sent(&self) -> Sent<'_> {
        Sent {
            redirect_uri: &self.redirect_uri,
            state: &self.state,
            nonce: &self.nonce,
            code_verifier: &self.code_verifier,
        }
    }

    /// The provider sends the browser back from its own site, and only with `Lax` a cookie comes along then.
    fn cookie<'a>(value: &'a str, manner: &Manner) -> Cookie<'a> {
        Cookie { name: cookie::SIGN_IN, value, is_secure: manner.is_secure, same_site: "Lax" }
    }

    fn of(api: &Api, headers: &HeaderMap, manner: &Manner, state: &str) -> Option<Self> {
        let text = cookie::find(headers, cookie::SIGN_IN, manner.is_secure)?;
        let journey: Self = Envelopes::of(api, PURPOSE).open(&text)?;
        let is_its = verify_slices_are_equal(journey.state.as_bytes(), state.as_bytes()).is_ok();
        let lasts = clock::now().seconds().saturating_sub(journey.began) < LIFE;
        (is_its && lasts).then_some(journey)
    }
}

/// Sends the browser to the provider.
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    Here(visit): Here,
    Path(provider): Path<String>,
) -> Result<Response, Fault> {
    let absent = || Problem::not_found("not_found", "nobody signs in here by a provider of that name");
    let id: IdentityProviderId = provider.parse().map_err(|_| absent())?;
    let (of, application) = api.identities.application(&id, &api.replica.state()).ok_or_else(absent)?;
    let journey = Journey::new(id, of, &visit.manner, visit.query.get("next"));
    let began = application.begin(&**api.identities.outside(), journey.sent(), &clock::clocks()).await;
    let target = began.map_err(|error| failed(&error))?;
    let text = Envelopes::of(&api, PURPOSE).close(&journey).unwrap_or_default();
    let mut response = layout::see_other(target.as_str());
    response.headers_mut().append(header::SET_COOKIE, Journey::cookie(&text, &visit.manner).kept(LIFE));
    Ok(response)
}

/// The browser comes back with a code. Each is counted before it is shown to the provider, so that nobody makes this node
/// ask there without end.
pub(super) async fn end(
    State(api): State<Arc<Api>>,
    from: Origin,
    Here(visit): Here,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (query, manner) = (&visit.query, &visit.manner);
    let lost =
        || Problem::forbidden("this sign-in did not begin in this browser, or took too long: begin anew");
    let journey = Journey::of(&api, &headers, manner, query.get("state")).ok_or_else(lost)?;
    let known = api.identities.application(&journey.provider, &api.replica.state());
    let (_, application) = known.filter(|(of, _)| *of == journey.of).ok_or_else(lost)?;
    if query.given("iss").is_some_and(|issuer| issuer != application.issuer()) {
        return Err(lost().into());
    }
    let Some(code) = query.given("code") else {
        // As RFC 6749 §4.1.2.1 writes it; a whole sentence would be somebody else's on our page.
        let is_code =
            |error: &&str| error.len() <= 40 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let why = query.given("error").filter(is_code).unwrap_or("no code");
        let detail = format!("{} has not signed you in: {why}", journey.provider);
        return Err(Problem::forbidden(detail).into());
    };
    api.limits.guess(from.0)?;
    let outside = api.identities.outside();
    let tokens = application.redeem(outside, code, journey.sent(), &clock::clocks()).await;
    let token = first_that_counts(&api, from, tokens.map_err(|error| failed(&error))?).await?;
    let cookie = Session::new(&token, clock::now().seconds()).cookie(&api, manner.is_secure)?;
    let mut response = layout::onward(&journey.next, "You are signed in").into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response.headers_mut().append(header::SET_COOKIE, Journey::cookie("", manner).kept(0));
    Ok(response)
}

/// Some providers make access tokens for us, others put all that is needed into ID tokens.
async fn first_that_counts(api: &Api, from: Origin, tokens: Vec<String>) -> Result<String, Problem> {
    for token in tokens.into_iter().filter(|token| oidc::has_form(token)) {
        match Authenticated::by(api, from, &token).await {
            Ok(_) => return Ok(token),
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {}
            Err(problem) => return Err(problem),
        }
    }
    let detail =
        "you are known there, and the rules of this registry make nothing of your account: ask an operator";
    Err(Problem::forbidden(detail))
}

/// The cause is for the operator's log.
fn failed(error: &OidcError) -> Problem {
    tracing::warn!(why = %error, "nobody could be signed in at an identity provider");
    match error {
        OidcError::Unavailable(_) => Problem::unavailable(
            "identity_provider_unavailable",
            "the identity provider does not answer as it should: try again",
        ),
        _ => Problem::forbidden("the identity provider has not confirmed this sign-in: begin anew"),
    }
}
