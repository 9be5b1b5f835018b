//! What attackers try, with a client's token and without: refused, counted, and nothing grows by it.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hapi_cluster_tests::wait_until;
use hapi_descriptor::{Claims, ClientClaim, Jti, SCOPE_CONNECT, Seq, ServerClaim, Signer};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::lifetimes::now;
use crate::server::{Almanac, opened, refused};
use crate::world::World;

const SERVER: &str = "ai.acme/almanac";

/// How many requests a flood has, and how many are under way at a time.
const FLOOD: u64 = 10_000;
const AT_A_TIME: u64 = 32;

/// What a server's memory may grow by from one flood to the next, in bytes: what an allocator keeps.
const GROWTH: u64 = 8 << 20;

/// How often a guard fetches the key set of its own accord at the most, in seconds: each 30, less a tenth.
const FETCHED_EVERY: f64 = 27.0;

const INVALID: (u16, &str) = (401, "descriptor_invalid");

#[tokio::test(flavor = "multi_thread")]
async fn stolen_edited_and_foreign_descriptors_are_refused_and_counted() {
    let (world, elsewhere) = tokio::join!(World::start(1), World::start(1));
    let (almanac, other) = (world.almanac(SERVER).await, world.almanac("ai.acme/other").await);
    let descriptor = world.descriptor(SERVER).await;
    assert_eq!(almanac.knock(&descriptor).await, opened());

    let before = almanac.count("hapi_guard_denied_total", &[("code", INVALID.1)]).await;
    let edited = [
        edit(&descriptor, "/exp", json!(now() + 100)),
        edit(&descriptor, "/client/id", json!("admin")),
        edit(&descriptor, "/aud", json!(other.url)),
        edit(&descriptor, "/mcp/server/id", json!(other.name)),
    ];
    for edited in &edited {
        assert_eq!(almanac.knock(edited).await, refused(INVALID.0, INVALID.1));
    }
    // Another registry may say what it likes of the same server and endpoint.
    elsewhere.cluster.publisher(0).post("/v0.1/publish", &almanac.document()).await.ok();
    let foreign = elsewhere.descriptor(SERVER).await;
    assert_eq!(almanac.knock(&foreign).await, refused(INVALID.0, INVALID.1));
    let mine = Signer::from_seed([7; 32].into());
    assert_eq!(almanac.knock(&mine.sign(&claims(&world, &almanac))).await, refused(INVALID.0, INVALID.1));
    let after = almanac.count("hapi_guard_denied_total", &[("code", INVALID.1)]).await;
    assert_eq!(after - before, edited.len() as f64 + 2.0);

    // A server that is itself an attacker takes its clients' descriptors elsewhere.
    assert_eq!(other.knock(&descriptor).await, refused(403, "descriptor_wrong_audience"));
    assert_eq!(other.count("hapi_guard_denied_total", &[("code", "descriptor_wrong_audience")]).await, 1.0);
}

/// The descriptor with one claim changed under the same signature.
fn edit(descriptor: &str, claim: &str, value: Value) -> String {
    let parts: Vec<_> = descriptor.split('.').collect();
    let mut payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let place = payload.pointer_mut(claim).unwrap();
    assert_ne!(*place, value);
    *place = value;
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(payload.to_string()), parts[2])
}

/// What a thief would write: the highest position that there is, and the longest life.
fn claims(world: &World, almanac: &Almanac) -> Claims {
    Claims {
        iss: world.door.url().into(),
        aud: almanac.url.clone(),
        iat: now(),
        exp: now() + 120,
        jti: Jti::new([1; 16]),
        scope: SCOPE_CONNECT.into(),
        server: ServerClaim {
            id: almanac.name.clone(),
            version: "1.0.0".into(),
            verified: true,
            jwks_uri: None,
            tls_pin_sha256: None,
        },
        client: ClientClaim { id: "thief".into(), tenant: None },
        seq: Seq::new((1 << 53) - 1).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thief_signs_with_a_nodes_key_is_dead_once_the_key_is_revoked_whatever_its_place() {
    let world = World::start(1).await;
    let almanac = world.almanac(SERVER).await;
    let keys = world.cluster.operator(0).get("/v1/keys").await.ok();
    let active = keys["keys"].as_array().unwrap().iter().find(|key| key["state"] == "active").unwrap();
    let kid = active["kid"].as_str().unwrap();
    let seed = std::fs::read(world.cluster.data(0).join("keys").join(kid)).unwrap();
    let stolen = Signer::from_seed(<[u8; 32]>::try_from(seed).unwrap().into());
    let forged = stolen.sign(&claims(&world, &almanac));
    assert_eq!(almanac.knock(&forged).await, opened(), "the theft is real");

    let path = format!("/v1/keys/{kid}/revoke");
    world.cluster.operator(0).post(&path, &json!({ "reason": "stolen" })).await.ok();
    wait_until("the key is dead at the server", async || {
        (almanac.knock(&forged).await.0 != 200).then_some(())
    })
    .await;
    for _ in 0..3 {
        let (status, code) = almanac.knock(&stolen.sign(&claims(&world, &almanac))).await;
        assert!(matches!(code.as_str(), "descriptor_revoked" | "descriptor_invalid"), "{status} {code}");
    }
    wait_until("the node signs with its spare", async || world.connect(SERVER).await.ok()).await;
    almanac.wait_ready(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_and_giants_cost_no_fetches_and_no_memory() {
    let world = World::start(1).await;
    let almanac = world.almanac(SERVER).await;
    let descriptor = world.descriptor(SERVER).await;
    let giant = "A".repeat(100_000);
    assert_eq!(almanac.knock(&giant).await, refused(INVALID.0, INVALID.1));
    let bearer = almanac.call().bearer_auth(&giant).send().await.unwrap();
    assert_eq!(bearer.status(), 401);

    let (fetches, began) = (fetches(&almanac).await, Instant::now());
    flood(&almanac, &descriptor).await;
    let resident = almanac.program.resident_bytes();
    let denied = almanac.count("hapi_guard_denied_total", &[("code", INVALID.1)]).await;
    flood(&almanac, &descriptor).await;
    let denied = almanac.count("hapi_guard_denied_total", &[("code", INVALID.1)]).await - denied;
    assert_eq!(denied, FLOOD as f64);
    let asked = self::fetches(&almanac).await - fetches;
    // Of its own accord, and one for whatever `kid` it does not know, each at most every 30 s.
    let allowed = 2.0 * (began.elapsed().as_secs_f64() / FETCHED_EVERY).ceil();
    assert!((1.0..=allowed).contains(&asked), "{asked} fetches in {:?}", began.elapsed());
    let grown = almanac.program.resident_bytes().saturating_sub(resident);
    eprintln!("twice {FLOOD} unknown keys in {:?}: {asked} fetches, {grown} bytes more", began.elapsed());
    assert!(grown <= GROWTH, "{grown} bytes more than {resident}");
    assert_eq!(almanac.knock(&world.descriptor(SERVER).await).await, opened(), "nobody else is concerned");
}

async fn fetches(almanac: &Almanac) -> f64 {
    almanac.count("hapi_guard_key_fetches_total", &[]).await
}

/// Each request names another key that nobody knows, and fills its header up to what a descriptor may be.
async fn flood(almanac: &Almanac, descriptor: &str) {
    let (_, rest) = descriptor.split_once('.').unwrap();
    let mut under_way = JoinSet::new();
    for number in 0..FLOOD {
        if number >= AT_A_TIME {
            under_way.join_next().await.unwrap().unwrap();
        }
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": format!("{number:043}") });
        let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
        let request = almanac.call().header("MCP-Connect", forged);
        under_way.spawn(async move { assert_eq!(request.send().await.unwrap().status(), 401) });
    }
    under_way.join_all().await;
}
