//! Errors, told on a page.

use super::{
    layout,
    visit::{Manner, Visit},
};
use crate::problem::Problem;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

/// A problem on its way out: the gate, which knows how the request came, gives it its form.
pub(super) struct Fault(pub(super) Problem);

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.0.status().into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// The answer to what leads nowhere.
pub(super) async fn nowhere() -> Fault {
    Fault(Problem::not_found("not_found", "the console has no such page"))
}

/// The answer to a method that a page does not take.
pub(super) async fn no_method() -> Fault {
    let detail = "this page does not take that method";
    Fault(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail))
}

/// The problem as data for a script, or as a page for a person.
pub(super) fn told(manner: &Manner, visit: Option<&Visit>, problem: Problem) -> Response {
    let status = problem.status();
    let (_, retry_after, body) = problem.clone().parts();
    let mut response = if manner.wants_json {
        (status, Json(body)).into_response()
    } else {
        let title = status.canonical_reason().unwrap_or("Error");
        let main = html! {
            div.notice.bad role="alert" {
                h1 { (title) }
                p.sentence { (problem.detail()) }
                p.quiet { "Code " code { (problem.code()) } @if let Some(seconds) = retry_after {
                    ". Try again in " (seconds) " s"
                } }
            }
            p { a href="/console" { "Back to the catalog" } }
        };
        (status, layout::page(visit, title, "", &main)).into_response()
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    response
}
