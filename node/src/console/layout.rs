//! What all pages have in common.

use super::{assets, visit::Visit};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use hapi_registry_state::{Right, Standing, Status, Timestamp};
use maud::{DOCTYPE, Markup, html};

/// Where a page stands in the navigation: path, name, and the right to see it.
const TABS: [(&str, &str, Right); 4] = [
    ("/console", "Catalog", Right::ReadCatalog),
    ("/console/requests", "Requests", Right::ReadGovernance),
    ("/console/cluster", "Cluster", Right::ReadGovernance),
    ("/console/audit", "Audit", Right::ReadGovernance),
];

/// A page. `tab` is the path of the one in the navigation that it belongs to.
pub(super) fn page(visit: Option<&Visit>, title: &str, tab: &str, main: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, None))
            body {
                a.skip href="#main" { "Skip to the content" }
                header.bar {
                    a.brand href="/console" { img src=(assets::PICTURE.path.as_str()) alt="" width="24" height="24"; "HAPI Registry" }
                    (navigation(visit, tab))
                    (account(visit))
                }
                main id="main" tabindex="-1" { (main) }
            }
        }
    };
    Html(page.into_string()).into_response()
}

fn head(title: &str, onward: Option<&str>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            @if let Some(target) = onward { meta http-equiv="refresh" content={ "0; url=" (target) }; }
            title { (title) " · HAPI Registry" }
            link rel="icon" href=(assets::PICTURE.path.as_str());
            link rel="stylesheet" href=(assets::STYLE.path.as_str());
            script src=(assets::SCRIPT.path.as_str()) defer {}
        }
    }
}

fn navigation(visit: Option<&Visit>, tab: &str) -> Markup {
    // Whoever is not signed in may see the catalog, if anything.
    let shown = |right: Right| right == Right::ReadCatalog || visit.is_some_and(|visit| visit.may(right));
    html! {
        nav aria-label="Pages" {
            @for (path, name, right) in TABS {
                @if shown(right) {
                    a href=(path) aria-current=[(path == tab).then_some("page")] { (name) }
                }
            }
        }
    }
}

fn account(visit: Option<&Visit>) -> Markup {
    let session = visit.and_then(|visit| visit.session.as_ref());
    html! {
        @match session {
            Some((session, caller)) => {
                form.account method="post" action="/console/sign-out" {
                    input type="hidden" name="csrf" value=(session.csrf);
                    span.who title=(caller.principal()) {
                        (caller.caller().role) " " code { (caller.principal()) }
                    }
                    button.plain type="submit" { "Sign out" }
                }
            }
            None => div.account { a href="/console/sign-in" { "Sign in" } },
        }
    }
}

/// A page that leads on to another one by itself. A browser that another site has led here keeps cookies of ours to itself
/// until a page of ours has asked.
pub(super) fn onward(target: &str, title: &str) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, Some(target)))
            body { main.narrow { h1 { (title) } p { a href=(target) { "Go on" } } } }
        }
    };
    Html(page.into_string())
}

/// The answer that leads to another page.
pub(super) fn see_other(target: &str) -> Response {
    let target = HeaderValue::from_str(target).unwrap_or(HeaderValue::from_static("/console"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response()
}

/// A coloured word.
pub(super) fn badge(kind: &str, text: &str) -> Markup {
    html! { span class={ "badge " (kind) } { (text) } }
}

/// How something stands by a moderator's word.
pub(super) fn standing(standing: Standing) -> Markup {
    match standing {
        Standing::None => html! {},
        Standing::Quarantined => badge("warn", standing.as_str()),
        Standing::Suspended | Standing::Revoked => badge("bad", standing.as_str()),
    }
}

/// What a publisher says of a version.
pub(super) fn status(status: Status) -> Markup {
    let kind = match status {
        Status::Active => "good",
        Status::Deprecated => "warn",
        Status::Deleted => "",
    };
    badge(kind, status.as_str())
}

/// An instant, to the second.
pub(super) fn instant(at: Timestamp) -> Markup {
    moment(&at.to_string())
}

/// An instant that is written by RFC 3339.
pub(super) fn moment(text: &str) -> Markup {
    let shown = text.get(..19).map_or_else(|| text.to_owned(), |shown| shown.replace('T', " "));
    html! { time datetime=(text) title=(text) { (shown) } }
}

/// The address of a server's page.
pub(super) fn server_path(name: &str) -> String {
    let parts: Vec<_> = name.splitn(2, '/').map(super::fields::encoded).collect();
    format!("/console/servers/{}", parts.join("/"))
}
