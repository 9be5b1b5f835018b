//! The health gate asks a server as it comes: behind a guard, which wants to know who asks.

use hapi_client::ConnectError;
use hapi_cluster_tests::{Cluster, FrontDoor, Options, wait_until};
use serde_json::json;

use crate::server::{Almanac, Feed};
use crate::world::World;

/// How the client is told that the server does not answer: to wait, and to ask no other node.
async fn is_down(world: &World, name: &str) -> bool {
    match world.connect(name).await {
        Ok(_) => false,
        Err(ConnectError::Unavailable { detail, retry_after }) => {
            assert!(detail.contains("has not answered since") && retry_after.as_secs() == 5, "{detail}");
            true
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_is_not_connected_to_until_it_is_back() {
    let door = FrontDoor::open().await;
    let options =
        Options::default().set("HAPI_ISSUER", door.url()).set("HAPI_OUTBOUND_ALLOW_PRIVATE", "true");
    let world = World::around(Cluster::start_with(3, options).await, door).await;
    let almanac = world.almanac("ai.acme/almanac").await;
    let gate = json!({
        "health_gate": "on", "health_interval": 5, "health_timeout_ms": 1_000, "health_failures": 1, "health_successes": 1,
    });
    world.cluster.operator(0).patch("/v1/settings", &gate).await.ok();
    let probes = async |outcome: &str| {
        let mut sum = 0.0;
        for place in world.cluster.running() {
            let metrics = hapi_cluster_tests::Metrics::of(&world.cluster.node(place).door()).await;
            sum += metrics.sum("hapi_health_probes_total", &[("outcome", outcome)]);
        }
        sum
    };
    wait_until("it was asked", async || (probes("alive").await >= 2.0).then_some(())).await;
    assert_eq!((probes("status").await, is_down(&world, &almanac.name).await), (0.0, false));

    let Almanac { name, url, program, .. } = almanac;
    drop(program);
    let address = url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    wait_until("it is known to be down", async || is_down(&world, &name).await.then_some(())).await;
    let before = world.decisions("server_unavailable").await;
    assert!(is_down(&world, &name).await);
    assert_eq!(world.decisions("server_unavailable").await, before + 1.0, "no other node was asked");

    let back = Almanac::start_at(&address, &name, world.door.url(), Feed::Strict, &world.nodes()).await;
    wait_until("it is known to be up", async || (!is_down(&world, &name).await).then_some(())).await;
    back.wait_ready(&world).await;
}
