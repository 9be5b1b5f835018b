//! A node that is cut off stops issuing when its lease ends, says so, and issues again when it is back.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{
    Aim, Cluster, Lane, Options, Request, Workload, boot_ns, document, ms_between, publish_all, turn,
    wait_until,
};

const SERVER: &str = "ai.acme/a";

/// The length of a serving lease, in milliseconds.
const LEASE_MS: f64 = 3_000.0;

/// How soon a node issues again once it is back.
const BACK_MS: f64 = 2_000.0;

/// Of `size` nodes, cuts off those that `choose` picks when told the leader and the followers.
async fn cut_off(size: usize, choose: impl FnOnce(usize, &[usize]) -> Vec<usize>) {
    let _turn = turn().await;
    let Some(cluster) = Cluster::separable(size, Options::default()).await else { return };
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    let calm = Aim { server: SERVER.into(), client: "tester".into(), token: cluster.client_token().into() };
    let workload = Workload::new(cluster.whereabouts(), calm);
    cluster.running().into_iter().for_each(|place| workload.open(place, Lane::Calm, 2));
    let leader = cluster.leader().await;
    let followers: Vec<_> = cluster.running().into_iter().filter(|place| *place != leader).collect();
    let minority = choose(leader, &followers);

    let begun = workload.mark();
    let cut = cluster.cut(&minority);
    for place in &minority {
        wait_until(&format!("node {place} says that it has no lease"), async || {
            let is_refusal =
                |request: &Request| request.place == *place && request.code == "no_serving_lease";
            workload.any(begun, is_refusal).then_some(())
        })
        .await;
    }
    let mark = workload.mark();
    for place in cluster.running().into_iter().filter(|place| !minority.contains(place)) {
        wait_until(&format!("node {place} issues on"), async || {
            workload.any(mark, |request| request.place == place && request.is_given()).then_some(())
        })
        .await;
    }
    // Healing takes some milliseconds, way after way: a node may be back before all of them are open.
    let healing = boot_ns();
    let healed = cluster.heal();
    for place in &minority {
        wait_until(&format!("node {place} issues again"), async || {
            let is_back = |request: &Request| request.place == *place && request.end > healing;
            workload.any(mark, |request| is_back(request) && request.is_given()).then_some(())
        })
        .await;
    }
    let requests = workload.end().await;
    for place in minority {
        assert_bounded(requests.iter().filter(|request| request.place == place), cut, [healing, healed]);
    }
}

/// What one node that was cut off has answered, when healing began `healing` and was done `healed`.
fn assert_bounded<'a>(
    answers: impl Iterator<Item = &'a Request> + Clone,
    cut: u64,
    [healing, healed]: [u64; 2],
) {
    let given = answers.clone().filter(|request| request.is_given());
    let before = given.clone().filter(|request| request.end < healing);
    // What began before the lease ended may be written down a moment later.
    let last = before.map(|request| ms_between(cut, request.start)).reduce(f64::max).unwrap();
    let back = given.filter(|request| request.end > healing).map(|request| ms_between(healed, request.end));
    let back = back.reduce(f64::min).unwrap();
    eprintln!("issued until {last:.0} ms after the cut, and again {back:.0} ms after it was healed");
    assert!(
        0.0 < last && last < LEASE_MS,
        "it issued until {last:.0} ms after the cut, on a lease of before"
    );
    assert!(back < BACK_MS, "it issued again {back:.0} ms after the cut was healed");
    let refused = answers.filter(|request| !request.is_given());
    let other: Vec<_> =
        refused.filter(|request| (request.status, &*request.code) != (503, "no_serving_lease")).collect();
    assert!(other.is_empty(), "{} other refusals, the first: {:?}", other.len(), other[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_cut_off_stops_within_a_lease_and_comes_back() {
    cut_off(3, |_, followers| vec![followers[0]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_followers_of_five_that_are_cut_off_stop_within_a_lease_and_come_back() {
    cut_off(5, |_, followers| followers[..2].to_vec()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_with_one_of_four_followers_stops_and_comes_back() {
    cut_off(5, |leader, followers| vec![leader, followers[0]]).await;
}
