//! Nine nodes: five vote, four follow as learners, all issue, and the loss of two voters is healed by promotion.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{
    Aim, Cluster, Metrics, Options, Plan, Request, document, exchange_all, publish_all, wait_until,
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const SERVER: &str = "ai.acme/a";

const NODES: usize = 9;
const VOTERS: usize = 5;

/// How long a voter is silent before it is replaced.
const GRACE: Duration = Duration::from_secs(5);

/// What electing a leader and replacing one voter after the other may take beyond the grace, on a machine that has
/// less than one core for four nodes.
const HEALING: Duration = Duration::from_secs(10);

/// How many descriptors each node is asked for at a time.
const EACH: usize = 20;

/// Two voters that are lost at the same time.
#[derive(Clone, Copy, Debug)]
enum Loss {
    LeaderAndFollower,
    TwoFollowers,
}

/// How many losses: `HAPI_LOSSES`, else one of each kind.
fn losses() -> impl Iterator<Item = Loss> {
    let count = std::env::var("HAPI_LOSSES").map_or(2, |text| text.parse().unwrap());
    [Loss::LeaderAndFollower, Loss::TwoFollowers].into_iter().cycle().take(count)
}

struct Fleet {
    cluster: Cluster,
    chance: StdRng,
    published: usize,
}

impl Fleet {
    async fn start(seed: u64) -> Self {
        let options = Options::default()
            .set("HAPI_CLUSTER_DEAD_NODE_GRACE_MS", &GRACE.as_millis().to_string())
            .set("HAPI_RAFT_PROMOTE_AFTER_MS", "1000");
        let mut cluster = Cluster::start_with(VOTERS, options).await;
        // Else the key of a node that joins later would be published for a minute before it signs.
        cluster.operator(0).patch("/v1/settings", &json!({ "key_prepublish": 0 })).await.ok();
        while cluster.size() < NODES {
            cluster.grow();
        }
        Self { cluster, chance: StdRng::seed_from_u64(seed), published: 0 }
    }

    /// The id of the node at `place` and who votes, by its own word.
    async fn word(&self, place: usize) -> Option<(String, BTreeSet<String>)> {
        let status = self.cluster.status(place).await?.body;
        let voters = status["members"].as_array()?.iter().filter(|member| member["role"] == "voter");
        let voters = voters.map(|member| member["id"].as_str().unwrap().to_owned()).collect();
        Some((status["node"]["id"].as_str()?.to_owned(), voters))
    }

    /// Waits until nobody is a member but the nodes that run.
    async fn only_the_living_are_members(&self) {
        for place in self.cluster.running() {
            wait_until(
                &format!("only nodes that run are members, by the word of node {place}"),
                async || {
                    let status = self.cluster.status(place).await?.body;
                    let members =
                        status["members"].as_array()?.iter().map(|member| member["id"].as_str().unwrap());
                    let mut living = BTreeSet::new();
                    for place in self.cluster.running() {
                        living.insert(self.word(place).await?.0);
                    }
                    (living.iter().map(String::as_str).collect::<BTreeSet<_>>() == members.collect())
                        .then_some(())
                },
            )
            .await;
        }
    }

    /// The places of the voters, once every running node names the same ones, as many as there ought to be, and all of
    /// them run.
    async fn voters(&self) -> Vec<usize> {
        wait_until("all nodes name the same five running voters", async || {
            let mut ids = Vec::new();
            let mut named = BTreeSet::new();
            for place in self.cluster.running() {
                let (id, voters) = self.word(place).await?;
                ids.push((place, id));
                named.insert(voters);
            }
            let voters = named.pop_first().filter(|_| named.is_empty())?;
            let voting = ids.into_iter().filter(|(_, id)| voters.contains(id));
            let places: Vec<usize> = voting.map(|(place, _)| place).collect();
            (places.len() == voters.len() && places.len() == VOTERS).then_some(places)
        })
        .await
    }

    /// The two that are to be lost; which ones is chance.
    async fn choose(&mut self, loss: Loss) -> [usize; 2] {
        let leader = self.cluster.leader().await;
        let mut followers = self.voters().await;
        followers.retain(|place| *place != leader);
        followers.shuffle(&mut self.chance);
        match loss {
            Loss::LeaderAndFollower => [leader, followers[0]],
            Loss::TwoFollowers => [followers[0], followers[1]],
        }
    }

    /// Kills `lost` at the same time, and waits until five nodes vote that run.
    async fn lose(&mut self, loss: Loss, lost: [usize; 2]) {
        let killed = Instant::now();
        for place in lost {
            self.cluster.kill(place);
        }
        let voters = self.voters().await;
        let took = killed.elapsed();
        eprintln!("{loss:?} {lost:?}: {voters:?} vote {} ms after the kill", took.as_millis());
        assert!(took >= GRACE, "nobody is replaced before the grace is over");
        assert!(took < GRACE + HEALING, "healed after {took:?}");
    }

    /// Publishes a version, and lets every node that runs issue from its own lease.
    async fn works(&mut self) {
        let running = self.cluster.running();
        self.cluster.leader_among(&running).await;
        self.cluster.wait_leases(&running).await;
        self.published += 1;
        let version = format!("1.0.{}", self.published);
        publish_all(&self.cluster.publisher(running[0]), &[document(SERVER, &version)]).await;
        self.all_issue(&running).await;
    }

    async fn all_issue(&self, places: &[usize]) {
        let token = self.cluster.client_token().into();
        let aim = Aim { server: SERVER.into(), client: "tester".into(), token };
        let before = self.counts(places).await;
        let answers = exchange_all(self.cluster.whereabouts(), places, 1, EACH, &aim).await;
        assert!(answers.iter().all(Request::is_given), "{answers:?}");
        for ((place, before), after) in places.iter().zip(before).zip(self.counts(places).await) {
            let [decided, handed_over] = [after[0] - before[0], after[1] - before[1]];
            assert_eq!(decided, EACH as f64, "decided by node {place} itself");
            assert_eq!(handed_over, 0.0, "handed over by node {place}");
        }
        let keys: BTreeSet<_> =
            answers.iter().flat_map(|answer| &answer.given).map(|given| &given.kid).collect();
        assert_eq!(keys.len(), places.len(), "each node signs with a key of its own");
    }

    /// What each of `places` has decided with a yes so far, and handed over.
    async fn counts(&self, places: &[usize]) -> Vec<[f64; 2]> {
        let mut counts = Vec::new();
        for place in places {
            let metrics = Metrics::of(&self.cluster.node(*place).door()).await;
            let decided = metrics.sum("hapi_connect_decisions_total", &[("code", "ok")]);
            counts.push([decided, metrics.sum("hapi_handovers_total", &[])]);
        }
        counts
    }

    /// Starts `lost` again, which have been removed meanwhile: they join as other nodes and follow as learners, and who
    /// votes stays as it is.
    async fn bring_back(&mut self, lost: [usize; 2]) {
        self.only_the_living_are_members().await;
        let before = self.voters().await;
        for place in lost {
            self.cluster.restart(place);
        }
        self.only_the_living_are_members().await;
        self.cluster.wait_leases(&lost).await;
        for place in lost {
            let status = self.cluster.status(place).await.unwrap().body;
            assert_eq!(status["node"]["role"], "learner", "of node {place}");
        }
        assert_eq!(self.voters().await, before, "the votes stay where they are");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_nodes_issue_and_heal_the_loss_of_any_two_voters_by_promotion() {
    let began = Instant::now();
    let mut fleet = Fleet::start(Plan::from_environment().seed).await;
    fleet.works().await;
    assert_eq!(fleet.voters().await.len(), VOTERS);
    eprintln!("nine nodes issue after {} ms", began.elapsed().as_millis());
    for loss in losses() {
        let lost = fleet.choose(loss).await;
        fleet.lose(loss, lost).await;
        fleet.works().await;
        fleet.bring_back(lost).await;
        fleet.works().await;
    }
    fleet.cluster.assert_same_state().await;
}
