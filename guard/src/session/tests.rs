#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use hapi_descriptor::{Claims, ClientClaim, Dead, Refusal};

use super::*;
use crate::testing::{NOW, admitted, claims, signer, verified};

/// A stream by name: `get-…` takes notices, and `…-closed` is closed.
impl Stream for &'static str {
    fn is_open(&self) -> bool {
        !self.ends_with("-closed")
    }

    fn takes_notices(&self) -> bool {
        self.starts_with("get-")
    }
}

type Sessions = Table<&'static str>;

/// A table with the session `s`, on a descriptor of 60 s.
fn one() -> Sessions {
    let mut table = Table::new(3, 3);
    table.bind("s", admitted(verified(60))).unwrap();
    table
}

fn tick(table: &mut Sessions, seconds: u64) -> Vec<Effect<&'static str>> {
    table.tick(NOW + seconds, |_| None)
}

fn end(reason: EndReason, ends: u64, streams: &[&'static str]) -> Effect<&'static str> {
    Effect::End { reason, verified: verified(ends), streams: streams.to_vec() }
}

fn of_client(client: &str, tenant: Option<&str>) -> Admitted {
    let client = ClientClaim { id: client.into(), tenant: tenant.map(Into::into) };
    let claims = Claims { client, exp: NOW + 120, ..claims() };
    admitted(hapi_descriptor::Verified { claims, kid: signer().kid().into() }.into())
}

#[test]
fn a_session_that_nobody_renews_ends_five_seconds_after_its_descriptor() {
    let mut table = one();
    table.attach("s", "get-1").unwrap();
    table.attach("s", "post-1").unwrap();
    tick(&mut table, 40);
    assert_eq!(tick(&mut table, 64), []);
    assert!(table.bound("s", NOW + 64).is_some());
    assert!(table.bound("s", NOW + 65).is_none(), "even before the next tick");
    assert_eq!(tick(&mut table, 65), [end(EndReason::RefreshTimeout, 60, &["get-1", "post-1"])]);
    assert_eq!((table.len(), tick(&mut table, 66)), (0, vec![]));
}

#[test]
fn the_notice_comes_twenty_seconds_before_the_end_once_and_on_one_stream() {
    let mut table = one();
    for stream in ["post-1", "get-1-closed", "get-2", "get-3"] {
        table.attach("s", stream).unwrap();
    }
    assert_eq!(tick(&mut table, 39), []);
    assert_eq!(tick(&mut table, 40), [Effect::Notice { stream: "get-2", exp: NOW + 60 }]);
    assert_eq!(tick(&mut table, 41), []);
}

#[test]
fn the_notice_waits_for_a_stream() {
    let mut table = one();
    assert_eq!(tick(&mut table, 45), []);
    table.attach("s", "post-1").unwrap();
    assert_eq!(tick(&mut table, 46), []);
    table.attach("s", "get-1").unwrap();
    assert_eq!(tick(&mut table, 47), [Effect::Notice { stream: "get-1", exp: NOW + 60 }]);
}

#[test]
fn a_renewed_session_goes_on_and_is_asked_again() {
    let mut table = one();
    table.attach("s", "get-1").unwrap();
    assert_eq!(tick(&mut table, 40).len(), 1);
    assert_eq!(table.renew("s", admitted(verified(100)), NOW + 42), Ok(Renewal::Renewed));
    assert_eq!(tick(&mut table, 79), []);
    assert_eq!(tick(&mut table, 80), [Effect::Notice { stream: "get-1", exp: NOW + 100 }]);
    assert_eq!(tick(&mut table, 105), [end(EndReason::RefreshTimeout, 100, &["get-1"])]);
}

#[test]
fn a_session_can_be_renewed_until_its_last_second() {
    let mut table = one();
    assert_eq!(table.renew("s", admitted(verified(120)), NOW + 64), Ok(Renewal::Renewed));
    let mut table = one();
    assert_eq!(table.renew("s", admitted(verified(120)), NOW + 65), Err(Denial::SessionEnded));
    assert_eq!(table.renew("other", admitted(verified(120)), NOW), Err(Denial::SessionEnded));
}

#[test]
fn a_descriptor_that_ends_no_later_renews_nothing() {
    let mut table = one();
    for ends in [59, 60] {
        assert_eq!(table.renew("s", admitted(verified(ends)), NOW), Ok(Renewal::NotNewer));
    }
    assert_eq!(table.bound("s", NOW).unwrap().verified, verified(60));
}

#[test]
fn another_client_or_tenant_renews_nothing() {
    for (client, tenant) in [("agent-8", Some("acme")), ("agent-7", Some("other")), ("agent-7", None)] {
        let mut table = one();
        assert_eq!(table.renew("s", of_client(client, tenant), NOW), Err(Denial::OtherParty));
        assert_eq!(table.bound("s", NOW).unwrap().verified, verified(60), "the session goes on as it was");
    }
    assert_eq!(one().renew("s", of_client("agent-7", Some("acme")), NOW), Ok(Renewal::Renewed));
}

#[test]
fn the_last_failed_renewal_is_the_reason_of_the_end() {
    for (failures, reason) in [
        (&[] as &[Denial], EndReason::RefreshTimeout),
        (&[Denial::Refused(Refusal::Signature)], EndReason::AuthFailed),
        (&[Denial::Refused(Refusal::Audience)], EndReason::PolicyDenied),
        (&[Denial::OtherParty], EndReason::PolicyDenied),
        (&[Denial::Revoked(Dead::Client)], EndReason::Revoked),
        (&[Denial::OtherParty, Denial::Refused(Refusal::Expired)], EndReason::AuthFailed),
        (&[Denial::FeedStale, Denial::NoKeys], EndReason::RefreshTimeout),
    ] {
        let mut table = one();
        failures.iter().for_each(|denial| table.failed("s", *denial));
        assert_eq!(tick(&mut table, 64), [], "a failed renewal alone ends nothing");
        assert_eq!(tick(&mut table, 65), [end(reason, 60, &[])]);
    }
}

#[test]
fn a_renewal_makes_up_for_failed_ones() {
    let mut table = one();
    table.failed("s", Denial::OtherParty);
    table.renew("s", admitted(verified(100)), NOW).unwrap();
    assert_eq!(tick(&mut table, 105), [end(EndReason::RefreshTimeout, 100, &[])]);
}

#[test]
fn a_session_whose_descriptor_is_revoked_ends_at_once() {
    let mut table = one();
    table.bind("t", of_client("agent-8", None)).unwrap();
    table.attach("s", "get-1").unwrap();
    let effects = table
        .tick(NOW + 1, |verified| (verified.claims.client.id == "agent-7").then_some(EndReason::Revoked));
    assert_eq!(effects, [end(EndReason::Revoked, 60, &["get-1"])]);
    assert!(table.bound("s", NOW + 1).is_none() && table.bound("t", NOW + 1).is_some());
}

#[test]
fn there_are_never_more_sessions_than_allowed() {
    let mut table = one();
    for id in ["a", "b"] {
        assert_eq!(table.bind(id, admitted(verified(60))), Ok(vec![]));
    }
    assert_eq!(table.bind("c", admitted(verified(60))), Err(Denial::TooManySessions));
    assert_eq!(
        table.bind("a", admitted(verified(90))),
        Ok(vec![]),
        "one that is there already takes no room"
    );
    table.close("a");
    assert_eq!(table.bind("c", admitted(verified(60))), Ok(vec![]));
}

#[test]
fn one_client_has_no_more_sessions_than_its_share() {
    let mut table: Sessions = Table::new(10, 2);
    let bind = |table: &mut Sessions, id, client| table.bind(id, of_client(client, None));
    for id in ["a", "b"] {
        assert_eq!(bind(&mut table, id, "agent-7"), Ok(vec![]));
    }
    assert_eq!(bind(&mut table, "c", "agent-7"), Err(Denial::TooManySessions));
    assert_eq!(bind(&mut table, "c", "agent-8"), Ok(vec![]), "the places of others are free");
    assert_eq!(bind(&mut table, "b", "agent-7"), Ok(vec![]), "one that is there already takes no room");
    assert_eq!(bind(&mut table, "c", "agent-7"), Err(Denial::TooManySessions));
    for (freed, seconds) in [("close", 0), ("end", 0), ("tick", 125)] {
        match freed {
            "close" => drop(table.close("a")),
            "end" => drop(table.end("a", EndReason::Revoked)),
            _ => drop(tick(&mut table, seconds)),
        }
        assert_eq!(bind(&mut table, "a", "agent-7"), Ok(vec![]), "{freed}");
    }
}

#[test]
fn a_session_never_has_more_streams_than_allowed() {
    let mut table = one();
    for _ in 0..MAX_STREAMS {
        assert_eq!(table.attach("s", "post-1"), Ok(()));
    }
    assert_eq!(table.attach("s", "post-1"), Err(Denial::TooManyStreams));
    let mut table = one();
    for _ in 0..MAX_STREAMS * 3 {
        assert_eq!(table.attach("s", "post-1-closed"), Ok(()), "closed ones take no room");
    }
}

#[test]
fn a_stream_of_a_session_that_is_gone_is_to_be_closed() {
    let mut table = one();
    assert_eq!(table.close("s"), Vec::<&str>::new());
    assert_eq!(table.attach("s", "get-1"), Err(Denial::SessionEnded));
}

#[test]
fn a_place_that_is_kept_is_one_less_for_others_until_it_is_given_back_or_taken() {
    let mut table = Sessions::new(2, 1);
    assert_eq!(table.reserve("agent-7"), Ok(()));
    assert_eq!(table.reserve("agent-7"), Err(Denial::TooManySessions), "its share is one");
    assert_eq!(table.reserve("agent-8"), Ok(()));
    assert_eq!(table.reserve("agent-9"), Err(Denial::TooManySessions), "there are two");
    table.give_back("agent-7");
    assert_eq!(table.bind("s", of_client("agent-7", None)), Ok(vec![]));
    assert_eq!(table.reserve("agent-9"), Err(Denial::TooManySessions));
    table.give_back("agent-8");
    assert_eq!(table.reserve("agent-9"), Ok(()));
}

#[test]
fn the_streams_of_a_session_that_gives_way_are_to_be_closed() {
    let mut table = one();
    table.attach("s", "get-1").unwrap();
    assert_eq!(table.bind("s", admitted(verified(90))), Ok(vec!["get-1"]));
}
