//! The feed as a stream.

use axum::http::StatusCode;

use crate::registry::Stream;
use crate::world::{World, honest, until};

/// Sends the newest message, and waits until the guard has it.
async fn spoken(world: &World) {
    let before = world.metrics().stream_messages;
    world.registry.says().speak();
    until("the message came", || world.metrics().stream_messages > before).await;
}

async fn is_revoked(world: &World) -> bool {
    world.call(&[("mcp-connect", &honest())]).await.refusal() == (403, "descriptor_revoked")
}

#[tokio::test]
async fn a_revocation_bites_when_the_stream_brings_it_and_waits_for_no_answer() {
    let world = World::streaming().await;
    world.registry.says().feed_down = true;
    world.registry.says().revoke("client", "agent-7");
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200, "nobody knows yet");
    spoken(&world).await;
    assert!(is_revoked(&world).await);
}

#[tokio::test]
async fn while_a_stream_speaks_the_feed_is_seldom_asked_and_the_stream_outlasts_the_limit_of_a_request() {
    let world = World::streaming().await;
    let asked = world.registry.says().feed_asked;
    for _ in 0..50 {
        spoken(&world).await;
    }
    let asked = world.registry.says().feed_asked - asked;
    assert!(asked < 25, "{asked}");
    assert_eq!(world.registry.says().stream_asked.len(), 1, "it was never opened anew");
}

#[tokio::test]
async fn without_a_stream_the_feed_is_asked_as_before() {
    let answers =
        [Stream::No(StatusCode::NOT_FOUND), Stream::No(StatusCode::SERVICE_UNAVAILABLE), Stream::OtherType];
    for answer in answers {
        let world = World::new_without_registry(|_| {}, |registry| registry.says().stream = answer).await;
        until("no stream was found", || world.metrics().stream_failures > 1).await;
        world.registry.says().revoke("client", "agent-7");
        world.feed_round().await;
        assert!(is_revoked(&world).await);
        assert_eq!((world.metrics().is_streaming, world.metrics().stream_messages), (false, 0));
    }
}

#[tokio::test]
async fn an_address_without_a_stream_still_answers_and_another_one_streams() {
    let (world, other) = World::of_two(Stream::No(StatusCode::NOT_FOUND), Stream::Events).await;
    until("the guard listens", || world.metrics().is_streaming).await;
    assert_eq!(other.says().listeners(), 1);
    let asked = world.registry.says().feed_asked;
    until("the first is asked again", || world.registry.says().feed_asked > asked).await;
    assert_eq!(world.metrics().feed_failures, 0);
}

#[tokio::test]
async fn a_stream_that_brings_no_news_is_left_though_it_is_full_of_comments() {
    let (world, other) = World::of_two(Stream::Comments, Stream::Events).await;
    until("the guard listens to the other", || other.says().listeners() == 1).await;
    until("it has left the first", || world.registry.says().listeners() == 0).await;
    until("news", || world.metrics().is_streaming).await;
}

#[tokio::test]
async fn a_stream_that_lags_behind_the_answers_is_left_however_much_it_says() {
    let world = World::streaming().await;
    let old = world.registry.says().event(0);
    world.registry.says().index = 300;
    let is_left = || {
        let says = world.registry.says();
        says.send(&old);
        says.stream_asked.len() == 2
    };
    until("another stream was opened", is_left).await;
}

#[tokio::test]
async fn when_a_stream_ends_the_next_address_is_listened_to() {
    let (world, other) = World::of_two(Stream::Events, Stream::Events).await;
    until("the guard listens", || world.metrics().is_streaming).await;
    assert_eq!((world.registry.says().listeners(), other.says().listeners()), (1, 0));
    world.registry.says().end_streams();
    until("the guard listens to the other", || other.says().listeners() == 1).await;
    until("news", || world.metrics().is_streaming).await;
    assert_eq!(world.metrics().feed_failures, 0);
}

#[tokio::test]
async fn when_the_only_stream_is_lost_the_feed_is_asked_often_again() {
    let world = World::streaming().await;
    world.registry.says().stream = Stream::No(StatusCode::NOT_FOUND);
    world.registry.says().end_streams();
    let asked = world.registry.says().feed_asked;
    until("it is asked", || world.registry.says().feed_asked > asked + 20).await;
    assert!(!world.metrics().is_streaming);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_not_read_on() {
    let world = World::streaming().await;
    let (before, piece) = (world.metrics().stream_messages, "x".repeat(1024 * 1024));
    {
        let mut says = world.registry.says();
        (0..5).for_each(|_| says.send(&piece));
        says.send("\n\n");
        says.speak();
    }
    until("news", || world.metrics().stream_messages > before).await;
    assert_eq!(world.registry.says().stream_asked.len(), 2, "they came on another stream");
}

#[tokio::test]
async fn news_alone_keep_no_strict_guard_open() {
    let world = World::streaming().await;
    world.registry.says().feed_down = true;
    world.feed_round().await;
    world.clock_only(5);
    spoken(&world).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
    world.clock_only(1);
    spoken(&world).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.refusal(), (503, "revocations_stale"));
    assert!(world.metrics().is_streaming);
}

#[tokio::test]
async fn what_is_missing_before_a_message_is_asked_for_again() {
    let world = World::streaming().await;
    let before = world.metrics().stream_messages;
    {
        let mut says = world.registry.says();
        says.feed_down = true;
        says.revoke("client", "agent-7");
        says.index += 5;
        let between = says.index - 2;
        says.speak_since(between);
        says.speak_since(0);
    }
    until("news", || world.metrics().stream_messages > before).await;
    assert_eq!(world.registry.says().stream_asked[1..], [200], "from where the guard is, on another stream");
    assert!(is_revoked(&world).await);
}

#[tokio::test]
async fn a_message_of_an_unknown_key_is_asked_for_again_once_the_key_is_known() {
    let world = World::streaming().await;
    let before = world.metrics().stream_messages;
    {
        let mut says = world.registry.says();
        says.feed_down = true;
        says.keys = vec![3, 1];
        says.revoke("client", "agent-7");
        says.speak();
        says.speak_since(0);
    }
    until("news", || world.metrics().stream_messages > before).await;
    assert_eq!(world.registry.says().stream_asked[1..], [200], "from where the guard is, on another stream");
    assert_eq!(world.metrics().keys, 2);
    assert!(is_revoked(&world).await);
}
