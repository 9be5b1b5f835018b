//! Issuing costs no message between nodes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{
    Aim, Cluster, Metrics, boot_ns, document, exchange_all, ms_between, publish_all, turn,
};

const SERVER: &str = "ai.acme/a";

/// How many descriptors: `HAPI_ISSUANCES`, else 5,000.
fn issuances() -> usize {
    std::env::var("HAPI_ISSUANCES").map_or(5_000, |text| text.parse().unwrap())
}

/// What all nodes have counted.
struct Look {
    nodes: Vec<Metrics>,
    at: u64,
}

impl Look {
    async fn at(cluster: &Cluster) -> Self {
        let mut nodes = Vec::new();
        for place in 0..cluster.size() {
            nodes.push(Metrics::of(&cluster.node(place).door()).await);
        }
        Self { nodes, at: boot_ns() }
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.nodes.iter().map(|node| node.sum(name, labels)).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issuing_on_three_nodes_sends_nothing_between_them() {
    let _turn = turn().await;
    let cluster = Cluster::start(3).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&cluster.running()).await;
    let aim = Aim { server: SERVER.into(), client: "tester".into(), token: cluster.client_token().into() };
    let lanes = 2;
    let each = issuances().div_ceil(3 * lanes) * lanes;
    let before = Look::at(&cluster).await;
    let answers = exchange_all(cluster.whereabouts(), &cluster.running(), lanes, each, &aim).await;
    let after = Look::at(&cluster).await;
    let given = answers.iter().filter(|answer| answer.is_given()).count();
    assert!(given == answers.len() && given >= issuances(), "{given} of {} were given", answers.len());

    let delta = |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    let sent = |kind: &str| delta("hapi_peer_messages_sent_total", &[("kind", kind)]);
    assert_eq!(delta("hapi_handovers_total", &[]), 0.0, "hand-overs");
    assert_eq!((sent("handover"), sent("read_index")), (0.0, 0.0), "hand-overs and read indexes sent");
    let seconds = ms_between(before.at, after.at) / 1_000.0;
    let rounds = delta("hapi_raft_read_index_rounds_total", &[]);
    let upkeep = (sent("lease") + rounds) / seconds / 3.0;
    eprintln!(
        "{given} issuances in {seconds:.1} s: {} lease requests and {rounds} rounds, {upkeep:.1} per second and node",
        sent("lease")
    );
    assert!(upkeep < 20.0, "{upkeep:.1} messages and rounds per second and node keep the leases up");
}
