//! A node that is dead for good does not stay a voter for ever, nor a member; and nobody is taken for dead too soon.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Cluster, Metrics, Options, document, publish_all, wait_until};
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const SERVER: &str = "ai.acme/a";

/// The leader acts an election time-out and two of its looks after the grace at the latest: 1.8 s.
const SLACK: Duration = Duration::from_secs(3);

/// Three voters, a learner in the last place, and what the cluster was like then.
struct Fleet {
    cluster: Cluster,
    leader: usize,
    followers: [usize; 2],
    spare: usize,
    grace: Duration,
}

impl Fleet {
    async fn start(grace: Duration) -> Self {
        let options = Options::default()
            .set("HAPI_CLUSTER_MAX_VOTERS", "3")
            .set("HAPI_CLUSTER_DEAD_NODE_GRACE_MS", &grace.as_millis().to_string())
            .set("HAPI_RAFT_PROMOTE_AFTER_MS", "1000");
        let mut cluster = Cluster::start_with(3, options).await;
        publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
        // Else the fourth node's key would be published for a minute before it signs.
        cluster.operator(0).patch("/v1/settings", &json!({ "key_prepublish": 0 })).await.ok();
        let spare = cluster.grow();
        cluster.wait_leases(&cluster.running()).await;
        let leader = cluster.leader().await;
        let followers: Vec<usize> = (0..spare).filter(|place| *place != leader).collect();
        let fleet = Self { cluster, leader, followers: followers.try_into().unwrap(), spare, grace };
        assert_eq!(fleet.voters(leader).await, Some(fleet.ids(&[0, 1, 2]).await));
        fleet
    }

    async fn ids(&self, places: &[usize]) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for place in places {
            ids.insert(self.cluster.id(*place).await);
        }
        ids
    }

    /// Who is a member, by the word of the node at `place`.
    async fn members(&self, place: usize) -> Option<BTreeSet<String>> {
        let status = self.cluster.status(place).await?.body;
        let members = status["members"].as_array()?.iter();
        Some(members.map(|member| member["id"].as_str().unwrap().to_owned()).collect())
    }

    /// Waits until the node at `place` is a member under another id than `old`, and sees where its old data is.
    async fn comes_back_as_another(&self, place: usize, old: &str) {
        wait_until(&format!("node {place} is back as another"), async || {
            let status = self.cluster.status(place).await?.body;
            let id = status["node"]["id"].as_str()?.to_owned();
            (id != old && self.members(self.cluster.other_than(place)).await?.contains(&id)).then_some(())
        })
        .await;
        let folder = self.cluster.data(place);
        assert!(folder.join(format!("removed-{old}/db")).exists());
        assert!(folder.join("db").exists());
        let log = self.cluster.log_lines(place).join("\n");
        assert!(log.contains("the cluster has removed this node: its data is kept there"), "{log}");
    }

    /// Who votes, by the word of the node at `place`.
    async fn voters(&self, place: usize) -> Option<BTreeSet<String>> {
        let status = self.cluster.status(place).await?.body;
        let voters = status["members"].as_array()?.iter().filter(|member| member["role"] == "voter");
        Some(voters.map(|member| member["id"].as_str().unwrap().to_owned()).collect())
    }

    /// Waits until those at `places` vote, and no others.
    async fn wait_voters(&self, places: &[usize]) {
        let expected = self.ids(places).await;
        for place in self.cluster.running() {
            wait_until(&format!("those at {places:?} vote, by the word of node {place}"), async || {
                self.voters(place).await.filter(|voters| *voters == expected)
            })
            .await;
        }
    }

    /// Looks, until the grace has passed since `silence` began and the leader has had time to act, and sees that
    /// nobody's vote changes.
    async fn nobody_is_replaced(&self, silence: Instant) {
        let expected = self.ids(&[0, 1, 2]).await;
        while silence.elapsed() < self.grace + SLACK {
            let voters = self.voters(self.leader).await;
            assert!(voters.is_none_or(|voters| voters == expected));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(self.voters(self.leader).await, Some(expected));
        // Nor does the leader try: without a majority Raft would turn it down in any case.
        assert!(!self.cluster.node(self.leader).log().contains("dead voters lose their votes"));
    }

    /// How often running nodes say that they have done `what`.
    async fn counted(&self, what: &str) -> f64 {
        let mut sum = 0.0;
        for place in self.cluster.running() {
            sum += Metrics::of(&self.cluster.node(place).door()).await.sum(what, &[]);
        }
        sum
    }

    /// Writes, and connects at every node that runs.
    async fn works(&self, version: &str) {
        let running = self.cluster.running();
        self.cluster.leader_among(&running).await;
        self.cluster.wait_leases(&running).await;
        publish_all(&self.cluster.publisher(running[0]), &[document(SERVER, version)]).await;
        for place in running {
            self.cluster.client(place).connect(SERVER).await.ok();
        }
    }
}

#[tokio::test]
async fn after_a_learner_has_taken_a_dead_voters_place_the_next_loss_is_survived_too() {
    let mut fleet = Fleet::start(Duration::from_secs(5)).await;
    let (leader, [first, second], spare) = (fleet.leader, fleet.followers, fleet.spare);
    // Asked while all live.
    fleet.ids(&[0, 1, 2, spare]).await;
    let killed = Instant::now();
    fleet.cluster.kill(first);
    fleet.wait_voters(&[leader, second, spare]).await;
    eprintln!("replaced {} ms after the kill", killed.elapsed().as_millis());
    assert!(killed.elapsed() >= fleet.grace, "not before its grace is over");
    assert_eq!(fleet.counted("hapi_raft_replacements_total").await, 1.0);
    fleet.works("1.0.1").await;

    fleet.cluster.kill(leader);
    fleet.works("1.0.2").await;

    // The dead come back and catch up, whether they vote or not: the new leader had no time to give them up.
    fleet.cluster.restart(first);
    fleet.cluster.restart(leader);
    fleet.cluster.wait_ready().await;
    fleet.cluster.assert_same_state().await;
}

#[tokio::test]
async fn a_dead_node_is_removed_and_comes_back_as_another_with_its_old_data_put_aside() {
    let mut fleet = Fleet::start(Duration::from_secs(5)).await;
    let (leader, [first, second], spare) = (fleet.leader, fleet.followers, fleet.spare);
    let old = fleet.cluster.id(first).await;
    fleet.ids(&[0, 1, 2, spare]).await;
    fleet.cluster.kill(first);
    let expected = fleet.ids(&[leader, second, spare]).await;
    wait_until("the dead node is no member any more", async || {
        fleet.members(leader).await.filter(|members| *members == expected)
    })
    .await;
    wait_until("the removal is counted", async || {
        (fleet.counted("hapi_raft_removals_total").await == 1.0).then_some(())
    })
    .await;
    let audit = fleet.cluster.operator(leader).get("/v1/audit?limit=1000").await.ok().to_string();
    assert!(audit.contains(r#""act":"drain_node","actor":"system""#), "{audit}");

    fleet.cluster.restart(first);
    fleet.comes_back_as_another(first, &old).await;
    fleet.works("1.0.1").await;
    fleet.cluster.assert_same_state().await;
}

#[tokio::test]
async fn a_node_that_an_operator_removes_while_it_runs_joins_as_another() {
    let fleet = Fleet::start(Duration::from_secs(300)).await;
    let (leader, [first, _]) = (fleet.leader, fleet.followers);
    let old = fleet.cluster.id(first).await;
    let removed = fleet.cluster.operator(leader).delete(&format!("/v1/cluster/members/{old}")).await;
    assert_eq!(removed.status, 200, "{removed:?}");
    fleet.comes_back_as_another(first, &old).await;
    fleet.works("1.0.1").await;
    fleet.cluster.assert_same_state().await;
}

#[tokio::test]
async fn with_two_of_three_voters_dead_nobody_is_replaced_until_one_is_back() {
    let mut fleet = Fleet::start(Duration::from_secs(5)).await;
    let (leader, [first, second], spare) = (fleet.leader, fleet.followers, fleet.spare);
    // Asked while all live.
    fleet.ids(&[0, 1, 2, spare]).await;
    fleet.cluster.kill(first);
    fleet.cluster.kill(second);
    fleet.nobody_is_replaced(Instant::now()).await;
    fleet.cluster.restart(first);
    fleet.wait_voters(&[leader, first, spare]).await;
    fleet.works("1.0.1").await;
}

#[tokio::test]
async fn a_voter_that_comes_back_within_its_grace_stays_one() {
    let mut fleet = Fleet::start(Duration::from_secs(8)).await;
    let [first, _] = fleet.followers;
    let silence = Instant::now();
    fleet.cluster.kill(first);
    fleet.cluster.restart(first);
    fleet.nobody_is_replaced(silence).await;
    assert_eq!(fleet.counted("hapi_raft_demotions_total").await, 0.0);
    fleet.works("1.0.1").await;
}
