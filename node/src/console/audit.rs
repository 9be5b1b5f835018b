//! The audit chain, the newest record first.

use super::{fault::Fault, history, layout, visit::Here};
use crate::api::{Api, hex};
use axum::{extract::State, response::Response};
use maud::html;
use std::sync::Arc;

/// Records of a page.
const LIMIT: usize = 50;

pub(super) async fn show(State(api): State<Arc<Api>>, Here(visit): Here) -> Result<Response, Fault> {
    visit.caller()?.govern(&api).await?;
    let before = visit.query.given("before").and_then(|before| before.parse().ok()).unwrap_or(u64::MAX);
    let state = api.replica.state();
    let mut records: Vec<_> = state.audit_before(before).take(LIMIT + 1).collect();
    let has_more = records.len() > LIMIT;
    records.truncate(LIMIT);
    let last = records.last().filter(|_| has_more).map(|chained| chained.record.index);
    let main = html! {
        div.title {
            h1 { "Audit" }
            p.quiet { (state.audit_length()) " records, chained: none can be changed unnoticed" }
        }
        dl.facts {
            div { dt { "Head of the chain" } dd { code { (hex(&state.audit_head())) } } }
        }
        @if records.is_empty() { p.empty { "There is no record there." } }
        @else { (history::table("Records of the audit chain, the newest first", &records)) }
        nav.pager aria-label="Pages of the audit" {
            @if before != u64::MAX { a.button href="/console/audit" { "Newest" } }
            @if let Some(last) = last { a.button href={ "/console/audit?before=" (last) } rel="next" { "Older" } }
        }
    };
    Ok(layout::page(Some(&visit), "Audit", "/console/audit", &main))
}
