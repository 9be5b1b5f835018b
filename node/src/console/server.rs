//! One server: what it is, its versions, how it stands, what was done to it, and what may be done.

use super::{
    act_form, catalog,
    fault::Fault,
    history, layout,
    visit::{Here, Path, Visit},
};
use crate::{api::Api, problem::Problem};
use axum::{extract::State, http::StatusCode, response::Response};
use hapi_registry_state::{Listed, Registry, Right, ServerName, Transport};
use maud::{Markup, html};
use serde_json::Value;
use std::sync::Arc;
use url::Url;

/// The most versions that are shown.
const MOST_VERSIONS: usize = 100;

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Here(visit): Here,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let absent =
        || Problem::not_found("server_not_found", format!("{namespace}/{name} is not in the catalog"));
    let name: ServerName = format!("{namespace}/{name}").parse().map_err(|_| absent())?;
    let history = history(&api, &visit, &name).await?;
    let state = api.replica.state();
    let versions = state.versions(&name, true, visit.viewer());
    let latest = versions.iter().find(|listed| listed.is_latest).or(versions.first());
    let latest = latest.ok_or_else(absent)?;
    let document = latest.published.document.open();
    let title = document.title().unwrap_or(name.as_str()).to_owned();
    let main = html! {
        p.crumbs { a href="/console" { "Catalog" } " / " code { (name) } }
        div.title { h1 { (title) } div { (catalog::badges(latest)) } }
        p.lead { (document.description()) }
        @if let Some(reason) = &latest.governance.reason {
            div.notice.bad {
                p { b { (latest.governance.moderation.as_str()) } ": " (reason) }
                @if let Some(end) = latest.governance.expires_at { p.quiet { "Lifts itself at " (layout::instant(end)) " UTC" } }
            }
        }
        @if visit.may(Right::Moderate) { (act_form::all(&visit, &name, &versions)) }
        (facts(&state, &name, latest))
        h2 { "Versions" }
        (table(&versions))
        @if let Some(history) = history { h2 { "History" } (history) }
    };
    Ok(layout::page(Some(&visit), &title, "/console", &main))
}

/// For those who govern. A node without a majority shows the rest all the same.
async fn history(api: &Api, visit: &Visit, name: &ServerName) -> Result<Option<Markup>, Problem> {
    if !visit.may(Right::ReadGovernance) {
        return Ok(None);
    }
    match visit.caller()?.govern(api).await {
        Ok(()) => {}
        Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
            return Ok(Some(html! { p.notice.warn { "Not to be had now: " (problem.detail()) } }));
        }
        Err(problem) => return Err(problem),
    }
    let state = api.replica.state();
    let records = history::of(&state, name);
    Ok(Some(match records.is_empty() {
        true => html! { p.empty { "Nothing was done to it yet." } },
        false => history::table("What was done to this server, the newest first", &records),
    }))
}

fn facts(state: &Registry, name: &ServerName, latest: &Listed) -> Markup {
    let document = latest.published.document.open();
    let raw: Value = serde_json::from_slice(document.raw()).unwrap_or_default();
    let record = |kind: &str, id: &str| {
        let subject = hapi_registry_state::Subject::parse(kind, id).ok()?;
        state.moderation(&subject).and_then(|record| record.case.clone())
    };
    let case = record("server", name.as_str());
    html! {
        dl.facts {
            div { dt { "Name" } dd { code { (name) } } }
            div { dt { "Latest version" } dd { code { (document.version()) } } }
            @if let Some(case) = case { div { dt { "Case" } dd { (case) } } }
            @if let Some(source) = &latest.governance.source { div { dt { "Mirrored from" } dd { code { (source) } } } }
            @if let Some(site) = raw["websiteUrl"].as_str() { div { dt { "Website" } dd { (link(site)) } } }
            @if let Some(place) = raw["repository"]["url"].as_str() { div { dt { "Repository" } dd { (link(place)) } } }
            @for remote in document.remotes() {
                div {
                    dt { "Remote" }
                    dd {
                        code { (remote.url.as_str()) } " "
                        (layout::badge("", if remote.transport == Transport::Sse { "sse" } else { "streamable-http" }))
                    }
                }
            }
            @for package in raw["packages"].as_array().into_iter().flatten().take(10) {
                div {
                    dt { "Package" }
                    dd {
                        code { (package["identifier"].as_str().unwrap_or_default()) } " "
                        (layout::badge("", package["registryType"].as_str().unwrap_or("package")))
                    }
                }
            }
            div { dt { "Index" } dd.number { (latest.governance.index) } }
        }
    }
}

/// What a publisher has given as a URL is a link only if it is https, and learns nothing of who follows it.
fn link(text: &str) -> Markup {
    let is_web = Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    html! {
        @if is_web { a href=(text) rel="noreferrer noopener nofollow" target="_blank" { (text) } }
        @else { code { (text) } }
    }
}

fn table(versions: &[Listed]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Versions" {
            table {
                caption.hidden { "Versions, the newest first" }
                thead { tr {
                    th scope="col" { "Version" } th scope="col" { "Standing" } th scope="col" { "Published (UTC)" }
                    th scope="col" { "Changed (UTC)" } th scope="col" { "Message" }
                } }
                tbody {
                    @for listed in versions.iter().take(MOST_VERSIONS) {
                        tr {
                            th scope="row" {
                                code { (listed.published.document.version()) }
                                @if listed.is_latest { " " (layout::badge("info", "latest")) }
                            }
                            td { (catalog::badges(listed)) }
                            td { (layout::instant(listed.published.published_at)) }
                            td { (layout::instant(listed.updated_at())) }
                            td.wide { (listed.published.status_message.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
        @if versions.len() > MOST_VERSIONS { p.quiet { "And " (versions.len() - MOST_VERSIONS) " older ones." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_links_to_https_alone_and_everything_else_is_text() {
        assert!(
            link("https://acme.ai/docs")
                .into_string()
                .starts_with("<a href=\"https://acme.ai/docs\" rel=\"noreferrer noopener")
        );
        for text in
            ["javascript:alert(1)", "http://acme.ai", "data:text/html,x", "//acme.ai", "https://", "x"]
        {
            assert!(link(text).into_string().starts_with("<code>"), "{text}");
        }
        let sly = link("https://acme.ai/\"><script>alert(1)</script>").into_string();
        assert!(!sly.contains("<script"), "{sly}");
    }
}
