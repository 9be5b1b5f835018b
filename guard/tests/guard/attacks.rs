//! A hostile client.

use futures::future::join_all;
use hapi_descriptor::Claims;

use crate::world::{World, claims, honest, signer};

#[tokio::test]
async fn a_flood_of_unknown_kids_causes_one_fetch_and_takes_no_memory() {
    let world = World::stateless().await;
    let before = world.registry.says().key_fetches;
    let forged: Vec<_> = (10..110).map(|seed| signer(seed).sign(&claims())).collect();
    for forged in forged.chunks(20) {
        let headers: Vec<_> =
            forged.iter().map(|descriptor| [("mcp-connect", descriptor.as_str())]).collect();
        for answer in join_all(headers.iter().map(|headers| world.call(headers))).await {
            assert_eq!(answer.refusal(), (401, "descriptor_invalid"));
        }
    }
    assert_eq!(world.registry.says().key_fetches, before + 1);
    assert_eq!((world.denied("descriptor_invalid"), world.metrics().cached), (100, 0));
}

#[tokio::test]
async fn an_unknown_kid_is_looked_for_once_and_may_be_a_new_key() {
    let world = World::stateless().await;
    world.registry.says().keys = vec![1, 3];
    let new = signer(3).sign(&claims());
    assert_eq!(world.call(&[("mcp-connect", &new)]).await.status, 200);
    world.registry.says().keys = vec![1, 3, 4];
    let newer = signer(4).sign(&claims());
    assert_eq!(world.call(&[("mcp-connect", &newer)]).await.refusal(), (401, "descriptor_invalid"));
    world.advance(30).await;
    assert_eq!(world.call(&[("mcp-connect", &newer)]).await.status, 200);
}

#[tokio::test]
async fn an_unchanged_key_set_is_not_sent_again() {
    let world = World::stateless().await;
    let stranger = signer(9).sign(&claims());
    assert_eq!(world.call(&[("mcp-connect", &stranger)]).await.status, 401);
    assert_eq!(world.registry.says().not_modified, 1);
}

#[tokio::test]
async fn a_header_of_100_kilobytes_is_refused() {
    let world = World::stateless().await;
    let long = "x".repeat(100_000);
    for headers in [[("mcp-connect", long.as_str())], [("authorization", &format!("Bearer {long}"))]] {
        assert_eq!(world.call(&headers).await.refusal(), (401, "descriptor_invalid"));
    }
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
}

#[tokio::test]
async fn a_header_of_100_kilobytes_renews_no_session_and_ends_none() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    let long = "x".repeat(100_000);
    let answer = world.call(&[("mcp-session-id", &id), ("mcp-connect", &long)]).await;
    assert_eq!(answer.refusal(), (401, "descriptor_invalid"));
    assert_eq!(world.in_session(&id).await.status, 200);
}

#[tokio::test]
async fn ids_of_sessions_that_never_were_take_no_memory() {
    let world = World::with_sessions().await;
    for id in 0..100 {
        let answer = world.in_session(&format!("made-up-{id}")).await;
        assert_eq!(answer.refusal(), (404, "session_ended"));
    }
    assert_eq!((world.metrics().sessions, world.metrics().cached), (0, 0));
}

#[tokio::test]
async fn two_descriptors_in_one_request_are_refused() {
    let world = World::stateless().await;
    let other = signer(1).sign(&Claims { scope: "mcp:connect other".into(), ..claims() });
    let answer = world.call(&[("mcp-connect", &honest()), ("mcp-connect", &other)]).await;
    assert_eq!(answer.refusal(), (401, "descriptor_invalid"));
}

#[tokio::test]
async fn edited_claims_are_refused() {
    let world = World::stateless().await;
    let other = signer(1).sign(&Claims { scope: "mcp:connect other".into(), ..claims() });
    let (payload, signature) = (other.split('.').nth(1).unwrap(), honest());
    let mut parts: Vec<_> = signature.split('.').collect();
    parts[1] = payload;
    assert_eq!(world.call(&[("mcp-connect", &parts.join("."))]).await.refusal(), (401, "descriptor_invalid"));
}
