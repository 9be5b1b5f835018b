//! The cluster secret is changed while clients connect and publishers publish.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{
    Aim, Cluster, Door, Lane, Metrics, Node, Options, Request, Whereabouts, Workload, boot_ns, command,
    document, publish_all, turn, wait_until,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::task::JoinHandle;

const SERVER: &str = "ai.acme/a";
const PLACES: [usize; 3] = [0, 1, 2];

fn random_secret() -> String {
    std::iter::repeat_with(|| format!("{:02x}", rand::random::<u8>())).take(32).collect()
}

/// Three nodes, each with two secret files of its own, as three machines have.
struct Fleet {
    cluster: Cluster,
    old: String,
    new: String,
}

impl Fleet {
    async fn start() -> Self {
        let cluster = Cluster::start_with(3, Options::default().own_secrets()).await;
        let old = fs::read_to_string(cluster.secret()).unwrap();
        publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0"), document("ai.acme/b", "1.0.0")])
            .await;
        cluster.wait_leases(&PLACES).await;
        Self { cluster, old, new: random_secret() }
    }

    /// Writes the secrets of a node; an empty one is none.
    fn write(&self, place: usize, [first, second]: [&str; 2]) {
        let files = self.cluster.secrets_of(place);
        fs::write(&files[1], second).unwrap();
        fs::write(&files[0], first).unwrap();
    }

    /// The three steps of a change.
    fn steps(&self) -> [[String; 2]; 3] {
        let (old, new, none) = (&self.old, &self.new, &String::new());
        [[old, new], [new, old], [new, none]].map(|pair| pair.map(Clone::clone))
    }

    /// Waits until each node of the cluster knows, by the word of any, that all have `count` secrets and sign with the
    /// same; yields its fingerprint.
    async fn wait_taken(&self, count: usize) -> String {
        let mut signer = String::new();
        for place in self.cluster.running() {
            signer = wait_until(&format!("node {place} sees {count} secrets everywhere"), async || {
                taken(&self.cluster.status(place).await?.body, count)
            })
            .await;
        }
        signer
    }

    async fn next(&self, place: usize) -> String {
        let status = self.cluster.status(place).await.unwrap().body;
        status["secrets"]["next"].as_str().unwrap().to_owned()
    }

    async fn reloads(&self, place: usize, result: &str) -> f64 {
        Metrics::of(&self.cluster.node(place).door())
            .await
            .sum("hapi_secret_reloads_total", &[("result", result)])
    }

    /// What the command line says of a secret that it shows to the node at `place`. The cluster has been bootstrapped,
    /// so that it is refused in any case.
    fn refusal(&self, place: usize, secret: &str) -> String {
        let file = self.cluster.scratch().join("shown-secret");
        fs::write(&file, secret).unwrap();
        let peer = self.cluster.node(place).peer();
        let output =
            command().args(["bootstrap", "--peer", peer, "--secret-file"]).arg(&file).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn assert_only_the_new_secret_counts(&self) {
        for place in PLACES {
            let old = self.refusal(place, &self.old);
            assert!(old.contains("TLS"), "node {place}: {old}");
            let new = self.refusal(place, &self.new);
            assert!(new.contains("bootstrapped already"), "node {place}: {new}");
        }
    }

    /// One more node, with `secret`, that looks for this cluster.
    fn stranger(&self, secret: &str) -> Node {
        let file = self.cluster.scratch().join("strangers-secret");
        fs::write(&file, secret).unwrap();
        let join: Vec<_> = PLACES.iter().filter(|place| self.cluster.running().contains(place)).collect();
        let join: Vec<_> =
            join.into_iter().map(|place| self.cluster.node(*place).peer().to_owned()).collect();
        let folder = self.cluster.scratch().join(format!("stranger-{}", rand::random::<u32>()));
        Node::start(&folder, &file, &join, self.cluster.settings())
    }
}

fn taken(status: &Value, count: usize) -> Option<String> {
    let members = status["members"].as_array()?;
    let first = members[0]["secrets"]["signs"].as_str()?;
    let is_taken = |member: &Value| {
        let secrets = &member["secrets"];
        secrets["signs"] == first && secrets["verifies"].as_array().is_some_and(|all| all.len() == count)
    };
    members.iter().all(is_taken).then(|| first.to_owned())
}

/// What came of publishing.
struct Published {
    acknowledged: Vec<String>,
    failed: Vec<String>,
}

/// A publisher that publishes one server after the other, each at the next node that runs.
struct Publisher {
    whereabouts: Whereabouts,
    token: String,
    doors: BTreeMap<Arc<str>, Door>,
}

impl Publisher {
    /// Publishes until `ended`; yields what was acknowledged, and what else was said.
    async fn run(mut self, ended: Arc<AtomicBool>) -> Published {
        let (mut acknowledged, mut failed) = (Vec::new(), Vec::new());
        for number in 0.. {
            if ended.load(Ordering::Relaxed) {
                break;
            }
            let Some(address) = self.whereabouts.of(number % PLACES.len()) else {
                tokio::task::yield_now().await;
                continue;
            };
            let open = || Door::new(&format!("http://{address}"), Some(&self.token));
            let door = self.doors.entry(address.clone()).or_insert_with(open);
            let name = format!("ai.acme/p{number}");
            let request = door.request(reqwest::Method::POST, "/v0/publish").json(&document(&name, "1.0.0"));
            match door.try_send(request).await {
                Ok(answer) if answer.status < 300 => acknowledged.push(name),
                Ok(answer) => failed.push(answer.text),
                Err(error) => failed.push(format!("{error:?}")),
            }
        }
        Published { acknowledged, failed }
    }
}

/// Clients and a publisher at all nodes.
struct Load {
    workload: Workload,
    publisher: JoinHandle<Published>,
    ended: Arc<AtomicBool>,
}

impl Load {
    async fn start(cluster: &Cluster) -> Self {
        let calm =
            Aim { server: SERVER.into(), client: "tester".into(), token: cluster.client_token().into() };
        let workload = Workload::new(cluster.whereabouts(), calm);
        PLACES.into_iter().for_each(|place| workload.open(place, Lane::Calm, 2));
        let body = serde_json::json!({ "role": "publisher", "namespaces": ["*"] });
        let (token, doors) = (cluster.make_token(body).await, BTreeMap::new());
        let publisher = Publisher { whereabouts: cluster.whereabouts().clone(), token, doors };
        let ended = Arc::new(AtomicBool::new(false));
        Self { workload, publisher: tokio::spawn(publisher.run(ended.clone())), ended }
    }

    /// Ends it, and checks that nothing acknowledged is lost; yields what clients and publisher saw.
    async fn end(self, cluster: &Cluster) -> (Vec<Request>, Published) {
        self.ended.store(true, Ordering::Relaxed);
        let published = self.publisher.await.unwrap();
        let acknowledged = &published.acknowledged;
        let requests = self.workload.end().await;
        let (asked, failed) = (requests.len(), published.failed.len());
        eprintln!("{asked} connects, {} acknowledged publications, {failed} others", acknowledged.len());
        assert!(acknowledged.len() > 10 && requests.len() > 100, "there was no load to speak of");
        cluster.assert_same_state().await;
        for name in acknowledged {
            let path = format!("/v0.1/servers/{}/versions/latest", name.replace('/', "%2F"));
            let answer = cluster.client(0).get(&path).await;
            assert_eq!(answer.status, 200, "{name} was acknowledged and is lost: {}", answer.text);
        }
        (requests, published)
    }
}

fn assert_all_given<'a>(requests: impl Iterator<Item = &'a Request>) {
    let failed: Vec<_> = requests.filter(|request| !request.is_given()).collect();
    assert!(failed.is_empty(), "{} failed, the first: {:?}", failed.len(), failed[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_changed_under_load_without_a_restart_and_nothing_fails() {
    let _turn = turn().await;
    let fleet = Fleet::start().await;
    let load = Load::start(&fleet.cluster).await;
    let before = fleet.wait_taken(1).await;
    let [both, swapped, new] = fleet.steps();
    for place in PLACES {
        fleet.write(place, both.each_ref().map(String::as_str));
        fleet.cluster.node(place).hang_up();
    }
    assert_eq!(fleet.wait_taken(2).await, before);
    // Half way through the second step a page of one node leads to the next page of the other.
    fleet.write(0, swapped.each_ref().map(String::as_str));
    fleet.cluster.node(0).hang_up();
    wait_until("node 0 signs with the new one", async || {
        let status = fleet.cluster.status(0).await?.body;
        let signs =
            status["members"].as_array()?.iter().filter(|member| member["secrets"]["signs"] != *before);
        (signs.count() == 1).then_some(())
    })
    .await;
    for (from, to) in [(0, 1), (1, 0)] {
        let page = fleet.cluster.client(from).get("/v0.1/servers?limit=1").await.ok();
        let cursor = page["metadata"]["nextCursor"].as_str().unwrap();
        let path = format!("/v0.1/servers?limit=1&cursor={cursor}");
        assert_eq!(fleet.cluster.client(to).get(&path).await.ok()["metadata"]["count"], 1);
    }
    assert!(
        fleet.next(1).await.contains("go on until the same one signs everywhere"),
        "{}",
        fleet.next(1).await
    );
    for place in [1, 2] {
        fleet.write(place, swapped.each_ref().map(String::as_str));
        fleet.cluster.node(place).hang_up();
    }
    let after = fleet.wait_taken(2).await;
    assert_ne!(after, before);
    // Nobody tells the nodes of the last step: they look by themselves.
    PLACES.into_iter().for_each(|place| fleet.write(place, new.each_ref().map(String::as_str)));
    assert_eq!(fleet.wait_taken(1).await, after);
    fleet.assert_only_the_new_secret_counts();
    let (requests, published) = load.end(&fleet.cluster).await;
    assert_all_given(requests.iter());
    assert_eq!(published.failed, Vec::<String>::new(), "no node went away, so nothing may fail");
    for place in PLACES {
        assert_eq!(fleet.reloads(place, "exchanged").await, 3.0, "node {place}");
        let log = fleet.cluster.log_lines(place).join("\n");
        assert!(!log.contains(&fleet.old) && !log.contains(&fleet.new), "a secret is in the log");
    }
    let stranger = fleet.stranger(&fleet.old);
    wait_until("a node with the old secret learns that it is a stranger", async || {
        stranger.log().contains("have another cluster secret").then_some(())
    })
    .await;
    assert_eq!(fleet.cluster.status(0).await.unwrap().body["members"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_changed_under_load_by_rolling_restarts_and_nothing_is_lost() {
    let _turn = turn().await;
    let mut fleet = Fleet::start().await;
    let load = Load::start(&fleet.cluster).await;
    let mut absences = Vec::new();
    for step in fleet.steps() {
        for place in PLACES {
            let from = boot_ns();
            fleet.cluster.stop(place);
            fleet.write(place, step.each_ref().map(String::as_str));
            fleet.cluster.restart(place);
            fleet.cluster.wait_leases(&PLACES).await;
            absences.push((place, from, boot_ns()));
        }
        fleet.wait_taken(if step[1].is_empty() { 1 } else { 2 }).await;
    }
    fleet.assert_only_the_new_secret_counts();
    let (requests, _) = load.end(&fleet.cluster).await;
    // A client that may use another node: whatever a node did not answer while it was down, the others did.
    let is_excused = |request: &&Request| {
        let absent = |(place, from, to): &(usize, u64, u64)| {
            request.place == *place && request.end > *from && request.start < *to
        };
        !absences.iter().any(absent)
    };
    assert_all_given(requests.iter().filter(is_excused));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_are_no_good_are_refused_and_those_from_before_stay() {
    let fleet = Fleet::start().await;
    let before = fleet.wait_taken(1).await;
    let refused = async |[first, second]: [&str; 2], count: f64, says: &str| {
        fleet.write(0, [first, second]);
        fleet.cluster.node(0).hang_up();
        wait_until("the node refuses", async || (fleet.reloads(0, "refused").await == count).then_some(()))
            .await;
        let log = fleet.cluster.node(0).log();
        let line = log.lines().rev().find(|line| line.contains("was not taken over")).unwrap();
        assert!(line.contains(says), "{line}");
    };
    refused([&fleet.old, "changeme"], 1.0, "8 bytes, at least 32 are needed").await;
    refused([&fleet.old, &fleet.old], 2.0, "both cluster secrets are the same").await;
    refused(["", &fleet.new], 3.0, "is weak").await;
    let files = fleet.cluster.secrets_of(0);
    fs::remove_file(&files[0]).unwrap();
    fleet.cluster.node(0).hang_up();
    wait_until("the node refuses", async || (fleet.reloads(0, "refused").await == 4.0).then_some(())).await;
    assert!(fleet.cluster.node(0).log().contains(&format!("{} cannot be read", files[0].display())));
    assert_eq!(fleet.wait_taken(1).await, before);
    // A step too far cuts a node off, and it says whom from.
    fleet.write(0, [&fleet.new, ""]);
    fleet.cluster.node(0).hang_up();
    wait_until("the node warns", async || {
        fleet.cluster.node(0).log().contains("are cut off from each other").then_some(())
    })
    .await;
    wait_until("the others miss it", async || fleet.next(1).await.contains("no word from").then_some(()))
        .await;
    fleet.write(0, [&fleet.old, ""]);
    fleet.cluster.node(0).hang_up();
    assert_eq!(fleet.wait_taken(1).await, before);
    fleet.cluster.client(0).connect(SERVER).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_removal_is_not_finished_until_the_secret_has_been_changed() {
    let mut fleet = Fleet::start().await;
    let removed = fleet.cluster.id(2).await;
    fleet.cluster.kill(2);
    let file = fleet.cluster.scratch().join("operator-token");
    fs::write(&file, fleet.cluster.operator_token()).unwrap();
    let run = |line: &str| {
        let output = command()
            .args(line.split(' '))
            .env("HAPI_NODES", fleet.cluster.node(0).http())
            .env("HAPI_TOKEN_FILE", &file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run(&format!("cluster remove {removed} --compromised"));
    assert!(said.contains("whoever has it knows the cluster secret: change it now"), "{said}");
    let compromised = async |place: usize| {
        Metrics::of(&fleet.cluster.node(place).door()).await.sum("hapi_cluster_secret_compromised", &[])
    };
    let due = async |place: usize| fleet.cluster.status(place).await.unwrap().body["secrets"]["due"] == true;
    for place in [0, 1] {
        wait_until("the node knows", async || (compromised(place).await == 1.0).then_some(())).await;
        assert!(due(place).await);
    }
    wait_until("the removed node is no member", async || {
        (fleet.cluster.status(0).await?.body["members"].as_array()?.len() == 2).then_some(())
    })
    .await;
    let said = run("cluster secrets");
    assert!(said.contains("a removed node knows") && said.contains("make a new secret"), "{said}");
    let thief = fleet.stranger(&fleet.old);
    wait_until("who has only the compromised secret is turned away", async || {
        thief.log().contains("is given up").then_some(())
    })
    .await;
    drop(thief);
    for (step, count) in fleet.steps().into_iter().zip([2, 2, 1]) {
        for place in [0, 1] {
            assert!(due(place).await);
            fleet.write(place, step.each_ref().map(String::as_str));
            fleet.cluster.node(place).hang_up();
        }
        fleet.wait_taken(count).await;
    }
    for place in [0, 1] {
        assert!(!due(place).await, "{}", fleet.next(place).await);
        assert_eq!(compromised(place).await, 0.0);
    }
    let newcomer = fleet.stranger(&fleet.new);
    wait_until("a node with the new secret is let in", async || {
        let answer = newcomer.door().get("/readyz").await;
        (answer.status == 200).then_some(())
    })
    .await;
    // Whoever takes the old one in force again is told.
    assert_eq!(run("cluster status").lines().filter(|line| line.contains("change secret:  no")).count(), 1);
}
