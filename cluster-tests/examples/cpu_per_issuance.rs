//! What an issuance costs in processor time, on one node and on nine, at the same total rate. Ends with 1 when the aim
//! is missed.
//!
//! `HAPI_PAIRS` pairs (20) of `HAPI_SECONDS` (3) of load each, `HAPI_RATE` connects per second in all (2,000), over
//! `HAPI_CONNECTIONS` connections in all (36); `HAPI_NODES` nodes in the second cluster (9; 1 shows what the method
//! itself does to the ratio). `HAPI_BINARY` names an optimised build.
//!
//! `HAPI_AGAINST=alone` compares the cluster with as many nodes that know nothing of each other, each a cluster of its
//! own: what is left of the difference is what being a cluster costs, and not what it costs that as many processes share
//! the processors and their caches.
//!
//! Both clusters are there all the time, and the one that is not measured stands still (SIGSTOP): beside a single node
//! nothing wakes and takes its caches, and no cluster is younger than the other. Each pair begins with the other one.
//! Both get requests at the very same instants, drawn anew for each pair. Before the load comes as long a time without
//! any; what the cluster costs then is taken from what it costs under load. A node that stands still for 20 s in the
//! middle of a write takes its disk for hung and ends, so a measurement must not be much longer.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for measurements")]

use hapi_cluster_tests::{
    Aim, Cluster, Metrics, Node, Options, Pace, Paced, Spent, document, ms_between, publish_all, wait_until,
};
use serde_json::json;
use std::{process::ExitCode, str::FromStr, sync::Arc, time::Duration};

const SERVER: &str = "ai.acme/a";

/// How many vote; all others are learners.
const VOTERS: usize = 5;

/// What an issuance on many nodes may cost, as a multiple of one on a single node.
const AIM: f64 = 1.05;

/// Load before each measurement, until everything has run once since the cluster stood still.
const WARM_UP: Duration = Duration::from_secs(1);

fn number<T: FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).map_or(otherwise, |text| text.parse().ok().expect("a number"))
}

/// A cluster, and what came of it in each pair.
struct Candidate {
    name: String,
    /// One, or nodes that are alone.
    clusters: Vec<Cluster>,
    rounds: Vec<Round>,
}

/// What one measurement saw.
#[derive(Clone, Copy)]
struct Round {
    /// Processor time per issuance, without what the idle cluster costs.
    us: f64,
    /// What the idle cluster costs, as a share of one core.
    idle: f64,
    /// How often threads were woken for an issuance, likewise.
    wakeups: f64,
    /// Writes of the issuance log per issuance.
    writes: f64,
    /// From the instant when a request was due to its answer.
    p50_us: f64,
    p99_us: f64,
}

impl Candidate {
    async fn start(nodes: usize) -> Self {
        let name = if nodes == 1 { "one node".into() } else { format!("{nodes} nodes") };
        Self::of(name, vec![cluster(nodes).await]).await
    }

    async fn start_alone(nodes: usize) -> Self {
        let mut clusters = Vec::new();
        while clusters.len() < nodes {
            clusters.push(cluster(1).await);
        }
        Self::of(format!("{nodes} alone"), clusters).await
    }

    async fn of(name: String, clusters: Vec<Cluster>) -> Self {
        let mut candidate = Self { name, clusters, rounds: Vec::new() };
        candidate.settle().await;
        candidate.stand_still();
        candidate
    }

    fn stand_still(&mut self) {
        for cluster in &mut self.clusters {
            cluster.running().into_iter().for_each(|place| cluster.pause(place));
        }
    }

    fn wake(&mut self) {
        for cluster in &mut self.clusters {
            cluster.running().into_iter().for_each(|place| cluster.resume(place));
        }
    }

    /// Waits until all nodes issue, and as many vote as are to.
    async fn settle(&self) {
        for cluster in &self.clusters {
            settle(cluster).await;
        }
    }

    async fn measure(&mut self, pace: Pace) {
        self.wake();
        self.settle().await;
        self.load(Pace { duration: WARM_UP, ..pace }).await;
        let [resting, rested] = [self.spent(), {
            tokio::time::sleep(pace.duration).await;
            self.spent()
        }];
        let writes = self.writes().await;
        let before = self.spent();
        let answers = self.load(pace).await;
        let after = self.spent();
        let writes = self.writes().await - writes;
        self.stand_still();
        self.rounds.push(Round::new(pace, rested - resting, after - before, writes, &answers));
    }

    async fn load(&self, pace: Pace) -> Vec<Paced> {
        let addresses: Vec<_> = self.clusters.iter().flat_map(addresses).collect();
        let load = tokio::task::spawn_blocking(move || pace.run(&addresses));
        let answers = load.await.expect("the load does not panic");
        assert!(answers.iter().all(|paced| paced.request.is_given()), "{}: not all were given", self.name);
        answers
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.clusters
            .iter()
            .flat_map(|cluster| cluster.running().into_iter().map(move |place| cluster.node(place)))
    }

    fn spent(&self) -> Spent {
        self.nodes().map(Node::spent).sum()
    }

    async fn writes(&self) -> f64 {
        let mut writes = 0.0;
        for node in self.nodes() {
            let metrics = Metrics::of(&node.door()).await;
            writes += metrics.sum("hapi_issuance_log_writes_total", &[]);
        }
        writes
    }

    fn last(&self) -> Round {
        *self.rounds.last().expect("it was measured")
    }
}

async fn cluster(nodes: usize) -> Cluster {
    let mut cluster = Cluster::start_with(nodes.min(VOTERS), Options::default()).await;
    // Else the key of a node that joins later would be published for a minute before it signs.
    cluster.operator(0).patch("/v1/settings", &json!({ "key_prepublish": 0 })).await.ok();
    while cluster.size() < nodes {
        cluster.grow();
    }
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster
}

async fn settle(cluster: &Cluster) {
    let expected = cluster.size().min(VOTERS);
    cluster.leader().await;
    cluster.wait_leases(&cluster.running()).await;
    wait_until("five nodes vote, or all", async || {
        let status = cluster.status(0).await?.body;
        let voters = status["members"].as_array()?.iter().filter(|member| member["role"] == "voter");
        (voters.count() == expected).then_some(())
    })
    .await;
}

fn addresses(cluster: &Cluster) -> Vec<(usize, Arc<str>, Aim)> {
    let whereabouts = cluster.whereabouts();
    let token: Arc<str> = cluster.client_token().into();
    let aim = Aim { server: SERVER.into(), client: "tester".into(), token };
    let places = cluster.running().into_iter();
    places.map(|place| (place, whereabouts.of(place).expect("it runs"), aim.clone())).collect()
}

impl Round {
    fn new(pace: Pace, idle: Spent, loaded: Spent, writes: f64, answers: &[Paced]) -> Self {
        let given = answers.len() as f64;
        let cpu = loaded.cpu.as_secs_f64() - idle.cpu.as_secs_f64();
        let mut latencies: Vec<_> =
            answers.iter().map(|paced| ms_between(paced.due, paced.request.end) * 1e3).collect();
        latencies.sort_unstable_by(f64::total_cmp);
        Self {
            us: cpu * 1e6 / given,
            idle: idle.cpu.as_secs_f64() / pace.duration.as_secs_f64(),
            wakeups: (loaded.sleeps as f64 - idle.sleeps as f64) / given,
            writes: writes / given,
            p50_us: at(&latencies, 0.5),
            p99_us: at(&latencies, 0.99),
        }
    }
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures
}

fn print_medians(candidates: &[Candidate; 2]) {
    println!("\n| medians | µs per issuance | idle, % of a core | wake-ups | log writes | p50 µs | p99 µs |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for Candidate { name, rounds, .. } in candidates {
        let median = |figure: fn(&Round) -> f64| at(&sorted(rounds.iter().map(figure)), 0.5);
        println!(
            "| {name} | {:.1} | {:.1} | {:.2} | {:.2} | {:.0} | {:.0} |",
            median(|round| round.us),
            median(|round| round.idle) * 100.0,
            median(|round| round.wakeups),
            median(|round| round.writes),
            median(|round| round.p50_us),
            median(|round| round.p99_us),
        );
    }
}

/// Prints how the pairs' ratios are spread, and tells whether the aim is met.
fn print_ratios(candidates: &[Candidate; 2]) -> bool {
    let [first, second] = candidates;
    let ratios = sorted(first.rounds.iter().zip(&second.rounds).map(|(first, second)| second.us / first.us));
    let [least, lower, median, upper, most] = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| at(&ratios, share));
    println!(
        "\n{} to {}: {median:.3} (aim {AIM}); the middle half of {} pairs {lower:.3} to {upper:.3}, all {least:.3} to \
         {most:.3}",
        second.name,
        first.name,
        ratios.len()
    );
    median <= AIM
}

#[tokio::main]
async fn main() -> ExitCode {
    let pairs: u64 = number("HAPI_PAIRS", 20);
    let pace = Pace {
        per_second: number("HAPI_RATE", 2_000.0),
        lanes: number("HAPI_CONNECTIONS", 36),
        duration: Duration::from_secs(number("HAPI_SECONDS", 3)),
        seed: number("HAPI_SEED", rand::random::<u32>().into()),
    };
    println!(
        "{} connects per second over {} connections, HAPI_SEED={}",
        pace.per_second, pace.lanes, pace.seed
    );
    let nodes = number("HAPI_NODES", 9);
    let first = match std::env::var("HAPI_AGAINST").as_deref() {
        Ok("alone") => Candidate::start_alone(nodes).await,
        Ok(other) => panic!("HAPI_AGAINST={other}: only `alone` is known"),
        Err(_) => Candidate::start(1).await,
    };
    let mut candidates = [first, Candidate::start(nodes).await];
    for pair in 0..pairs {
        let pace = Pace { seed: pace.seed.wrapping_add(pair << 32), ..pace };
        for turn in 0..2 {
            candidates[(pair as usize + turn) % 2].measure(pace).await;
        }
        let [one, many] = [candidates[0].last(), candidates[1].last()];
        println!("{:>3}: {:6.1} µs {:6.1} µs {:.3}", pair + 1, one.us, many.us, many.us / one.us);
    }
    print_medians(&candidates);
    if print_ratios(&candidates) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
