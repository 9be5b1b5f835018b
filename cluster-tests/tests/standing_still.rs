//! A node that stood still for longer than a lease honours nothing that was revoked meanwhile.
#![allow(missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Campaign, Cluster, Fault, Options, Plan, shared_turn};
use std::time::Duration;

const STANDS_STILL: Fault = Fault::FollowerPaused(Duration::from_secs(5));

/// A campaign with as many requests as can be in the window between decision and answer when the node stops.
async fn campaign() -> Campaign {
    let options = Options::default().set("HAPI_RAFT_PROMOTE_AFTER_MS", "500");
    Campaign::begin(Cluster::start_with(3, options).await, Plan::from_environment().seed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_follower_does_not_honour_a_token_that_was_revoked_meanwhile() {
    let _turn = shared_turn().await;
    let mut campaign = campaign().await;
    campaign.revoke_token(STANDS_STILL).await;
    campaign.end().await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_follower_does_not_sign_with_a_key_that_was_revoked_meanwhile() {
    let _turn = shared_turn().await;
    let mut campaign = campaign().await;
    campaign.revoke_key(STANDS_STILL).await;
    campaign.end().await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_follower_that_was_removed_meanwhile_issues_nothing() {
    let _turn = shared_turn().await;
    let mut campaign = campaign().await;
    campaign.remove_member(STANDS_STILL).await;
    campaign.end().await.assert_kept();
}
