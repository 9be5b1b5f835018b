//! What was done to whom: records of the audit chain, as a table.

use super::layout;
use hapi_registry_state::{Chained, Registry, ServerName};
use maud::{Markup, html};

/// The most records that are shown of one server, and the most that are looked at for them.
const MOST: usize = 50;
const MOST_LOOKED_AT: usize = 100_000;

/// What was done to a server, its versions and its namespace, the newest first.
pub(super) fn of<'a>(state: &'a Registry, name: &ServerName) -> Vec<&'a Chained> {
    let server = format!("server/{name}");
    let (versions, namespace) = (format!("version/{name}@"), format!("namespace/{}", name.namespace()));
    let concerns =
        |subject: &str| subject == server || subject == namespace || subject.starts_with(&versions);
    let is_of = |chained: &&Chained| {
        let record = &chained.record;
        concerns(&record.subject) || record.subjects.iter().any(|one| concerns(&one.subject))
    };
    state.audit_before(u64::MAX).take(MOST_LOOKED_AT).filter(is_of).take(MOST).collect()
}

/// A table of records.
pub(super) fn table(caption: &str, records: &[&Chained]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table.records {
                caption.hidden { (caption) }
                thead { tr {
                    th scope="col" { "Index" } th scope="col" { "When (UTC)" } th scope="col" { "Act" }
                    th scope="col" { "Outcome" } th scope="col" { "Subject" } th scope="col" { "Reason" }
                    th scope="col" { "Actor" }
                } }
                tbody { @for chained in records { (row(chained)) } }
            }
        }
    }
}

fn row(chained: &Chained) -> Markup {
    let record = &chained.record;
    let kind = match record.outcome.as_str() {
        "done" => "good",
        "unchanged" | "asked" | "repeated" => "",
        _ => "warn",
    };
    html! {
        tr {
            td.number { (record.index) }
            td { (layout::instant(record.at)) }
            td { (record.act) }
            td { (layout::badge(kind, &record.outcome)) }
            td.wide.subject {
                (subject(&record.subject))
                @if !record.subjects.is_empty() { " " span.quiet { "(" (record.subjects.len()) ")" } }
            }
            td.wide { (record.reason) }
            td { code { (record.actor) } }
        }
    }
}

/// A subject, as a link where it has a page.
fn subject(text: &str) -> Markup {
    let server = match text.split_once('/') {
        Some(("server", name)) => Some(name),
        Some(("version", id)) => id.rsplit_once('@').map(|(name, _)| name),
        _ => None,
    };
    html! {
        @match server.filter(|name| name.parse::<ServerName>().is_ok()) {
            Some(name) => a href=(layout::server_path(name)) { code { (text) } },
            None => code { (text) },
        }
    }
}
