//! Signing in with a token, and out.

use super::{
    fault::Fault,
    fields::encoded,
    layout,
    session::Session,
    visit::{Here, Visit, is_inside},
};
use crate::{api::Api, auth::Authenticated, clock, limits::Origin};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use hapi_registry_state::{IdentityProviderId, Registry};
use maud::{Markup, html};
use std::sync::Arc;

pub(super) async fn show(State(api): State<Arc<Api>>, Here(visit): Here) -> Response {
    let ended = visit.query.given("ended").map(|_| "Your session has ended. Sign in again to go on.");
    page(&api, &visit, visit.query.get("next"), ended)
}

/// Whoever shows a token that counts is signed in; one that does not is counted like one shown to the API.
pub(super) async fn sign_in(
    State(api): State<Arc<Api>>,
    from: Origin,
    Here(visit): Here,
) -> Result<Response, Fault> {
    let (token, next) = (visit.form.get("token"), visit.form.get("next"));
    match Authenticated::by(&api, from, token).await {
        Ok(_) => enter(&api, &visit, token, next),
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            let why = "This token is not valid here: it may be mistyped, ended or revoked.";
            let mut response = page(&api, &visit, next, Some(why));
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            Ok(response)
        }
        Err(problem) => Err(problem.into()),
    }
}

fn enter(api: &Api, visit: &Visit, token: &str, next: &str) -> Result<Response, Fault> {
    let session = Session::new(token, clock::now().seconds());
    let cookie = session.cookie(api, visit.manner.is_secure)?;
    let mut response = layout::see_other(if is_inside(next) { next } else { "/console" });
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

pub(super) async fn sign_out(Here(visit): Here) -> Response {
    let mut response = layout::see_other("/console/sign-in");
    response.headers_mut().append(header::SET_COOKIE, Session::end(visit.manner.is_secure));
    response
}

/// Identity providers that have an application for this console.
fn providers(state: &Registry) -> impl Iterator<Item = &IdentityProviderId> {
    let all = state.identity_providers();
    all.filter(|(_, provider)| provider.settings.console_client_id.is_some()).map(|(id, _)| id)
}

fn page(api: &Api, visit: &Visit, next: &str, notice: Option<&str>) -> Response {
    let state = api.replica.state();
    let providers: Vec<_> = providers(&state).collect();
    let main = html! {
        div.narrow {
            h1 { "Sign in" }
            @if let Some(notice) = notice { p.notice.warn role="alert" { (notice) } }
            form.card method="post" action="/console/sign-in" {
                input type="hidden" name="next" value=(next);
                label for="token" { "API token" }
                input type="password" id="token" name="token" required autocomplete="off" spellcheck="false"
                    autocapitalize="none" maxlength="12288" aria-describedby="about-token" autofocus;
                p.quiet id="about-token" {
                    "What you may see and do here is what the token may do at the API. Your browser keeps it \
                     encrypted, for at most eight hours."
                }
                button type="submit" { "Sign in" }
            }
            (by_provider(&providers, next))
        }
    };
    layout::page(Some(visit), "Sign in", "", &main).into_response()
}

fn by_provider(providers: &[&IdentityProviderId], next: &str) -> Markup {
    html! {
        @if !providers.is_empty() {
            h2 { "Or with your company's account" }
            ul.choices {
                @for id in providers {
                    li {
                        a.button href={ "/console/oidc/" (encoded(id.as_str())) "?next=" (encoded(next)) } {
                            "Continue with " (id)
                        }
                    }
                }
            }
        }
    }
}
