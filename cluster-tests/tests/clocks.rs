//! Clocks that run at another rate, jump, or show another time.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{
    Campaign, Cluster, Fault, Metrics, Options, Plan, Report, document, publish_all, shared_turn, wait_until,
};
use std::time::Duration;

const SERVER: &str = "ai.acme/a";

/// Where the slow clock is, and the fast one.
const SLOW: usize = 0;
const FAST: usize = 1;

/// Two clocks that differ by more than any two may that run within 8 % of true time.
fn drifting(more: &str) -> Options {
    let faults = |rate: &str| format!("clock.rate={rate}{more}");
    Options::default().faulty_at(SLOW, &faults("0.92")).faulty_at(FAST, &faults("1.08"))
}

/// A campaign on nodes with those clocks. What they write down of them proves nothing.
async fn campaign(options: Options) -> Option<Campaign> {
    let cluster = Cluster::separable(3, options).await?;
    let mut campaign = Campaign::begin(cluster, Plan::from_environment().seed).await;
    [SLOW, FAST].into_iter().for_each(|place| campaign.distrust(place));
    Some(campaign)
}

/// Suspends while `leader` leads and `holder` is cut off with a fresh lease.
async fn suspend(campaign: &mut Campaign, leader: usize, holder: usize) {
    campaign.cluster().transfer(leader).await;
    campaign.cluster().wait_leases(&campaign.cluster().running()).await;
    campaign.suspend_at(holder, Fault::FollowerCutOff).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_run_8_percent_slow_and_fast_make_no_descriptor_late() {
    let _turn = shared_turn().await;
    let Some(mut campaign) = campaign(drifting("")).await else { return };
    suspend(&mut campaign, FAST, SLOW).await;
    suspend(&mut campaign, SLOW, FAST).await;
    campaign.suspend_at(FAST, Fault::FollowerPaused(Duration::from_secs(5))).await;
    campaign.cluster().transfer(FAST).await;
    campaign.suspend_at(SLOW, Fault::FollowerPaused(Duration::from_secs(5))).await;
    campaign.end().await.verdict.assert_kept(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oracle_sees_a_leader_that_allows_for_no_drift() {
    let _turn = shared_turn().await;
    let Some(mut campaign) = campaign(drifting(",mutant=no_drift_margin")).await else { return };
    for _ in 0..2 {
        suspend(&mut campaign, FAST, SLOW).await;
    }
    let Report { verdict, .. } = campaign.end().await;
    assert!(!verdict.violations.is_empty(), "the oracle is blind");
}

/// Three nodes, the last of them with a fault of its wall clock, led by the first.
async fn with_wall_fault(fault: &str) -> Cluster {
    let cluster = Cluster::start_with(3, Options::default().faulty_at(2, fault)).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.transfer(0).await;
    cluster.wait_leases(&[0, 1]).await;
    cluster
}

async fn metric(cluster: &Cluster, place: usize, name: &str, label: (&str, &str)) -> f64 {
    Metrics::of(&cluster.node(place).door()).await.sum(name, &[label])
}

/// Waits until the last node has asked for a lease and not taken it, because its clock shows another time, and
/// has none from before either: it may have led, and found its own clock right.
async fn wait_skewed(cluster: &Cluster) {
    let seen = metric(cluster, 2, "hapi_lease_renewals_total", ("result", "skewed")).await;
    wait_until("the node takes no more leases", async || {
        let now = metric(cluster, 2, "hapi_lease_renewals_total", ("result", "skewed")).await;
        let status = cluster.status(2).await?.body;
        (now > seen + 1.0 && status["node"]["lease"]["valid"] == false).then_some(())
    })
    .await;
}

/// Without a lease of its own the last node's clients get their descriptors by way of the leader.
async fn assert_hands_over(cluster: &Cluster) {
    let answered = ("result", "answered");
    let before = metric(cluster, 2, "hapi_handovers_total", answered).await;
    for _ in 0..10 {
        cluster.client(2).connect(SERVER).await.ok();
    }
    let after = metric(cluster, 2, "hapi_handovers_total", answered).await;
    assert!(after >= before + 10.0, "{before} hand-overs before, {after} after");
}

#[tokio::test]
async fn a_wall_clock_that_jumps_drops_the_lease() {
    let _turn = shared_turn().await;
    let cluster = with_wall_fault("wall.jump_ms=5000@15000").await;
    wait_until("the jump has dropped a lease", async || {
        let drops = metric(&cluster, 2, "hapi_lease_drops_total", ("reason", "clock_jump")).await;
        (drops >= 1.0).then_some(())
    })
    .await;
    wait_skewed(&cluster).await;
    assert_hands_over(&cluster).await;
}

#[tokio::test]
async fn a_node_whose_wall_clock_is_3_s_off_takes_no_lease_and_hands_over() {
    let _turn = shared_turn().await;
    for offset in ["3000", "-3000"] {
        let cluster = with_wall_fault(&format!("wall.offset_ms={offset}")).await;
        wait_skewed(&cluster).await;
        assert_hands_over(&cluster).await;
    }
}
