//! The forms by which a moderator acts on a server: one dialog for each act that could change something.

use super::{layout, visit::Visit};
use crate::{api::hex, clock};
use hapi_registry_state::{Act, Listed, ServerName, Standing};
use maud::{Markup, html};

/// The most versions that can be chosen.
const MOST_VERSIONS: usize = 100;

/// What an act is called, and what it does.
fn words(act: Act) -> (&'static str, &'static str) {
    match act {
        Act::Suspend => ("Suspend", "No client may connect until it is reinstated."),
        Act::Quarantine => ("Quarantine", "No client may connect, and none finds it, until it was reviewed."),
        Act::Revoke => ("Revoke", "No client may ever connect again. This cannot be undone."),
        Act::Reinstate => ("Reinstate", "Lifts a suspension or a quarantine."),
        Act::Approve => ("Approve", "Ends a review: lifts a quarantine, and nothing else."),
        Act::Verify => ("Verify", "Vouches for it, which governed clusters demand."),
        Act::Unverify => ("Unverify", "Takes that back."),
    }
}

/// Whether it could change how any of the versions stands.
fn is_open(act: Act, versions: &[Listed]) -> bool {
    let stands = |standing| versions.iter().any(|listed| listed.governance.moderation == standing);
    let is_verified = |listed: &Listed| listed.governance.verified;
    let any_left = versions.iter().any(|listed| listed.governance.moderation != Standing::Revoked);
    match act {
        Act::Suspend | Act::Quarantine | Act::Revoke => any_left,
        Act::Reinstate => stands(Standing::Suspended) || stands(Standing::Quarantined),
        Act::Approve => stands(Standing::Quarantined),
        Act::Verify => any_left && !versions.iter().all(is_verified),
        Act::Unverify => versions.iter().any(is_verified),
    }
}

/// Buttons, and the dialogs that they open. Without the script a button loads the page anew, with its dialog open.
pub(super) fn all(visit: &Visit, name: &ServerName, versions: &[Listed]) -> Markup {
    let page = layout::server_path(name.as_str());
    let acts: Vec<_> = Act::ALL.into_iter().filter(|act| is_open(*act, versions)).collect();
    html! {
        div.acts role="group" aria-label="Moderation" {
            @for act in &acts {
                @let id = act.as_str();
                a.button.danger[is_stern(*act)] href={ (page) "?act=" (id) "#act-" (id) } data-dialog={ "act-" (id) }
                    role="button" { (words(*act).0) "…" }
            }
        }
        @for act in &acts { (dialog(visit, *act, name, versions, &page)) }
    }
}

fn is_stern(act: Act) -> bool {
    matches!(act, Act::Suspend | Act::Quarantine | Act::Revoke)
}

fn dialog(visit: &Visit, act: Act, name: &ServerName, versions: &[Listed], page: &str) -> Markup {
    let (id, (title, about)) = (act.as_str(), words(act));
    let is_asked_for = visit.query.get("act") == id;
    html! {
        dialog id={ "act-" (id) } aria-labelledby={ "act-" (id) "-title" } open[is_asked_for] {
            form method="post" action="/console/moderation" data-act {
                h2 id={ "act-" (id) "-title" } { (title) " " code { (name) } }
                p { (about) }
                input type="hidden" name="csrf" value=(visit.csrf());
                input type="hidden" name="act" value=(id);
                // A form that is sent twice does nothing twice.
                input type="hidden" name="request" value=(hex(&clock::random_name()));
                input type="hidden" name="back" value=(page);
                label for={ (id) "-subject" } { "What" }
                select id={ (id) "-subject" } name="subject" { (subjects(name, versions)) }
                label for={ (id) "-reason" } { "Reason" }
                textarea id={ (id) "-reason" } name="reason" required maxlength="1000" rows="3"
                    aria-describedby={ (id) "-about-reason" } {}
                p.quiet id={ (id) "-about-reason" } { "Whoever is refused because of it is told." }
                div.pair {
                    div {
                        label for={ (id) "-case" } { "Case " span.quiet { "(if any)" } }
                        input id={ (id) "-case" } name="case" maxlength="200" autocomplete="off";
                    }
                    @if act.may_end() {
                        div {
                            label for={ (id) "-end" } { "Lifts itself at " span.quiet { "(UTC, if at all)" } }
                            input type="datetime-local" id={ (id) "-end" } name="expires_at";
                        }
                    }
                }
                p.notice.bad.sentence role="alert" data-trouble hidden {}
                div.row {
                    button.danger[is_stern(act)] type="submit" { (title) }
                    a.button.plain href=(page) data-close role="button" { "Cancel" }
                }
            }
            section.progress data-progress hidden tabindex="-1" aria-labelledby={ "act-" (id) "-progress" } {
                h2 id={ "act-" (id) "-progress" } { (title) " " code { (name) } }
                p data-told role="status" aria-live="polite" {}
                ul.nodes data-nodes {}
                div.row { a.button href=(page) data-done role="button" { "Close" } }
            }
        }
    }
}

fn subjects(name: &ServerName, versions: &[Listed]) -> Markup {
    html! {
        option value={ "server/" (name) } { "The server, all versions" }
        @for listed in versions.iter().take(MOST_VERSIONS) {
            @let version = listed.published.document.version();
            option value={ "version/" (name) "@" (version) } { "Version " (version) }
        }
    }
}
