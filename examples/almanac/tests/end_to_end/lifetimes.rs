//! What time ends, and what goes on beyond it. All of it runs at once, since it is mostly waiting.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hapi_cluster_tests::{FrontDoor, Proof, PythonClient, python, wait_until};
use serde_json::json;
use tokio::time::sleep;

use crate::rust_client::{PinnedClient, Revision, RustClient};
use crate::server::{Feed, PHASE, ask, opened, refused};
use crate::world::{TTL, World};

/// What a verifier lets pass beyond `exp`, in seconds.
const LEEWAY: u64 = 5;

/// How old the feed may be in strict mode, in seconds.
const STALE_AFTER: u64 = 5;

/// What a busy machine may add to a time that is to be kept, in seconds.
const SLACK: u64 = 10;

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_end_sessions_are_renewed_and_a_cut_feed_is_noticed() {
    let world = World::start(3).await;
    tokio::join!(
        an_expired_descriptor_is_refused(&world),
        a_session_goes_on_past_the_descriptor_that_it_began_with(&world),
        a_session_that_is_not_renewed_ends(&world),
        a_fresh_descriptor_on_any_request_renews_a_session(&world),
        a_message_renews_a_session(&world),
        without_its_feed_a_strict_server_closes(&world),
        without_its_feed_a_lenient_server_goes_by_the_end_of_the_descriptor(&world),
    );
}

async fn an_expired_descriptor_is_refused(world: &World) {
    let almanac = world.almanac("ai.acme/expired").await;
    let (descriptor, issued) = (world.descriptor(&almanac.name).await, now());
    assert_eq!(almanac.knock(&descriptor).await, opened());
    sleep(Duration::from_secs(TTL)).await;
    let refused_at = wait_until("it has expired", async || {
        (almanac.knock(&descriptor).await == refused(401, "descriptor_expired")).then(now)
    })
    .await;
    let age = refused_at - issued;
    assert!((TTL + LEEWAY - 1..=TTL + LEEWAY + SLACK).contains(&age), "{age} s");
}

async fn a_session_goes_on_past_the_descriptor_that_it_began_with(world: &World) {
    let almanac = world.almanac("ai.acme/renewed").await;
    let client = world.client(world.cluster.client_token());
    let client = RustClient::open(&client, &almanac.name, Revision::Sessions).await.unwrap();
    let first = client.exp();
    while now() <= first + LEEWAY + 2 {
        assert_eq!(client.call().await.unwrap()["phase"], PHASE);
        sleep(Duration::from_secs(1)).await;
    }
    assert!(client.exp() > first && client.notices() >= 1, "{} notices", client.notices());
    let count = async |name| almanac.count(name, &[]).await;
    assert_eq!(count("hapi_guard_sessions_opened_total").await, 1.0);
    assert!(count("hapi_guard_sessions_renewed_total").await >= 1.0);
    assert_eq!(count("hapi_guard_sessions_ended_total").await, 0.0);
}

async fn a_session_that_is_not_renewed_ends(world: &World) {
    let Some(python) = python() else { return };
    let almanac = world.almanac("ai.acme/forgotten").await;
    let (descriptor, issued) = (world.descriptor(&almanac.name).await, now());
    let mut client =
        PythonClient::open(&python, &almanac.url, Proof::Descriptor(&descriptor), "legacy").await;
    assert_eq!(client.greeting, json!({ "connected": "2025-11-25" }));
    assert_eq!(ask(&mut client).await["result"]["phase"], PHASE);
    sleep(Duration::from_secs(TTL)).await;
    wait_until("it ends", async || {
        let reasons = [("reason", "refresh_timeout")];
        (almanac.count("hapi_guard_sessions_ended_total", &reasons).await == 1.0).then_some(())
    })
    .await;
    let age = now() - issued;
    assert!((TTL + LEEWAY - 1..=TTL + LEEWAY + SLACK).contains(&age), "{age} s");
    let answer = ask(&mut client).await;
    assert_eq!((&answer["status"], &answer["code"]), (&json!(404), &json!("session_ended")), "{answer}");
}

async fn a_fresh_descriptor_on_any_request_renews_a_session(world: &World) {
    let Some(python) = python() else { return };
    let almanac = world.almanac("ai.acme/handed").await;
    let first = world.descriptor(&almanac.name).await;
    let mut client = PythonClient::open(&python, &almanac.url, Proof::Descriptor(&first), "legacy").await;
    let opened_at = now();
    sleep(Duration::from_secs(TTL - 10)).await;
    client.take(&world.descriptor(&almanac.name).await).await;
    assert_eq!(ask(&mut client).await["result"]["phase"], PHASE);
    sleep(Duration::from_secs((opened_at + TTL + LEEWAY + 2).saturating_sub(now()))).await;
    assert_eq!(ask(&mut client).await["result"]["phase"], PHASE, "the first descriptor is long over");
    assert_eq!(almanac.count("hapi_guard_sessions_opened_total", &[]).await, 1.0);
}

async fn a_message_renews_a_session(world: &World) {
    let almanac = world.almanac("ai.acme/message").await;
    let client = PinnedClient::open(world.descriptor(&almanac.name).await, &almanac.url).await;
    let opened_at = now();
    sleep(Duration::from_secs(TTL - 10)).await;
    client.refresh(&world.descriptor(&almanac.name).await).await;
    sleep(Duration::from_secs((opened_at + TTL + LEEWAY + 2).saturating_sub(now()))).await;
    assert_eq!(client.call().await.unwrap()["phase"], PHASE, "though its header is long over");
    let count = async |name| almanac.count(name, &[]).await;
    assert_eq!(count("hapi_guard_sessions_opened_total").await, 1.0);
    assert_eq!(count("hapi_guard_sessions_renewed_total").await, 1.0);
}

async fn without_its_feed_a_strict_server_closes(world: &World) {
    let way = FrontDoor::open().await;
    way.lead_to(world.cluster.whereabouts());
    let almanac = world.almanac_with("ai.acme/strict", Feed::Strict, &[way.url().to_owned()]).await;
    let descriptor = world.descriptor(&almanac.name).await;
    way.close();
    let cut = now();
    world.moderate("suspend", "server", &almanac.name).await;
    wait_until("the server knows too little", async || {
        (almanac.knock(&descriptor).await == refused(503, "revocations_stale")).then_some(())
    })
    .await;
    let silence = now() - cut;
    assert!(silence <= STALE_AFTER + SLACK, "{silence} s");
    way.lead_to(world.cluster.whereabouts());
    wait_until("it hears what it has missed", async || {
        (almanac.knock(&descriptor).await == refused(403, "descriptor_revoked")).then_some(())
    })
    .await;
}

async fn without_its_feed_a_lenient_server_goes_by_the_end_of_the_descriptor(world: &World) {
    let way = FrontDoor::open().await;
    way.lead_to(world.cluster.whereabouts());
    let almanac = world.almanac_with("ai.acme/lenient", Feed::BestEffort, &[way.url().to_owned()]).await;
    let (descriptor, issued) = (world.descriptor(&almanac.name).await, now());
    way.close();
    world.moderate("suspend", "server", &almanac.name).await;
    while now() < issued + TTL - 2 {
        assert_eq!(almanac.knock(&descriptor).await, opened());
        sleep(Duration::from_secs(1)).await;
    }
    wait_until("it ends", async || {
        (almanac.knock(&descriptor).await == refused(401, "descriptor_expired")).then_some(())
    })
    .await;
    let age = now() - issued;
    assert!(age <= TTL + LEEWAY + SLACK, "{age} s");
}
