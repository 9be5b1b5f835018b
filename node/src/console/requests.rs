//! Acts that wait for a second moderator.

use super::{
    fault::Fault,
    fields::encoded,
    layout,
    visit::{Here, Path, Visit},
};
use crate::api::{Api, ShownRequest};
use axum::{extract::State, response::Response};
use hapi_registry_state::{Command, Right};
use maud::{Markup, html};
use std::sync::Arc;

const PATH: &str = "/console/requests";

pub(super) async fn show(State(api): State<Arc<Api>>, Here(visit): Here) -> Result<Response, Fault> {
    visit.caller()?.govern(&api).await?;
    let state = api.replica.state();
    let requests: Vec<_> = state.act_requests().map(|(id, request)| ShownRequest::new(id, request)).collect();
    let main = html! {
        div.title { h1 { "Requests" } p.quiet { "Acts that another moderator has to confirm" } }
        @if requests.is_empty() { p.empty { "Nothing waits to be confirmed." } }
        @for request in &requests { (one(&visit, request)) }
    };
    Ok(layout::page(Some(&visit), "Requests", PATH, &main))
}

fn one(visit: &Visit, request: &ShownRequest) -> Markup {
    let path = format!("{PATH}/{}", request.id);
    html! {
        section.card aria-labelledby={ "request-" (request.id) } {
            h2 id={ "request-" (request.id) } { (request.act) " " code { (request.subject) } }
            p { (request.reason) }
            dl.facts {
                div { dt { "Asked by" } dd { code { (request.by) } } }
                div { dt { "At (UTC)" } dd { (layout::moment(&request.at)) } }
                div { dt { "Counts until (UTC)" } dd { (layout::moment(&request.expires_at)) } }
                div { dt { "Subjects" } dd.number { (request.subjects) } }
                @if let Some(case) = &request.case { div { dt { "Case" } dd { (case) } } }
                @if let Some(end) = &request.ends_at { div { dt { "Lifts itself at (UTC)" } dd { (layout::moment(end)) } } }
            }
            @if visit.may(Right::Moderate) {
                div.row {
                    form method="post" action={ (path) "/confirm" } {
                        input type="hidden" name="csrf" value=(visit.csrf());
                        button type="submit" { "Confirm" }
                    }
                    form.row method="post" action={ (path) "/reject" } {
                        input type="hidden" name="csrf" value=(visit.csrf());
                        label.hidden for={ "reason-" (request.id) } { "Reason to take it off" }
                        input id={ "reason-" (request.id) } name="reason" required maxlength="1000"
                            placeholder="Reason to take it off" autocomplete="off";
                        button.plain type="submit" { "Take off" }
                    }
                }
            }
        }
    }
}

/// Does what another moderator has asked for.
pub(super) async fn confirm(
    State(api): State<Arc<Api>>,
    Here(visit): Here,
    Path(id): Path<u64>,
) -> Result<Response, Fault> {
    written(&api, &visit, Command::ConfirmAct(id)).await
}

/// Takes a request off.
pub(super) async fn reject(
    State(api): State<Arc<Api>>,
    Here(visit): Here,
    Path(id): Path<u64>,
) -> Result<Response, Fault> {
    let reason = visit.form.get("reason").to_owned();
    written(&api, &visit, Command::RejectAct { id, reason }).await
}

async fn written(api: &Api, visit: &Visit, command: Command) -> Result<Response, Fault> {
    let caller = visit.caller()?;
    caller.require(Right::Moderate)?;
    match api.write(caller, command).await {
        Ok(_) => Ok(layout::see_other(PATH)),
        Err(problem) => match problem.seal() {
            Some(index) => Ok(layout::see_other(&format!("/console/seals/{index}?back={}", encoded(PATH)))),
            None => Err(problem.into()),
        },
    }
}
