//! Who comes in, who does not, and who stops.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hapi_client::{ConnectError, SessionEnd};
use hapi_cluster_tests::{Proof, PythonClient, python, wait_until};
use serde_json::json;

use crate::rust_client::{Revision, RustClient};
use crate::server::{PHASE, ask, opened, refused};
use crate::world::World;

const SERVER: &str = "ai.acme/almanac";

/// How soon what was acknowledged bites at a server whose feed is connected, on a machine with much else to do.
/// `cluster-tests/tests/gate.rs` measures it.
const BITES_WITHIN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_descriptor_opens_the_server_in_both_revisions_of_mcp_for_both_sdks() {
    let world = World::start(3).await;
    let almanac = world.almanac(SERVER).await;
    let client = world.client(world.cluster.client_token());
    let sessions = almanac.count("hapi_guard_sessions_opened_total", &[]).await;
    for (revision, opens) in [(Revision::Stateless, 0.0), (Revision::Sessions, 1.0)] {
        let client = RustClient::open(&client, SERVER, revision).await.unwrap();
        let answer = client.call().await.unwrap();
        assert_eq!(
            (&answer["phase"], &answer["asked_by"]),
            (&json!(PHASE), &json!("tester")),
            "{revision:?}"
        );
        let now = almanac.count("hapi_guard_sessions_opened_total", &[]).await;
        assert_eq!(now - sessions, opens, "{revision:?}");
    }
    let Some(python) = python() else { return };
    let descriptor = world.descriptor(SERVER).await;
    let oauth =
        Proof::OAuth { client: "tester", token: world.cluster.client_token(), issuer: world.door.url() };
    for proof in [Proof::Descriptor(&descriptor), oauth] {
        for (mode, revision) in
            [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28"), ("auto", "2026-07-28")]
        {
            let mut client = PythonClient::open(&python, &almanac.url, proof, mode).await;
            assert_eq!(client.greeting, json!({ "connected": revision }), "{mode}");
            let answer = ask(&mut client).await;
            assert_eq!(answer["result"]["phase"], PHASE, "{mode}: {answer}");
            assert_eq!(answer["result"]["asked_by"], "tester", "{mode}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_signature_another_audience_and_nothing_at_all_are_refused() {
    let world = World::start(1).await;
    let (almanac, other) = (world.almanac(SERVER).await, world.almanac("ai.acme/other").await);
    let descriptor = world.descriptor(SERVER).await;
    assert_eq!(almanac.knock(&descriptor).await, opened());
    assert_eq!(almanac.knock(&forged(&descriptor)).await, refused(401, "descriptor_invalid"));
    assert_eq!(other.knock(&descriptor).await, refused(403, "descriptor_wrong_audience"));
    let nothing = almanac.call().send().await.unwrap();
    let challenge = nothing.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("resource_metadata=\"http://"), "{challenge}");
    assert_eq!(nothing.status(), 401);
    let Some(python) = python() else { return };
    // An SDK does not get further than a request by hand.
    let client = PythonClient::open(&python, &other.url, Proof::Descriptor(&descriptor), "2026-07-28").await;
    assert_eq!(client.greeting, json!({ "connected": "2026-07-28" }), "this mode asks for nothing at first");
    let mut client = client;
    let answer = ask(&mut client).await;
    assert_eq!((&answer["status"], &answer["code"]), (&json!(403), &json!("descriptor_wrong_audience")));
}

/// The same words under a signature with one bit turned.
fn forged(descriptor: &str) -> String {
    let (words, signature) = descriptor.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    signature[0] ^= 1;
    format!("{words}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_server_is_opened_to_nobody_on_any_node_and_lets_nobody_stay() {
    let world = World::start(3).await;
    let almanac = world.almanac(SERVER).await;
    let client = world.client(world.cluster.client_token());
    let rust = RustClient::open(&client, SERVER, Revision::Sessions).await.unwrap();
    let out = world.descriptor(SERVER).await;
    assert_eq!(rust.call().await.unwrap()["phase"], PHASE);

    world.moderate("suspend", "server", SERVER).await;
    let acknowledged = Instant::now();
    for place in world.cluster.running() {
        assert_eq!(world.cluster.client(place).connect(SERVER).await.code(), "server_revoked");
    }
    wait_until("the descriptor that is out is refused", async || {
        (almanac.knock(&out).await == refused(403, "descriptor_revoked")).then_some(())
    })
    .await;
    assert!(acknowledged.elapsed() <= BITES_WITHIN, "{:?}", acknowledged.elapsed());
    assert!(rust.call().await.is_err(), "its session has ended");
    let ended = almanac.count("hapi_guard_sessions_ended_total", &[("reason", "revoked")]).await;
    assert_eq!(ended, 1.0);
    let refusal = RustClient::open(&client, SERVER, Revision::Stateless).await.err().unwrap();
    assert!(matches!(&refusal, ConnectError::HardStop { code, .. } if code == "server_revoked"), "{refusal}");
    let Some(python) = python() else { return };
    let oauth =
        Proof::OAuth { client: "tester", token: world.cluster.client_token(), issuer: world.door.url() };
    let python = PythonClient::open(&python, &almanac.url, oauth, "legacy").await;
    let said = python.greeting["error"].as_str().unwrap();
    assert!(said.contains("server_revoked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_obeys_a_hard_stop() {
    let world = World::start(3).await;
    let almanac = world.almanac(SERVER).await;
    let token = world.token("other").await;
    let other = RustClient::open(&world.client(&token), SERVER, Revision::Sessions).await.unwrap();
    let tester = world.client(world.cluster.client_token());
    let tester = RustClient::open(&tester, SERVER, Revision::Sessions).await.unwrap();

    world.moderate("suspend", "client", "other").await;
    // As the guard's notice would have it: the refresh is refused.
    other.session.refresh_required(other.exp());
    let end = other.session.ended().await;
    assert!(matches!(&end, SessionEnd::HardStop { code, .. } if code == "policy_blocked"), "{end}");
    let error = other.call().await.unwrap_err();
    assert!(error.contains("hard stop"), "nothing is sent any more: {error}");
    wait_until("its session has ended at the server", async || {
        let ended = almanac.count("hapi_guard_sessions_ended_total", &[]).await;
        (ended >= 1.0).then_some(())
    })
    .await;
    let asked = world.decisions("policy_blocked").await;
    assert_eq!(asked, 1.0);
    // It asks no more, in a time in which one that retries would have.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.decisions("policy_blocked").await, asked);
    assert_eq!(tester.call().await.unwrap()["phase"], PHASE, "nobody else is concerned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_spent_its_budget_opens_nothing_and_keeps_what_it_has() {
    let world = World::start(1).await;
    let almanac = world.almanac(SERVER).await;
    let (greedy, modest) = (world.token("greedy").await, world.token("modest").await);
    let budget = json!({ "client_connects_per_minute": 2 });
    world.cluster.operator(0).patch("/v1/settings", &budget).await.ok();
    let client = world.client(&greedy);
    let first = RustClient::open(&client, SERVER, Revision::Sessions).await.unwrap();
    RustClient::open(&client, SERVER, Revision::Stateless).await.unwrap();
    let refusal = RustClient::open(&client, SERVER, Revision::Stateless).await.err().unwrap();
    let ConnectError::RateLimited { retry_after } = refusal else { panic!("{refusal}") };
    assert!((1..=30).contains(&retry_after.as_secs()), "{retry_after:?}");
    assert_eq!(first.call().await.unwrap()["phase"], PHASE);
    let modest = RustClient::open(&world.client(&modest), SERVER, Revision::Stateless).await.unwrap();
    assert_eq!(modest.call().await.unwrap()["phase"], PHASE);
    if let Some(python) = python() {
        let oauth = Proof::OAuth { client: "greedy", token: &greedy, issuer: world.door.url() };
        let client = PythonClient::open(&python, &almanac.url, oauth, "legacy").await;
        let said = client.greeting["error"].as_str().unwrap();
        assert!(said.contains("rate_limited"), "{said}");
    }
}
