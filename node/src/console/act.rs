//! An act of moderation, from a form to the very function that the API does it by.

use super::{
    fault::Fault,
    fields::encoded,
    layout,
    seal::Seal,
    visit::{Here, Visit, is_inside},
};
use crate::{
    api::{ActBody, ActReply, Api, perform},
    auth::Authenticated,
    problem::Problem,
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use maud::html;
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// What a script is told.
#[derive(Serialize)]
struct Acted {
    /// `done`, `sealing` or `asked`.
    state: &'static str,
    /// A sentence for people.
    told: String,
    /// The index of the entry.
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<Seal>,
}

/// Does what the form says. A script is answered as soon as the act is committed, and looks for the seal by itself.
pub(super) async fn act(State(api): State<Arc<Api>>, Here(visit): Here) -> Result<Response, Fault> {
    let form = &visit.form;
    let text = |name: &str| form.given(name).map(str::to_owned);
    let body = ActBody::on_one(form.get("act"), form.get("subject"), form.get("reason"))?
        .with(text("case"), form.given("expires_at").map(instant));
    let caller = named(visit.caller()?.clone(), form.get("request"));
    let caller = if visit.manner.wants_json { caller.waiting(Duration::ZERO) } else { caller };
    let acted = match perform(&api, &caller, body).await {
        Ok(reply) => Acted::of(&api, reply),
        Err(problem) => match problem.seal() {
            Some(index) => Acted::sealing(&api, index).await?,
            None => return Err(problem.into()),
        },
    };
    Ok(if visit.manner.wants_json { Json(acted).into_response() } else { page(&visit, &acted) })
}

fn named(caller: Authenticated, name: &str) -> Authenticated {
    let fits = (16..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { caller.naming(name.into()) } else { caller }
}

/// Browsers write an instant without its zone; the form says which one it is of.
fn instant(text: &str) -> String {
    match text.len() {
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

impl Acted {
    fn of(api: &Api, reply: ActReply) -> Self {
        match reply {
            ActReply::Asked(asked) => Self {
                state: "asked",
                told: "Nothing was done yet: another moderator has to confirm it, on the page of requests."
                    .into(),
                index: asked.index,
                seal: None,
            },
            ActReply::Done(answer) => {
                let (receipt, index) = (&answer.receipt, answer.receipt.index);
                let seal = (!receipt.nodes.is_empty()).then(|| Seal::complete(api, receipt));
                let told = match (&seal, receipt.unchanged) {
                    (_, true) => format!("It stood so already, since index {index}."),
                    (Some(seal), false) => seal.told(),
                    (None, false) => format!("Done at index {index}."),
                };
                Self { state: "done", told, index, seal }
            }
        }
    }

    /// Committed, and not known to bind every node yet.
    async fn sealing(api: &Api, index: u64) -> Result<Self, Problem> {
        let seal = Seal::look(api, index).await?;
        let state = if seal.sealed { "done" } else { "sealing" };
        Ok(Self { state, told: seal.told(), index, seal: Some(seal) })
    }
}

fn page(visit: &Visit, acted: &Acted) -> Response {
    let back = Some(visit.form.get("back")).filter(|back| is_inside(back)).unwrap_or("/console");
    if acted.state == "sealing" {
        return layout::see_other(&format!("/console/seals/{}?back={}", acted.index, encoded(back)));
    }
    let main = html! {
        h1 { (visit.form.get("act")) " " code { (visit.form.get("subject")) } }
        @match &acted.seal {
            Some(seal) => (seal.shown()),
            None => div.notice role="status" { p { (acted.told) } },
        }
        @if acted.state == "asked" { p { a href="/console/requests" { "Requests" } } }
        p { a.button href=(back) { "Go on" } }
    };
    layout::page(Some(visit), "Moderation", "/console", &main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_write_is_read_as_utc() {
        assert_eq!(instant("2030-01-02T03:04"), "2030-01-02T03:04:00Z");
        assert_eq!(instant("2030-01-02T03:04:05"), "2030-01-02T03:04:05Z");
        assert_eq!(instant("2030-01-02T03:04:05Z"), "2030-01-02T03:04:05Z");
    }
}
