//! Nodes that survive their leader go on issuing as if nothing had happened.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{
    Aim, Cluster, Lane, Request, Workload, boot_ns, document, ms_between, publish_all, turn, wait_until,
};

const SERVER: &str = "ai.acme/a";

/// How often the leader is killed: `HAPI_LEADER_KILLS`, else three times.
fn kills() -> usize {
    std::env::var("HAPI_LEADER_KILLS").map_or(3, |text| text.parse().unwrap())
}

/// When the node at a place could not be expected to answer.
struct Absence {
    place: usize,
    from: u64,
    to: u64,
}

impl Absence {
    fn excuses(&self, request: &Request) -> bool {
        request.place == self.place && request.end > self.from && request.start < self.to
    }
}

/// Kills the leader, waits until the survivors have issued under the next one, and starts it again.
async fn kill_leader(cluster: &mut Cluster, workload: &Workload) -> Absence {
    let place = cluster.leader().await;
    let from = boot_ns();
    cluster.kill(place);
    let survivors = cluster.running();
    cluster.leader_among(&survivors).await;
    let (since, mark) = (boot_ns(), workload.mark());
    for survivor in survivors {
        wait_until(&format!("node {survivor} issues under the next leader"), async || {
            let is_next = |request: &Request| request.place == survivor && request.start > since;
            workload.any(mark, |request| is_next(request) && request.is_given()).then_some(())
        })
        .await;
    }
    cluster.restart(place);
    cluster.wait_leases(&cluster.running()).await;
    Absence { place, from, to: boot_ns() }
}

#[tokio::test(flavor = "multi_thread")]
async fn survivors_answer_every_request_while_their_leader_dies() {
    let _turn = turn().await;
    let mut cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    let calm = Aim { server: SERVER.into(), client: "tester".into(), token: cluster.client_token().into() };
    let workload = Workload::new(cluster.whereabouts(), calm);
    cluster.running().into_iter().for_each(|place| workload.open(place, Lane::Calm, 3));
    let mut absences = Vec::new();
    for _ in 0..kills() {
        absences.push(kill_leader(&mut cluster, &workload).await);
    }
    let mut requests = workload.end().await;
    requests.retain(|request| !absences.iter().any(|absence| absence.excuses(request)));
    let mut took: Vec<_> = requests.iter().map(|request| ms_between(request.start, request.end)).collect();
    took.sort_unstable_by(f64::total_cmp);
    let late = took.iter().filter(|ms| **ms > 1_000.0).count();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    eprintln!(
        "{} kills, {} requests to nodes that lived: p50 {:.2} ms, p99 {:.2} ms, slowest {:.2} ms, {late} after 1 s",
        absences.len(),
        took.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let failed: Vec<_> = requests.iter().filter(|request| !request.is_given()).collect();
    assert!(failed.is_empty(), "{} failed, the first: {:?}", failed.len(), failed[0]);
}
