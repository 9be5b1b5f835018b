//! Once a suspension is acknowledged, no node issues another descriptor, whatever befalls which node.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Campaign, Cluster, Fault, Options, Plan, Report, shared_turn};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::json;
use std::time::Duration;

/// Longer than a lease: the node wakes after the seal.
const LONG: Duration = Duration::from_secs(5);

/// Shorter than a lease: the node wakes before it ends.
const SHORT: Duration = Duration::from_secs(1);

/// How many kinds of trial share the planned number of suspensions: those of [`CASES`], removal and strict
/// mode.
const KINDS: usize = CASES.len() + 2;

#[derive(Clone, Copy)]
enum Case {
    Server(Fault),
    Token(Fault),
}

const CASES: [Case; 8] = [
    Case::Server(Fault::Nothing),
    Case::Server(Fault::FollowerPaused(SHORT)),
    Case::Server(Fault::FollowerPaused(LONG)),
    Case::Server(Fault::FollowerCutOff),
    Case::Server(Fault::LeaderKilled),
    Case::Server(Fault::LeaderPaused(LONG)),
    Case::Server(Fault::LeadershipTransferred),
    Case::Token(Fault::Nothing),
];

/// Trials in this order, on three nodes that can be cut apart.
async fn campaign(options: Options, seed: u64, trials: &[Case]) -> Option<Report> {
    let mut campaign = Campaign::begin(Cluster::separable(3, options).await?, seed).await;
    for trial in trials {
        match trial {
            Case::Server(fault) => campaign.suspend(*fault).await,
            Case::Token(fault) => campaign.revoke_token(*fault).await,
        }
    }
    Some(campaign.end().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_descriptor_is_late_whatever_befalls_which_node() {
    let _turn = shared_turn().await;
    let plan = Plan::from_environment();
    let mut trials = CASES.repeat(plan.per_case(KINDS));
    trials.shuffle(&mut StdRng::seed_from_u64(plan.seed));
    if let Some(report) = campaign(Options::default(), plan.seed, &trials).await {
        report.assert_kept();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_descriptor_is_late_when_a_follower_is_cut_off_in_one_direction() {
    let _turn = shared_turn().await;
    let trials = [Case::Server(Fault::FollowerDeaf), Case::Server(Fault::FollowerMute)];
    let seed = Plan::from_environment().seed;
    if let Some(report) = campaign(Options::default(), seed, &trials).await {
        report.assert_kept();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_removed_while_it_is_cut_off_issues_nothing_more() {
    let _turn = shared_turn().await;
    let plan = Plan::from_environment();
    let options = Options::default().set("HAPI_RAFT_PROMOTE_AFTER_MS", "500");
    let Some(cluster) = Cluster::separable(3, options).await else { return };
    let mut campaign = Campaign::begin(cluster, plan.seed).await;
    for _ in 0..plan.per_case(KINDS) {
        campaign.remove_member(Fault::FollowerCutOff).await;
    }
    campaign.end().await.assert_kept();
}

/// The window between decision and answer is made so wide that a pause nearly always falls into it.
const WIDE: &str = "issue.delay_ms=20";

#[tokio::test(flavor = "multi_thread")]
async fn strict_mode_holds_for_an_issuer_that_stands_still_between_decision_and_answer() {
    let _turn = shared_turn().await;
    let plan = Plan::from_environment();
    let Some(cluster) = Cluster::separable(3, Options::default().faulty(WIDE)).await else { return };
    let mut campaign = Campaign::begin(cluster, plan.seed).await;
    campaign.cluster().operator(0).patch("/v1/settings", &json!({ "strict": true })).await.ok();
    for trial in 0..plan.per_case(KINDS) {
        campaign.suspend(Fault::FollowerPaused(if trial % 2 == 0 { LONG } else { SHORT })).await;
    }
    let report = campaign.end().await;
    report.assert_kept();
    let first = report.denials[0].index;
    let by_lease = report.issued.iter().find(|issued| issued.index >= first && !issued.strict);
    assert_eq!(by_lease, None, "a quorum confirms each descriptor");
}

/// Runs the trials of a rule left out, which must be seen.
async fn assert_seen(faults: &str, trial: Fault) {
    let _turn = shared_turn().await;
    let plan = Plan::from_environment();
    let options = Options::default().faulty(faults);
    let Some(report) = campaign(options, plan.seed, &[Case::Server(trial); 2]).await else { return };
    assert!(!report.verdict.violations.is_empty(), "{faults} was not seen: the oracle is blind");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oracle_sees_a_write_that_is_acknowledged_when_it_is_committed() {
    assert_seen("mutant=acknowledged_at_commit", Fault::FollowerCutOff).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oracle_sees_a_state_that_is_not_read_again_after_signing() {
    assert_seen(&format!("mutant=checked_only_before,{WIDE}"), Fault::FollowerPaused(LONG)).await;
}
