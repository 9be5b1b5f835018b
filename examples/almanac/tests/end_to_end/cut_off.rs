//! A node that is cut off from its cluster falls silent, and the servers that hear only it know too little.

use hapi_cluster_tests::{Cluster, FrontDoor, Options, wait_until};

use serde_json::json;

use crate::lifetimes::now;
use crate::server::{Feed, opened, refused};
use crate::world::World;

/// A lease, the feed's bound in strict mode, and what a busy machine may add, in seconds.
const CLOSED_WITHIN: u64 = 3 + 5 + 10;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_off_node_does_not_know_lets_nobody_in() {
    let door = FrontDoor::open().await;
    let options = Options::default().set("HAPI_ISSUER", door.url());
    let Some(cluster) = Cluster::separable(3, options).await else { return };
    let world = World::around(cluster, door).await;
    // Nothing here is to end by itself.
    world.cluster.operator(0).patch("/v1/settings", &json!({ "ttl_default": 120 })).await.ok();
    let leader = world.cluster.leader().await;
    let lonely = world.cluster.other_than(leader);
    let only = [world.cluster.node(lonely).http().to_owned()];
    let strict = world.almanac_with("ai.acme/strict", Feed::Strict, &only).await;
    let lenient = world.almanac_with("ai.acme/lenient", Feed::BestEffort, &only).await;
    let strict_pass = world.descriptor(&strict.name).await;
    let lenient_pass = world.descriptor(&lenient.name).await;

    world.cluster.cut(&[lonely]);
    let cut = now();
    let moderator = world.cluster.moderator(leader);
    for almanac in [&strict, &lenient] {
        moderator.moderate("suspend", "server", &almanac.name).await.ok();
    }
    wait_until("the strict server knows too little", async || {
        (strict.knock(&strict_pass).await == refused(503, "revocations_stale")).then_some(())
    })
    .await;
    let silence = now() - cut;
    assert!(silence <= CLOSED_WITHIN, "{silence} s");
    assert_eq!(lenient.knock(&lenient_pass).await, opened(), "it waits for the end of the descriptor");

    world.cluster.heal();
    for (almanac, pass) in [(&strict, &strict_pass), (&lenient, &lenient_pass)] {
        wait_until("the node speaks again, and of what was suspended meanwhile", async || {
            (almanac.knock(pass).await == refused(403, "descriptor_revoked")).then_some(())
        })
        .await;
    }
}
