//! Small histories, clean and not.

use super::*;
use crate::Given;

const SERVER: &str = "ai.acme/a";

/// Denied at index 10, sealed at 100, acknowledged here at 110; taken back at index 20, from 200 on.
fn denial() -> Denial {
    Denial {
        story: "a story".into(),
        subject: Subject::Server(SERVER.into()),
        index: 10,
        acked_at: 110,
        until: Some(200),
        lifted: Some(20),
    }
}

fn seal(index: u64, acked_at: u64) -> Seal {
    Seal { index, acked_at, covers: String::new() }
}

fn issued(index: u64, at: u64) -> Issued {
    let text = |text: &str| Box::from(text);
    let jti = format!("{at}").into();
    let (node, kid, client, server) = (text("a1"), text("k"), text("c"), text(SERVER));
    Issued { node, at, index, jti, kid, client, server, strict: false }
}

fn request(start: u64, end: u64, status: u16) -> Request {
    Request {
        start,
        end,
        place: 1,
        server: SERVER.into(),
        client: "c".into(),
        status,
        code: "".into(),
        given: Some(Given { jti: "j".into(), kid: "k".into() }),
    }
}

fn by_clients(requests: &[Request]) -> Verdict {
    judge(History { requests, issued: &[], seals: &[], denials: &[denial()] })
}

fn by_logs(issued: &[Issued], seals: &[Seal]) -> Verdict {
    judge(History { requests: &[], issued, seals, denials: &[denial()] })
}

fn count(verdict: &Verdict) -> usize {
    verdict.violations.len()
}

#[test]
fn a_descriptor_asked_for_after_the_acknowledgement_is_a_violation() {
    let verdict = by_clients(&[request(111, 112, 200)]);
    assert!(matches!(verdict.violations[..], [Violation::Given { after_ns: 1, .. }]));
    assert_eq!(verdict.violated().into_iter().collect::<Vec<_>>(), ["a story"]);
}

#[test]
fn refusals_and_requests_under_way_are_no_violation() {
    assert_eq!(count(&by_clients(&[request(111, 112, 403), request(109, 150, 200)])), 0);
}

#[test]
fn what_ends_after_the_denial_began_to_be_taken_back_is_no_violation() {
    assert_eq!(count(&by_clients(&[request(150, 201, 200), request(210, 220, 200)])), 0);
    assert_eq!(count(&by_clients(&[request(150, 199, 200)])), 1);
}

#[test]
fn other_servers_clients_and_nodes_are_not_meant() {
    let other = Request { server: "ai.acme/b".into(), ..request(111, 112, 200) };
    assert_eq!(count(&by_clients(std::slice::from_ref(&other))), 0);
    for (subject, violations) in [
        (Subject::Client("c".into()), 1),
        (Subject::Client("d".into()), 0),
        (Subject::Keys { place: 1, kids: vec!["k".into()] }, 1),
        (Subject::Keys { place: 1, kids: vec!["l".into()] }, 0),
    ] {
        let denials = [Denial { subject, ..denial() }];
        let requests = std::slice::from_ref(&other);
        let verdict = judge(History { requests, issued: &[], seals: &[], denials: &denials });
        assert_eq!(count(&verdict), violations, "{denials:?}");
    }
}

#[test]
fn an_older_state_allows_until_the_seal_and_no_longer() {
    let seals = [seal(10, 100)];
    assert_eq!(count(&by_logs(&[issued(9, 99), issued(9, 100)], &seals)), 0);
    let verdict = by_logs(&[issued(9, 101)], &seals);
    assert!(matches!(verdict.violations[..], [Violation::Late { after_ns: 1, .. }]));
}

#[test]
fn a_much_older_state_is_late_too_and_even_after_the_denial_was_taken_back() {
    assert_eq!(count(&by_logs(&[issued(1, 101), issued(9, 500)], &[seal(10, 100)])), 2);
}

#[test]
fn a_state_that_forbids_never_allows() {
    for index in [10, 19] {
        let verdict = by_logs(&[issued(index, 50)], &[seal(10, 100)]);
        assert!(matches!(verdict.violations[..], [Violation::Forbidden { .. }]), "{index}");
    }
}

#[test]
fn a_state_after_it_was_taken_back_allows() {
    assert_eq!(count(&by_logs(&[issued(20, 150), issued(21, 500)], &[seal(10, 100)])), 0);
}

#[test]
fn a_denial_that_stands_forbids_for_ever() {
    let denials = [Denial { until: None, lifted: None, ..denial() }];
    let (requests, issued) = ([request(900, 901, 200)], [issued(30, 900)]);
    let verdict = judge(History { requests: &requests, issued: &issued, seals: &[], denials: &denials });
    assert_eq!(count(&verdict), 2);
}

#[test]
fn the_first_seal_that_covers_the_entry_counts_whichever_leader_made_it() {
    let seals = [seal(30, 300), seal(9, 20), seal(12, 90), seal(10, 100)];
    assert_eq!(count(&by_logs(&[issued(9, 90)], &seals)), 0);
    assert_eq!(count(&by_logs(&[issued(9, 91)], &seals)), 1);
}

#[test]
fn without_its_seal_the_acknowledgement_itself_counts() {
    let verdict = by_logs(&[issued(9, 110), issued(9, 111)], &[seal(9, 20)]);
    assert_eq!((count(&verdict), verdict.sealed), (1, 0));
    // A seal that is logged after the acknowledgement arrived makes nothing later.
    assert_eq!(count(&by_logs(&[issued(9, 111)], &[seal(10, 400)])), 1);
}

#[test]
fn a_denial_counts_when_a_request_for_its_subject_crossed_the_acknowledgement() {
    assert_eq!(by_clients(&[request(109, 111, 403)]).crossed, 1);
    assert_eq!(by_clients(&[request(100, 109, 403), request(111, 120, 403)]).crossed, 0);
    let other = Request { server: "ai.acme/b".into(), ..request(109, 111, 403) };
    assert_eq!(by_clients(&[other]).crossed, 0);
}

#[test]
#[should_panic(expected = "only 0 of at least 1 denials prove anything")]
fn a_vacuous_history_is_no_proof() {
    by_clients(&[]).assert_kept(1);
}

#[test]
fn how_closely_the_promise_was_tried_is_told() {
    let verdict = by_logs(&[issued(9, 40), issued(9, 60), issued(20, 150)], &[seal(10, 100)]);
    assert_eq!(verdict.closest_ms, Some(40.0 / 1e6));
}

#[test]
fn a_log_that_lacks_a_descriptor_or_dates_it_wrongly_is_not_believed() {
    let given = Given { jti: "100".into(), kid: "k".into() };
    let given = [Request { given: Some(given), ..request(90, 110, 200) }];
    assert!(untrue(&given, &[issued(9, 100)]).is_empty());
    assert_eq!(untrue(&given, &[]), [(&given[0], None)]);
    let early = Issued { at: 89, ..issued(9, 100) };
    assert_eq!(untrue(&given, std::slice::from_ref(&early)), [(&given[0], Some(&early))]);
}
