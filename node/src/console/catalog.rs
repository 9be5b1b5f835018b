//! The catalog: search, and one line for each server.

use super::{
    fault::Fault,
    fields::encoded,
    layout,
    visit::{Here, Visit},
};
use crate::{api::Api, problem::Problem};
use axum::{extract::State, response::Response};
use hapi_registry_state::{ListQuery, Listed, Page, Right, Standing, Status, VersionFilter};
use maud::{Markup, html};
use std::sync::Arc;

/// Lines of a page.
const LIMIT: usize = 30;

/// The longest question, in characters, as at the API.
const MAX_QUERY: usize = 1_000;

pub(super) async fn show(State(api): State<Arc<Api>>, Here(visit): Here) -> Result<Response, Fault> {
    let mut query = parse(&api, &visit)?;
    let words = query.search.clone().unwrap_or_default();
    let is_first = query.after.is_none();
    let state = api.replica.state();
    let Page { items, next } = api.rankings.list(&state, &query, visit.viewer());
    query.after = next;
    let cursor = api.cursors().write(&query);
    let (servers, versions) = state.catalog_size();
    let main = html! {
        div.title {
            h1 { "Catalog" }
            @if visit.may(Right::ReadGovernance) {
                p.quiet { (servers) " servers, " (versions) " versions" }
            }
        }
        form.search role="search" method="get" action="/console" {
            label.hidden for="q" { "Search servers" }
            input type="search" id="q" name="q" value=(words) maxlength=(MAX_QUERY)
                placeholder="Words of a name, a title or a description";
            button type="submit" { "Search" }
        }
        @if items.is_empty() {
            p.empty { @if words.is_empty() { "Nothing is published here yet." } @else { "No server has to do with these words." } }
        } @else {
            ul.servers { @for listed in &items { (line(listed)) } }
        }
        (pager(is_first, &words, cursor.as_deref()))
    };
    Ok(layout::page(Some(&visit), "Catalog", "/console", &main))
}

/// Who governs sees what is moderated too.
fn parse(api: &Api, visit: &Visit) -> Result<ListQuery, Problem> {
    if let Some(cursor) = visit.query.given("cursor") {
        let query = api.cursors().read(cursor, LIMIT);
        return query
            .ok_or_else(|| Problem::invalid("this is no page of the catalog: begin at the first one"));
    }
    let search = visit.query.given("q").map(str::to_owned);
    if search.as_ref().is_some_and(|words| words.chars().count() > MAX_QUERY) {
        return Err(Problem::invalid(format!("a question has at most {MAX_QUERY} characters")));
    }
    Ok(ListQuery {
        limit: LIMIT,
        search,
        version: VersionFilter::Latest,
        include_deleted: visit.may(Right::ReadGovernance),
        ..ListQuery::default()
    })
}

fn line(listed: &Listed) -> Markup {
    let document = listed.published.document.open();
    let (name, governance) = (document.name().to_string(), &listed.governance);
    html! {
        li {
            div.first {
                a.name href=(layout::server_path(&name)) { (document.title().unwrap_or(&name)) }
                (badges(listed))
            }
            div.id { code { (name) } " " span.quiet { (document.version()) } }
            p { (document.description()) }
            @if let Some(reason) = &governance.reason { p.quiet { "Reason: " (reason) } }
        }
    }
}

/// How a version stands, in words.
pub(super) fn badges(listed: &Listed) -> Markup {
    let governance = &listed.governance;
    html! {
        @if governance.verified { (layout::badge("info", "verified")) }
        (layout::standing(governance.moderation))
        @if governance.moderation == Standing::None {
            @match (listed.status, governance.connectable) {
                (Status::Active, true) => (layout::badge("good", "connectable")),
                (Status::Active, false) => (layout::badge("", "not connectable")),
                (status, _) => (layout::status(status)),
            }
        }
    }
}

fn pager(is_first: bool, words: &str, cursor: Option<&str>) -> Markup {
    html! {
        nav.pager aria-label="Pages of the catalog" {
            @if !is_first {
                a.button href={ "/console" @if !words.is_empty() { "?q=" (encoded(words)) } } { "First page" }
            }
            @if let Some(cursor) = cursor { a.button href={ "/console?cursor=" (cursor) } rel="next" { "Next page" } }
        }
    }
}
