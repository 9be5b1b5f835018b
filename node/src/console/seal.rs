//! How a seal arrives: which nodes obey an act already, and which do not yet.

use super::{
    fault::Fault,
    layout,
    visit::{Here, Path, Visit, is_inside},
};
use crate::{
    api::{Api, Receipt},
    problem::Problem,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use hapi_raft::SealError;
use maud::{Markup, html};
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// How long the leader may take to say whether all obey.
const ANSWER: Duration = Duration::from_millis(500);

/// A node that may still issue against the act.
const WAITING: &str = "waiting";

/// What is known of a seal.
#[derive(Serialize)]
pub(super) struct Seal {
    index: u64,
    /// Whether no node issues against the act any more.
    pub(super) sealed: bool,
    /// Empty if that is not known any more.
    nodes: Vec<Obeying>,
}

/// One node.
#[derive(Serialize)]
struct Obeying {
    /// 16 hexadecimal digits.
    node: String,
    /// Its base URL, if it is a member.
    http: Option<String>,
    /// `confirmed`, `lease_expired` or `waiting`.
    cover: &'static str,
    /// Milliseconds from the commit.
    ms: Option<u64>,
}

impl Seal {
    /// As it stands now.
    pub(super) async fn look(api: &Api, index: u64) -> Result<Self, Problem> {
        let outlook = api.replica.outlook(Some(index)).await.unwrap_or_default();
        if !outlook.seal.is_empty() {
            let nodes = outlook.seal.iter().map(|(node, covered)| match covered {
                Some(covered) => (node.to_string(), covered.cover.name(), Some(covered.ms)),
                None => (node.to_string(), WAITING, None),
            });
            return Ok(Self::new(api, index, false, nodes));
        }
        match api.replica.sealed(index, ANSWER).await {
            Ok(receipt) => Ok(Self::complete(api, &Receipt::sealed(index, &receipt.nodes))),
            Err(SealError::Beyond(_)) => {
                Err(Problem::not_found("not_found", format!("the log has no entry at index {index} yet")))
            }
            // By a leader that does not tell more: all that issue are waited for.
            Err(SealError::Pending(_)) => {
                let state = api.replica.state();
                Ok(Self::new(
                    api,
                    index,
                    false,
                    state.roster().map(|(node, _)| (node.to_string(), WAITING, None)),
                ))
            }
        }
    }

    /// Of an act that binds all.
    pub(super) fn complete(api: &Api, receipt: &Receipt) -> Self {
        let nodes = receipt.nodes.iter().map(|shown| (shown.node.clone(), shown.cover, Some(shown.ms)));
        Self::new(api, receipt.index, true, nodes)
    }

    fn new(
        api: &Api,
        index: u64,
        sealed: bool,
        nodes: impl Iterator<Item = (String, &'static str, Option<u64>)>,
    ) -> Self {
        let members = api.replica.status().members;
        let http = |node: &str| {
            let member = members.iter().find(|member| member.id.to_string() == node);
            member.map(|member| member.record.http.clone())
        };
        let nodes = nodes.map(|(node, cover, ms)| Obeying { http: http(&node), node, cover, ms });
        Self { index, sealed, nodes: nodes.collect() }
    }

    /// A sentence.
    pub(super) fn told(&self) -> String {
        let (of, all) = (self.nodes.iter().filter(|node| node.ms.is_some()).count(), self.nodes.len());
        match self.sealed {
            true => format!("Sealed at index {}: no node issues against it any more.", self.index),
            false => format!("Committed at index {}: {of} of {all} nodes obey so far.", self.index),
        }
    }

    /// The same for people.
    pub(super) fn shown(&self) -> Markup {
        html! {
            div class={ "notice " (if self.sealed { "good" } else { "warn" }) } role="status" { p { (self.told()) } }
            ul.nodes {
                @for node in &self.nodes {
                    li class=(node.cover) {
                        span.mark aria-hidden="true" {}
                        span { (node.http.as_deref().unwrap_or("a node that was removed")) " " code { (node.node) } }
                        span.said { (words(node.cover)) @if let Some(ms) = node.ms { ", " (ms) " ms" } }
                    }
                }
            }
        }
    }
}

fn words(cover: &str) -> &'static str {
    match cover {
        "confirmed" => "confirmed",
        "lease_expired" => "its leases ran out",
        _ => "waiting",
    }
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Here(visit): Here,
    Path(index): Path<u64>,
) -> Result<Response, Fault> {
    let seal = Seal::look(&api, index).await?;
    if visit.manner.wants_json {
        return Ok(Json(seal).into_response());
    }
    Ok(page(&visit, &seal))
}

fn page(visit: &Visit, seal: &Seal) -> Response {
    let back = Some(visit.query.get("back")).filter(|back| is_inside(back)).unwrap_or("/console");
    let main = html! {
        h1 { "Seal of index " (seal.index) }
        (seal.shown())
        p { a.button href=(back) { "Go on" } }
    };
    let mut response = layout::page(Some(visit), "Seal", "/console", &main);
    if !seal.sealed {
        // Without the script the page looks again by itself.
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("1"));
    }
    response
}
