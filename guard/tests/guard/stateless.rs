//! Every request on its own.

use hapi_descriptor::{Claims, Seq, ServerClaim};
use hapi_guard::{Config, FeedPolicy};

use crate::world::{NOW, World, claims, honest, rest_of, signer};

#[tokio::test]
async fn a_valid_descriptor_comes_in_and_the_server_learns_whose_it_is() {
    let world = World::stateless().await;
    for headers in [
        [("mcp-connect", honest()), ("authorization", "Bearer of-the-user".to_owned())],
        [("x-other", String::new()), ("authorization", format!("Bearer {}", honest()))],
    ] {
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = world.call(&headers).await;
        assert_eq!((answer.status, answer.body["client"].as_str()), (200, Some("agent-7")));
    }
    assert_eq!((world.metrics().admitted, world.metrics().cached), (2, 1));
}

#[tokio::test]
async fn each_refusal_has_its_status_and_code() {
    let world = World::stateless().await;
    let sign = |claims: Claims| signer(1).sign(&claims);
    let expired = sign(Claims { iat: NOW - 65, exp: NOW - 5, ..claims() });
    let elsewhere = sign(Claims { aud: "https://other.example/mcp".into(), ..claims() });
    let server = ServerClaim { id: "ai.acme/other".into(), ..claims().server };
    let other_server = sign(Claims { server, ..claims() });
    let mut forged = honest();
    forged.replace_range(forged.len() - 10..forged.len() - 9, "_");
    let foreign = sign(Claims { iss: "https://other.example".into(), ..claims() });
    for (descriptor, refusal) in [
        (&expired, (401, "descriptor_expired")),
        (&elsewhere, (403, "descriptor_wrong_audience")),
        (&other_server, (403, "descriptor_wrong_audience")),
        (&forged, (401, "descriptor_invalid")),
        (&foreign, (401, "descriptor_invalid")),
        (&"x.y.z".to_owned(), (401, "descriptor_invalid")),
    ] {
        let answer = world.call(&[("mcp-connect", descriptor)]).await;
        assert_eq!(answer.refusal(), refusal);
        let bearer = world.call(&[("authorization", &format!("Bearer {descriptor}"))]).await;
        assert_eq!(bearer.refusal(), refusal);
    }
    assert_eq!(world.server.messages.lock().unwrap().len(), 0, "the server saw none of them");
}

#[tokio::test]
async fn a_refusal_is_a_problem_and_a_401_names_the_metadata() {
    let world = World::stateless().await;
    let answer = world.call(&[]).await;
    assert_eq!(answer.refusal(), (401, "descriptor_missing"));
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(
        answer.headers["www-authenticate"],
        r#"Bearer resource_metadata="https://weather.example/.well-known/oauth-protected-resource/mcp""#
    );
    assert_eq!((&answer.body["status"], &answer.body["error"]), (&401.into(), &"descriptor_missing".into()));
    let invalid = world.call(&[("mcp-connect", "x")]).await;
    let challenge = invalid.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.ends_with(r#"mcp", error="invalid_token""#), "{challenge}");
    let elsewhere = signer(1).sign(&Claims { aud: "https://other.example/mcp".into(), ..claims() });
    let forbidden = world.call(&[("mcp-connect", &elsewhere)]).await;
    assert!(!forbidden.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn where_none_is_required_a_presented_one_must_still_be_good() {
    let world = World::new(|config: &mut Config| config.descriptor_required = false).await;
    assert_eq!(world.call(&[]).await.status, 200);
    let of_the_user = world.call(&[("authorization", "Bearer of-the-user")]).await;
    assert_eq!((of_the_user.status, of_the_user.body["client"].as_str()), (200, None));
    let known = world.call(&[("mcp-connect", &honest())]).await;
    assert_eq!((known.status, known.body["client"].as_str()), (200, Some("agent-7")));
    assert_eq!(world.call(&[("mcp-connect", "x")]).await.refusal(), (401, "descriptor_invalid"));
    assert_eq!(world.metrics().without_descriptor, 2);
}

#[tokio::test]
async fn a_descriptor_is_of_no_use_five_seconds_after_its_end() {
    let world = World::stateless().await;
    world.advance(64).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.status, 200);
    world.advance(1).await;
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.refusal(), (401, "descriptor_expired"));
}

#[tokio::test]
async fn without_sessions_a_session_id_means_nothing() {
    let world = World::stateless().await;
    assert_eq!(world.in_session("session-0").await.refusal(), (401, "descriptor_missing"));
}

#[tokio::test]
async fn a_stream_without_a_session_ends_when_its_descriptor_is_revoked_or_nobody_vouches_for_it() {
    let world = World::new(|config| config.feed = FeedPolicy::BestEffort).await;
    let stream = world.listen_with(&[("mcp-connect", &honest()), ("mcp-session-id", "a")]).await;
    for _ in 0..20 {
        world.advance(5).await;
    }
    assert_eq!(world.metrics().lone_streams, 1, "the feed vouches for it");
    world.registry.says().revoke("client", "agent-7");
    assert_eq!(rest_of(stream).await, "");
    let (seq, iat) = (Seq::from_parts(1, 300).unwrap(), NOW + 100);
    let later = signer(1).sign(&Claims { seq, iat, exp: iat + 60, ..claims() });
    let stream = world.listen_with(&[("mcp-connect", &later), ("mcp-session-id", "b")]).await;
    world.registry.says().feed_down = true;
    world.feed_round().await;
    world.advance(65).await;
    assert_eq!(rest_of(stream).await, "");
    assert_eq!((world.metrics().lone_streams, world.metrics().streams_ended), (0, 2));
}
