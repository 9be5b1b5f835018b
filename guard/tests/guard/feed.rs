//! What the feed kills, and what its silence means.

use std::time::Duration;

use hapi_descriptor::{Claims, Seq};
use hapi_guard::{Config, FeedPolicy};

use crate::world::{World, claims, honest, signer, until};

fn best_effort(config: &mut Config) {
    config.feed = FeedPolicy::BestEffort;
}

#[tokio::test]
async fn a_descriptor_dies_with_the_next_message_of_the_feed() {
    let subjects = [
        ("server", "ai.acme/weather"),
        ("version", "ai.acme/weather@1.0.0"),
        ("namespace", "ai.acme"),
        ("client", "agent-7"),
        ("tenant", "acme"),
    ];
    for (kind, id) in subjects {
        let world = World::stateless().await;
        assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
        let seq = world.registry.says().revoke(kind, id);
        world.feed_round().await;
        assert_eq!(world.call(&[("mcp-connect", &honest())]).await.refusal(), (403, "descriptor_revoked"));
        let after = signer(1).sign(&Claims { seq, ..claims() });
        assert_eq!(world.call(&[("mcp-connect", &after)]).await.status, 200, "decided after the revocation");
    }
}

#[tokio::test]
async fn what_a_revoked_key_signed_is_dead_whatever_its_seq() {
    let world = World::stateless().await;
    world.registry.says().keys = vec![2, 1];
    let highest = signer(1).sign(&Claims { seq: Seq::MAX, ..claims() });
    assert_eq!(world.call(&[("mcp-connect", &highest)]).await.status, 200);
    {
        let mut says = world.registry.says();
        says.index += 1;
        says.revoked_keys.insert(signer(1).kid().to_owned());
    }
    until("the new key speaks for the feed", || world.metrics().keys == 2).await;
    world.feed_round().await;
    assert_eq!(world.call(&[("mcp-connect", &highest)]).await.refusal(), (403, "descriptor_revoked"));
    let sound = signer(2).sign(&claims());
    assert_eq!(world.call(&[("mcp-connect", &sound)]).await.status, 200);
}

#[tokio::test]
async fn a_silent_feed_shuts_a_strict_guard_after_five_seconds_until_it_speaks() {
    let world = World::stateless().await;
    world.registry.says().feed_down = true;
    world.feed_round().await;
    world.advance(5).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
    world.advance(1).await;
    let refused = world.call(&[("mcp-connect", &honest())]).await;
    assert_eq!(refused.refusal(), (503, "revocations_stale"));
    assert_eq!(refused.headers["retry-after"], "1");
    world.registry.says().feed_down = false;
    until("the feed speaks", || world.metrics().feed_age == Some(Duration::ZERO)).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
}

#[tokio::test]
async fn a_silent_feed_means_nothing_to_a_guard_of_best_effort_until_the_descriptor_ends() {
    let world = World::new(best_effort).await;
    world.registry.says().feed_down = true;
    world.registry.says().revoke("client", "agent-7");
    world.advance(64).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
    world.advance(1).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.refusal(), (401, "descriptor_expired"));
}

#[tokio::test]
async fn a_feed_that_goes_back_is_silence() {
    let world = World::stateless().await;
    world.registry.says().index = 150;
    world.feed_round().await;
    let failures = world.metrics().feed_failures;
    until("old news are failures", || world.metrics().feed_failures > failures).await;
    world.clock_only(6);
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.refusal(), (503, "revocations_stale"));
    world.registry.says().index = 300;
    until("news", || world.metrics().feed_age == Some(Duration::ZERO)).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
}
