//! No descriptor leaves a node that its issuance log does not tell of: not when the process is killed, and not when there is
//! no room for a line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{
    Aim, Cluster, Issued, Lane, Metrics, Options, Request, Volume, Workload, document, publish_all, turn,
    untrue, wait_until,
};
use std::{collections::BTreeSet, fs, os::unix::fs::symlink};

const SERVER: &str = "ai.acme/a";

/// Connections to each node, which ask flat out.
const LANES: usize = 8;

/// How many descriptors a node has given when it is killed, at the least.
const GIVEN: usize = 500;

fn aim(cluster: &Cluster) -> Aim {
    Aim { server: SERVER.into(), client: "tester".into(), token: cluster.client_token().into() }
}

fn given_by(requests: &[Request], place: usize) -> usize {
    requests.iter().filter(|request| request.place == place && request.is_given()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_at_full_load_has_lost_no_line_of_what_clients_were_given() {
    let _turn = turn().await;
    let runs: usize = std::env::var("HAPI_ISSUANCE_KILLS").map_or(5, |text| text.parse().unwrap());
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    for run in 0..runs {
        cluster.wait_ready().await;
        cluster.wait_leases(&cluster.running()).await;
        let (victim, workload) = (run % 3, Workload::new(cluster.whereabouts(), aim(&cluster)));
        let mark = workload.mark();
        (0..3).for_each(|place| workload.open(place, Lane::Calm, LANES));
        wait_until("the victim gives descriptors", async || {
            (given_by(&workload.since(mark), victim) >= GIVEN).then_some(())
        })
        .await;
        cluster.kill(victim);
        let requests = workload.end().await;
        let issued: Vec<_> = (0..3).flat_map(|place| Issued::read(&cluster.data(place))).collect();
        let given = requests.iter().filter(|request| request.is_given()).count();
        let lost = untrue(&requests, &issued);
        assert!(
            lost.is_empty(),
            "run {run}: {} of {given} are in no log, the first: {:?}",
            lost.len(),
            lost[0]
        );
        eprintln!(
            "run {run}: {given} descriptors, {} of them by the node that was killed, and none is missing",
            given_by(&requests, victim)
        );
        cluster.restart(victim);
    }
}

/// One node whose issuance log alone lies on a small file system. `None` where this process may not mount.
async fn with_small_log() -> Option<(Cluster, Volume, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let volume = match Volume::mount(&folder.path().join("volume"), 4) {
        Ok(volume) => volume,
        Err(why) => {
            assert!(std::env::var_os("HAPI_REQUIRE_VOLUMES").is_none(), "{why}");
            eprintln!("SKIPPED: no file system can be filled on this machine: {why}");
            return None;
        }
    };
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::create_dir(volume.inside("issuance")).unwrap();
    symlink(volume.path().join("issuance"), data.join("issuance")).unwrap();
    let options = Options { under: volume.under(), ..Options::default() };
    let cluster = Cluster::start_with(1, options.set("HAPI_DATA_DIR", data.to_str().unwrap())).await;
    Some((cluster, volume, folder))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_room_stops_issuing_and_nothing_else_until_there_is_room() {
    let Some((cluster, volume, _folder)) = with_small_log().await else { return };
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    let workload = Workload::new(cluster.whereabouts(), aim(&cluster));
    // One at a time, and so one line a write: what is left of a block may take a line where it took no more.
    workload.open(0, Lane::Calm, 1);
    let given = |request: &Request| request.is_given();
    let refused = |request: &Request| (request.status, &*request.code) == (503, "issuance_log_unavailable");
    let start = workload.mark();
    wait_until("descriptors are given", async || workload.any(start, given).then_some(())).await;
    volume.leave(0);
    wait_until("none is given any more", async || workload.any(start, refused).then_some(())).await;
    let late = workload.mark();
    wait_until("they are refused again and again", async || (workload.since(late).len() > 100).then_some(()))
        .await;
    let stopped = workload.since(late);
    assert!(stopped.iter().all(refused), "{:?}", stopped.iter().find(|request| !refused(request)));
    // Nothing else needs the log.
    cluster.client(0).get("/v0.1/servers").await.ok();
    cluster.publisher(0).post("/v0/publish", &document("ai.acme/b", "1.0.0")).await.ok();
    assert!(Metrics::of(&cluster.node(0).door()).await.sum("hapi_issuance_log_failures_total", &[]) > 0.0);
    volume.clear();
    let room = workload.mark();
    wait_until("descriptors are given again", async || workload.any(room, given).then_some(())).await;
    let requests = workload.end().await;
    let issued = Issued::read(&volume.inside(""));
    let lost = untrue(&requests, &issued);
    assert!(lost.is_empty(), "{} are not in the log, the first: {:?}", lost.len(), lost[0]);
    let lines: BTreeSet<_> = issued.iter().map(|line| &line.jti).collect();
    assert_eq!(lines.len(), issued.len(), "a line stands there twice");
}
