//! A registry that is down.

use std::time::Duration;

use hapi_guard::{FeedPolicy, Mode};
use tokio::net::TcpListener;

use crate::world::{World, honest, issued_after, until};

#[tokio::test]
async fn a_dead_address_is_passed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let world = World::new(|config| config.registries.insert(0, dead)).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
    assert_eq!((world.metrics().key_failures, world.metrics().feed_failures), (0, 0));
}

#[tokio::test]
async fn before_the_keys_are_known_nobody_comes_in() {
    let world = World::new_without_registry(|_| {}, |registry| registry.says().down = true).await;
    until("a vain try", || world.metrics().key_failures > 0).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.refusal(), (503, "keys_unavailable"));
    world.registry.says().down = false;
    until("keys and feed", || world.metrics().keys > 0 && world.metrics().feed_age.is_some()).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
}

#[tokio::test]
async fn an_outage_breaks_no_session_before_its_time_and_all_recovers_by_itself() {
    let world = World::new(|config| {
        config.mode = Mode::sessions();
        config.feed = FeedPolicy::BestEffort;
    })
    .await;
    let id = world.initialize(&honest()).await;
    world.registry.says().down = true;
    world.feed_round().await;
    world.advance(64).await;
    assert_eq!(world.in_session(&id).await.status, 200, "in its last second");
    world.advance(1).await;
    assert_eq!(world.in_session(&id).await.refusal(), (404, "session_ended"));
    until("the session is gone", || world.metrics().sessions == 0).await;
    assert_eq!(world.metrics().sessions_ended["refresh_timeout"], 1);
    world.registry.says().down = false;
    until("the feed speaks", || world.metrics().feed_age == Some(Duration::ZERO)).await;
    let id = world.initialize(&issued_after(65)).await;
    assert_eq!(world.in_session(&id).await.status, 200);
}

#[tokio::test]
async fn an_outage_shuts_a_strict_guard_without_ending_its_sessions() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    world.registry.says().down = true;
    world.feed_round().await;
    world.advance(6).await;
    assert_eq!(world.in_session(&id).await.refusal(), (503, "revocations_stale"));
    world.registry.says().down = false;
    until("the feed speaks", || world.metrics().feed_age == Some(Duration::ZERO)).await;
    assert_eq!(world.in_session(&id).await.status, 200);
}
