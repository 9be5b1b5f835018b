//! Sessions on a descriptor.

use hapi_descriptor::{Claims, ClientClaim};
use hapi_guard::Mode;
use serde_json::{Value, json};

use crate::world::{NOW, World, chunk_of, claims, honest, issued_after, rest_of, signer, until};

fn of_client(id: &str) -> String {
    let client = ClientClaim { id: id.into(), tenant: Some("acme".into()) };
    signer(1).sign(&Claims { client, exp: NOW + 120, ..claims() })
}

#[tokio::test]
async fn a_session_lives_on_the_descriptor_that_opened_it() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    let answer = world.in_session(&id).await;
    assert_eq!((answer.status, answer.body["client"].as_str()), (200, Some("agent-7")));
    assert_eq!(world.in_session("session-99").await.refusal(), (404, "session_ended"));
    assert_eq!(world.call(&[]).await.refusal(), (401, "descriptor_missing"));
    assert_eq!((world.metrics().sessions, world.metrics().sessions_opened), (1, 1));
}

#[tokio::test]
async fn twenty_seconds_before_its_end_the_client_is_asked_to_refresh() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    let mut stream = world.listen(&id).await;
    world.server.speak(&id, "data: first\n\n");
    assert_eq!(chunk_of(&mut stream).await, "data: first\n\n");
    world.advance(39).await;
    assert!(!world.in_session(&id).await.headers.contains_key("mcp-connect-refresh"));
    world.advance(1).await;
    let due = world.in_session(&id).await;
    assert_eq!(due.headers["mcp-connect-refresh"], (NOW + 60).to_string().as_str());
    let event = chunk_of(&mut stream).await;
    let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let message: Value = serde_json::from_str(data).unwrap();
    assert_eq!(message["method"], "notifications/connect/refresh_required");
    assert_eq!(message["params"], json!({"exp": NOW + 60, "session_ends_at": NOW + 65}));
    world.server.speak(&id, "data: second\n\n");
    assert_eq!(chunk_of(&mut stream).await, "data: second\n\n", "the stream goes on");
}

#[tokio::test]
async fn a_notice_is_never_put_into_an_event() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    let mut stream = world.listen(&id).await;
    world.server.speak(&id, "data: begun");
    assert_eq!(chunk_of(&mut stream).await, "data: begun");
    world.advance(40).await;
    until("the notice is on its way", || world.metrics().notices == 1).await;
    world.server.speak(&id, " and done\n\n");
    assert_eq!(chunk_of(&mut stream).await, " and done\n\n");
    assert!(chunk_of(&mut stream).await.starts_with("event: message\ndata: {"));
}

#[tokio::test]
async fn a_fresh_descriptor_in_the_header_renews() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    world.advance(45).await;
    let fresh = issued_after(45);
    let answer = world.call(&[("mcp-session-id", &id), ("mcp-connect", &fresh)]).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("mcp-connect-refresh"), "it is renewed already");
    world.advance(40).await;
    assert_eq!(world.in_session(&id).await.status, 200);
    assert_eq!(world.metrics().sessions_renewed, 1);
}

#[tokio::test]
async fn a_fresh_descriptor_in_a_message_renews_and_the_server_does_not_see_it() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    world.advance(45).await;
    let seen = world.server.messages.lock().unwrap().len();
    let answer = world.refresh_by_message(&id, &issued_after(45)).await;
    assert_eq!((answer.status, &answer.body), (202, &Value::Null));
    assert_eq!(world.server.messages.lock().unwrap().len(), seen);
    world.advance(40).await;
    assert_eq!(world.in_session(&id).await.status, 200);
    let stale_header = world.call(&[("mcp-session-id", &id), ("mcp-connect", &honest())]).await;
    assert_eq!(stale_header.status, 200, "a client may go on sending what it began with");
}

#[tokio::test]
async fn without_a_refresh_session_and_streams_end_five_seconds_after_the_descriptor() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    let stream = world.listen(&id).await;
    world.advance(64).await;
    assert_eq!(world.in_session(&id).await.status, 200);
    until("the client was asked", || world.metrics().notices == 1).await;
    world.advance(1).await;
    assert!(rest_of(stream).await.contains("refresh_required"));
    assert_eq!(world.in_session(&id).await.refusal(), (404, "session_ended"));
    until("the server sees it", || !world.server.is_listened_to(&id)).await;
    assert_eq!(world.metrics().sessions_ended["refresh_timeout"], 1);
}

#[tokio::test]
async fn a_refresh_that_fails_is_refused_and_gives_the_reason_of_the_end() {
    let elsewhere = signer(1).sign(&Claims { aud: "https://other.example/mcp".into(), ..claims() });
    for (descriptor, refusal, reason) in [
        ("x", (401, "descriptor_invalid"), "auth_failed"),
        (&*of_client("agent-8"), (403, "session_mismatch"), "policy_denied"),
        (&*elsewhere, (403, "descriptor_wrong_audience"), "policy_denied"),
    ] {
        let world = World::with_sessions().await;
        let id = world.initialize(&honest()).await;
        let by_header = world.call(&[("mcp-session-id", &id), ("mcp-connect", descriptor)]).await;
        assert_eq!(by_header.refusal(), refusal);
        assert_eq!(world.refresh_by_message(&id, descriptor).await.refusal(), refusal);
        assert_eq!(world.in_session(&id).await.status, 200, "a stranger cannot end it");
        world.advance(65).await;
        until(reason, || world.metrics().sessions_ended[reason] == 1).await;
    }
}

#[tokio::test]
async fn a_revoked_session_ends_at_once_with_its_streams() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    let other = world.initialize(&of_client("agent-8")).await;
    let stream = world.listen(&id).await;
    world.registry.says().revoke("client", "agent-7");
    assert_eq!(rest_of(stream).await, "");
    assert_eq!(world.in_session(&id).await.refusal(), (404, "session_ended"));
    assert_eq!(world.in_session(&other).await.status, 200);
    assert_eq!(world.metrics().sessions_ended["revoked"], 1);
    assert_eq!(world.call(&[("mcp-connect", &honest())]).await.refusal(), (403, "descriptor_revoked"));
}

#[tokio::test]
async fn a_session_that_its_client_deletes_is_over() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    let stream = world.listen(&id).await;
    assert_eq!(world.delete(&id).await, 204);
    assert_eq!(rest_of(stream).await, "");
    assert_eq!(world.in_session(&id).await.refusal(), (404, "session_ended"));
    assert_eq!((world.metrics().sessions, world.metrics().sessions_closed), (0, 1));
}

#[tokio::test]
async fn more_sessions_than_allowed_are_refused() {
    let world = World::new(|config| config.mode = Mode::Sessions { max: 2 }).await;
    let first = world.initialize(&honest()).await;
    world.initialize(&honest()).await;
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize"});
    let third = world.send(&[("mcp-connect", &honest())], initialize).await;
    assert_eq!(third.refusal(), (503, "too_many_sessions"));
    world.delete(&first).await;
    world.initialize(&honest()).await;
}

#[tokio::test]
async fn one_client_cannot_take_the_places_of_all_others() {
    let world = World::new(|config| {
        config.mode = Mode::sessions();
        config.max_sessions_per_client = 2;
    })
    .await;
    let first = world.initialize(&honest()).await;
    world.initialize(&honest()).await;
    let reached = || world.server.messages.lock().unwrap().len();
    let before = reached();
    // However it is written: a session that the server opens in vain costs it as much as any other.
    for padding in [0, 20_000] {
        let params = json!({ "padding": "x".repeat(padding) });
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let third = world.send(&[("mcp-connect", &honest())], initialize).await;
        assert_eq!(third.refusal(), (503, "too_many_sessions"));
    }
    assert_eq!(reached(), before, "the server was not even asked");
    world.initialize(&of_client("agent-8")).await;
    world.delete(&first).await;
    world.initialize(&honest()).await;
}

#[tokio::test]
async fn the_users_own_bearer_token_is_none_of_the_guards_business() {
    let world = World::with_sessions().await;
    let id = world.initialize(&honest()).await;
    let answer = world.call(&[("mcp-session-id", &id), ("authorization", "Bearer of-the-user")]).await;
    assert_eq!(answer.status, 200);
    let renewed = world
        .call(&[("mcp-session-id", &id), ("authorization", &format!("Bearer {}", issued_after(3)))])
        .await;
    assert_eq!((renewed.status, world.metrics().sessions_renewed), (200, 1));
}

#[tokio::test]
async fn where_none_is_required_a_session_without_a_descriptor_lives() {
    let world = World::new(|config| {
        config.mode = Mode::sessions();
        config.descriptor_required = false;
    })
    .await;
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize"});
    let answer = world.send(&[], initialize).await;
    let id = answer.headers["mcp-session-id"].to_str().unwrap().to_owned();
    assert_eq!(world.in_session(&id).await.status, 200);
    assert_eq!((world.metrics().sessions, world.metrics().without_descriptor), (0, 2));
}
