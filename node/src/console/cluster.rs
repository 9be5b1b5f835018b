//! The cluster: its members, how far each is, who holds leases, and what this node has answered lately.

use super::{chart, fault::Fault, layout, visit::Here};
use crate::{
    api::{Api, member_state, role},
    clock,
};
use axum::{extract::State, response::Response};
use hapi_raft::{MemberStatus, Outlook, Status};
use hapi_registry_state::Registry;
use maud::{Markup, html};
use std::sync::Arc;

pub(super) async fn show(State(api): State<Arc<Api>>, Here(visit): Here) -> Result<Response, Fault> {
    let outlook = api.replica.outlook(None).await;
    let (status, state) = (api.replica.status(), api.replica.state());
    let has_word = outlook.is_some();
    let outlook = outlook.unwrap_or_default();
    let main = html! {
        div.title { h1 { "Cluster" } p.quiet { "As node " code { (status.id) } " knows it" } }
        @if status.leader.is_none() { p.notice.bad role="alert" { "No leader is known here: writes wait, issuing goes on under the leases that last." } }
        @else if !has_word { p.notice.warn { "The leader does not tell of leases and lags just now." } }
        @if let Some(unfit) = &status.unfit { p.notice.bad role="alert" { "This node takes no writes: " (unfit) } }
        @if let Some(hold) = state.hold() { p.notice.bad role="alert" {
            "Nothing is issued after a restore, until an operator has confirmed it, not before " (layout::instant(hold.until)) " UTC."
        } }
        (summary(&status, &state))
        h2 { "Members" }
        (members(&status, &state, &outlook, api.replica.lease_duration_ms()))
        h2 { "This node" }
        (this_node(&api, &status))
        (charts(&api))
    };
    Ok(layout::page(Some(&visit), "Cluster", "/console/cluster", &main))
}

fn summary(status: &Status, state: &Registry) -> Markup {
    let (servers, versions) = state.catalog_size();
    let voters = status.members.iter().filter(|member| member.is_voter).count();
    let pending = status.session.as_ref().map(|session| session.pending_seals.len());
    let tile = |name: &str, value: &dyn maud::Render| html! { div { dt { (name) } dd { (value) } } };
    html! {
        dl.tiles {
            (tile("Members", &html! { (status.members.len()) span.quiet { ", " (voters) " vote" } }))
            (tile("Index", &state.applied()))
            (tile("Sealed to", &status.sealed))
            (tile("Term", &status.term))
            (tile("Servers", &html! { (servers) span.quiet { " in " (versions) " versions" } }))
            @if let Some(pending) = pending { (tile("Seals under way", &pending)) }
        }
    }
}

fn members(status: &Status, state: &Registry, outlook: &Outlook, lease_ms: u64) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Members" {
            table {
                caption.hidden { "Members of the cluster" }
                thead { tr {
                    th scope="col" { "Node" } th scope="col" { "Role" } th scope="col" { "State" }
                    th scope="col" { "Lag" } th scope="col" { "Lease" } th scope="col" { "Version" }
                } }
                tbody { @for member in &status.members { (line(member, status, state, outlook, lease_ms)) } }
            }
        }
        p.quiet { "Lags and leases are the leader's word: a lease lasts " (lease_ms) " ms from when it was asked for." }
    }
}

fn line(
    member: &MemberStatus,
    status: &Status,
    state: &Registry,
    outlook: &Outlook,
    lease_ms: u64,
) -> Markup {
    let (on_roster, is_here) = (member_state(state, member.id), member.id == status.id);
    let role = match (status.leader == Some(member.id), member.is_voter) {
        (true, _) => layout::badge("info", "leader"),
        (_, true) => layout::badge("", "voter"),
        _ => layout::badge("", "learner"),
    };
    html! {
        tr {
            th scope="row" {
                (member.record.http) @if is_here { " " (layout::badge("", "this node")) }
                br; code { (member.id) }
            }
            td { (role) }
            td { (layout::badge(if on_roster == "active" { "good" } else { "warn" }, on_roster)) }
            td.number { @match outlook.lags.get(&member.id).copied().or(member.lag) {
                Some(lag) => (lag),
                None => span.quiet { "unknown" },
            } }
            td { @match outlook.leases.get(&member.id) {
                Some(lease) if lease.age_ms < lease_ms => {
                    (layout::badge("good", "held")) " " span.quiet { (lease.age_ms) " ms old" }
                }
                Some(_) => (layout::badge("warn", "running out")),
                None if outlook.leases.is_empty() => span.quiet { "unknown" },
                None => (layout::badge("bad", "none")),
            } }
            td { code { (member.record.version) } }
        }
    }
}

fn this_node(api: &Api, status: &Status) -> Markup {
    let index = |index: Option<u64>| index.map_or_else(|| "none".to_owned(), |index| index.to_string());
    let lease = match status.lease.filter(|lease| lease.valid) {
        Some(lease) => format!("valid, {} ms old, from index {}", lease.age.as_millis(), lease.threshold),
        None => "none: connects are handed to the leader".to_owned(),
    };
    let fact = |name: &str, value: &str| html! { div { dt { (name) } dd { (value) } } };
    html! {
        dl.facts {
            div { dt { "Id" } dd { code { (status.id) } } }
            (fact("Role", role(status.role)))
            (fact("Lease", &lease))
            (fact("Log", &format!("last {}, committed {}, applied {}", index(status.last_log), index(status.committed), index(status.applied))))
            (fact("Snapshot", &index(status.snapshot)))
            (fact("Disk", &format!("{} MiB free, {} MiB kept", status.disk.free >> 20, status.disk.reserve >> 20)))
            div { dt { "Clock (UTC)" } dd { (layout::instant(clock::now())) } }
            (fact("Issuer", &api.desk.issuer))
            (fact("Version", env!("CARGO_PKG_VERSION")))
        }
    }
}

fn charts(api: &Api) -> Markup {
    let rates = api.console.as_ref().map(|rates| rates.read()).unwrap_or_default();
    let issued: Vec<_> = rates.iter().map(|rate| rate.issued).collect();
    let refused: Vec<_> = rates.iter().map(|rate| rate.refused).collect();
    html! {
        h2 { "Connects on this node" }
        div.charts {
            div.good { (chart::line("issued", "Descriptors issued", &issued)) }
            div.bad { (chart::line("refused", "Connects refused", &refused)) }
        }
    }
}
