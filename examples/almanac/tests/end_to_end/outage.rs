//! The whole registry is down: what runs runs on until its time, nothing new begins, and all comes back by itself.

use std::time::Duration;

use hapi_client::{ConnectError, SessionEnd};
use hapi_cluster_tests::{Proof, PythonClient, python, wait_until};
use tokio::time::sleep;

use crate::lifetimes::now;
use crate::rust_client::{Revision, RustClient};
use crate::server::{Feed, PHASE, opened, refused};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_ends_nothing_before_its_time_and_is_over_when_the_nodes_are_back() {
    let mut world = World::start(3).await;
    // Nodes come back at other addresses; the issuer's own leads to them all the same.
    let way = [world.door.url().to_owned()];
    let lenient = world.almanac_with("ai.acme/lenient", Feed::BestEffort, &way).await;
    let strict = world.almanac_with("ai.acme/strict", Feed::Strict, &way).await;
    let token = world.cluster.client_token().to_owned();
    let client = world.client(&token);
    let session = RustClient::open(&client, &lenient.name, Revision::Sessions).await.unwrap();
    let held = RustClient::open(&client, &strict.name, Revision::Sessions).await.unwrap();
    let descriptor = world.descriptor(&lenient.name).await;

    (0..3).for_each(|place| world.cluster.kill(place));
    let end = session.exp();
    // New ones fail clearly.
    let refusal = RustClient::open(&client, &lenient.name, Revision::Sessions).await.err().unwrap();
    assert!(matches!(refusal, ConnectError::Unavailable { .. }), "{refusal}");
    if let Some(python) = python() {
        let oauth = Proof::OAuth { client: "tester", token: &token, issuer: world.door.url() };
        let client = PythonClient::open(&python, &lenient.url, oauth, "legacy").await;
        assert!(client.greeting["error"].is_string(), "{}", client.greeting);
    }
    // Whoever must know more than it can is closed, for the time being.
    wait_until("the strict server knows too little", async || {
        let error = held.call().await.err()?;
        error.contains("503").then_some(())
    })
    .await;
    // The others live until their descriptor's end.
    while now() < end - 2 {
        assert_eq!(session.call().await.unwrap()["phase"], PHASE);
        assert_eq!(lenient.knock(&descriptor).await, opened());
        sleep(Duration::from_secs(1)).await;
    }
    assert!(matches!(session.session.ended().await, SessionEnd::Expired { .. }));
    wait_until("the session has ended at the server", async || {
        let reason = [("reason", "refresh_timeout")];
        (lenient.count("hapi_guard_sessions_ended_total", &reason).await >= 1.0).then_some(())
    })
    .await;
    wait_until("the descriptor has ended as well", async || {
        (lenient.knock(&descriptor).await == refused(401, "descriptor_expired")).then_some(())
    })
    .await;

    // Nothing but the nodes is started anew.
    (0..3).for_each(|place| world.cluster.restart(place));
    let client = world.client(&token);
    for almanac in [&lenient, &strict] {
        almanac.wait_ready(&world).await;
        let client = RustClient::open(&client, &almanac.name, Revision::Sessions).await.unwrap();
        assert_eq!(client.call().await.unwrap()["phase"], PHASE);
    }
}
