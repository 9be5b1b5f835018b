//! A campaign: trial after trial on one cluster, each a denial under a fault while clients ask flat out.

mod plan;
mod report;

pub use plan::Plan;
pub use report::Report;

use crate::{
    Acknowledged, Aim, Cluster, Denial, Deny, Door, Lane, Request, Subject, Workload, boot_ns, document,
    publish_all, wait_until,
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};
use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

/// Servers that trials take in turn, so that one trial's states are far from the last one's.
const SERVERS: usize = 8;

/// What nobody forbids.
const CALM: &str = "ai.acme/calm";

/// Lanes to each node: most of them race for the subject.
const LANES: [(Lane, usize); 2] = [(Lane::Hot, 2), (Lane::Calm, 1)];

/// A trial begins at a random point of the leases' renewal, which comes once in so many milliseconds.
const PHASE_MS: u64 = 750;

/// What goes wrong during a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// A follower stands still for so long.
    FollowerPaused(Duration),
    /// A follower is cut off from all others.
    FollowerCutOff,
    /// A follower hears nothing from others.
    FollowerDeaf,
    /// A follower is heard by no other.
    FollowerMute,
    /// The leader is killed, and started again after the acknowledgement.
    LeaderKilled,
    /// The leader stands still for so long.
    LeaderPaused(Duration),
    /// Leadership is handed to another node.
    LeadershipTransferred,
}

impl Fault {
    fn is_the_leaders(self) -> bool {
        matches!(self, Self::LeaderKilled | Self::LeaderPaused(_) | Self::LeadershipTransferred)
    }
}

/// A running campaign.
#[derive(Debug)]
pub struct Campaign {
    cluster: Cluster,
    workload: Workload,
    chance: StdRng,
    trials: usize,
    denials: Vec<Denial>,
    /// Nodes whose clocks lie: their logs prove nothing.
    distrusted: BTreeSet<usize>,
    /// Whether a process was killed, which may take the end of its log along.
    has_killed: bool,
}

impl Campaign {
    /// Stocks the cluster, and has clients ask all its nodes.
    pub async fn begin(cluster: Cluster, seed: u64) -> Self {
        let names = (0..SERVERS).map(server).chain([CALM.to_owned()]);
        let documents: Vec<_> = names.map(|name| document(&name, "1.0.0")).collect();
        let place = cluster.leader().await;
        publish_all(&cluster.publisher(place), &documents).await;
        // A node that joins later signs at once.
        cluster.operator(place).patch("/v1/settings", &json!({ "key_prepublish": 0 })).await.ok();
        let calm = aim(CALM, "tester", cluster.client_token());
        let campaign = Self {
            workload: Workload::new(cluster.whereabouts(), calm),
            cluster,
            chance: StdRng::seed_from_u64(seed),
            trials: 0,
            denials: Vec::new(),
            distrusted: BTreeSet::new(),
            has_killed: false,
        };
        campaign.cluster.running().into_iter().for_each(|place| campaign.open(place));
        campaign.cluster.wait_leases(&campaign.cluster.running()).await;
        campaign
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Declares that the clock of the node at `place` lies, so that its logs are not held against anybody.
    pub fn distrust(&mut self, place: usize) {
        self.distrusted.insert(place);
    }

    fn open(&self, place: usize) {
        LANES.into_iter().for_each(|(lane, count)| self.workload.open(place, lane, count));
    }

    /// Suspends a server under a fault, and reinstates it when the fault is gone.
    pub async fn suspend(&mut self, fault: Fault) {
        let victim = self.victim(fault).await;
        self.suspend_at(victim, fault).await;
    }

    /// The same, with the fault at a given node.
    pub async fn suspend_at(&mut self, victim: usize, fault: Fault) {
        let name = server(self.trials % SERVERS);
        self.aim(aim(&name, "tester", self.cluster.client_token())).await;
        let deny = Deny::moderate(self.doors(fault, victim, Cluster::moderator), "suspend", &name);
        let acknowledged = self.strike(fault, victim, deny).await;
        self.wait_judged(acknowledged.at).await;
        let until = boot_ns();
        let doors = self.doors(Fault::Nothing, victim, Cluster::moderator);
        let lifted = Deny::moderate(doors, "reinstate", &name).until_acknowledged().await.index;
        self.wait_issued().await;
        let story = format!("{fault:?} of node {victim}, {name} suspended");
        self.note(story, Subject::Server(name.as_str().into()), &acknowledged, Some((until, lifted)));
    }

    /// Revokes a client's only token under a fault.
    pub async fn revoke_token(&mut self, fault: Fault) {
        let (client, name) = (format!("trial-{}", self.trials), server(self.trials % SERVERS));
        let token = self.cluster.make_token(json!({ "role": "client", "client": client })).await;
        self.aim(aim(&name, &client, &token)).await;
        let victim = self.victim(fault).await;
        let deny = Deny::revoke_token(self.doors(fault, victim, Cluster::operator), &token);
        let acknowledged = self.strike(fault, victim, deny).await;
        self.wait_judged(acknowledged.at).await;
        let story = format!("{fault:?} of node {victim}, the token of {client} revoked");
        self.note(story, Subject::Client(client.as_str().into()), &acknowledged, None);
    }

    /// Revokes the key that a node signs with, while the fault is at that node.
    pub async fn revoke_key(&mut self, fault: Fault) {
        self.aim(aim(&server(0), "tester", self.cluster.client_token())).await;
        let victim = self.victim(fault).await;
        let kids = self.keys(victim, |state| state == "active").await;
        let deny = Deny::revoke_key(self.doors(fault, victim, Cluster::operator), &kids[0]);
        let acknowledged = self.strike(fault, victim, deny).await;
        self.wait_issued().await;
        let story = format!("{fault:?} of node {victim}, its key revoked");
        self.note(story, Subject::Keys { place: victim, kids }, &acknowledged, None);
    }

    /// Removes a node while the fault is at it; when it is back, another node takes its place.
    pub async fn remove_member(&mut self, fault: Fault) {
        self.aim(aim(&server(0), "tester", self.cluster.client_token())).await;
        let victim = self.victim(fault).await;
        let (id, kids) = (self.cluster.id(victim).await, self.keys(victim, |_| true).await);
        let deny = Deny::remove_member(self.doors(fault, victim, Cluster::operator), &id);
        let acknowledged = self.strike(fault, victim, deny).await;
        self.wait_answered(&[victim], boot_ns(), |_| true).await;
        let story = format!("{fault:?} of node {victim}, itself removed");
        self.note(story, Subject::Keys { place: victim, kids }, &acknowledged, None);
        self.replace(victim, &id).await;
    }

    /// The keys of the node at `place` in such a state.
    async fn keys(&self, place: usize, like: impl Fn(&Value) -> bool) -> Vec<Box<str>> {
        let id = self.cluster.id(place).await;
        let keys = self.cluster.operator(place).get("/v1/keys").await.ok()["keys"].take();
        let keys = keys.as_array().expect("a list").iter();
        let its = keys.filter(|key| key["node"] == id.as_str() && like(&key["state"]));
        its.map(|key| key["kid"].as_str().expect("a key has an id").into()).collect()
    }

    /// Ends a removed node, and adds one that votes and issues.
    async fn replace(&mut self, removed: usize, id: &str) {
        self.kill(removed);
        let voters = self.cluster.running().len() + 1;
        let place = self.cluster.grow();
        wait_until(&format!("node {removed} is no member and node {place} votes"), async || {
            let leader = self.cluster.leader().await;
            let status = self.cluster.status(leader).await?.body;
            let members = status["members"].as_array()?;
            let voting = members.iter().filter(|member| member["role"] == "voter").count();
            (voting == voters && members.iter().all(|member| member["id"] != id)).then_some(())
        })
        .await;
        self.cluster.wait_leases(&[place]).await;
        self.open(place);
        self.wait_issued().await;
    }

    fn note(
        &mut self,
        story: String,
        subject: Subject,
        acknowledged: &Acknowledged,
        lift: Option<(u64, u64)>,
    ) {
        let took = (acknowledged.at - acknowledged.asked_at) / 1_000_000;
        let story = format!("trial {}: {story}, acknowledged after {took} ms", self.trials);
        eprintln!("{story}, covers {}", acknowledged.nodes);
        let (index, acked_at) = (acknowledged.index, acknowledged.at);
        let (until, lifted) = (lift.map(|lift| lift.0), lift.map(|lift| lift.1));
        self.denials.push(Denial { story, subject, index, acked_at, until, lifted });
        self.trials += 1;
    }

    fn kill(&mut self, place: usize) {
        self.has_killed = true;
        self.cluster.kill(place);
    }

    /// The node that the fault befalls.
    async fn victim(&mut self, fault: Fault) -> usize {
        let leader = self.cluster.leader().await;
        if fault.is_the_leaders() {
            return leader;
        }
        let mut followers = self.cluster.running();
        followers.retain(|place| *place != leader);
        followers.shuffle(&mut self.chance);
        followers.first().copied().unwrap_or(leader)
    }

    /// The doors at which the act is asked for: never at a node that stands still or is cut off, but often at
    /// one that dies or loses its lead with the act under way.
    fn doors(&mut self, fault: Fault, victim: usize, of: fn(&Cluster, usize) -> Door) -> Vec<Door> {
        let mut places = self.cluster.running();
        places.shuffle(&mut self.chance);
        let may_ask = matches!(fault, Fault::Nothing | Fault::LeaderKilled | Fault::LeadershipTransferred);
        places.retain(|place| may_ask || *place != victim);
        places.into_iter().map(|place| of(&self.cluster, place)).collect()
    }

    /// Installs the fault, has the act acknowledged, and takes the fault back.
    async fn strike(&mut self, fault: Fault, victim: usize, deny: Deny) -> Acknowledged {
        self.chance_delay(PHASE_MS).await;
        match fault {
            Fault::Nothing => deny.until_acknowledged().await,
            Fault::FollowerPaused(length) => {
                self.cluster.pause(victim);
                let end = Instant::now() + length;
                let act = tokio::spawn(deny.until_acknowledged());
                tokio::time::sleep_until(end).await;
                self.cluster.resume(victim);
                ended(act).await
            }
            Fault::FollowerCutOff | Fault::FollowerDeaf | Fault::FollowerMute => {
                match fault {
                    Fault::FollowerDeaf => self.cluster.cut_one_way(&self.others(victim), &[victim]),
                    Fault::FollowerMute => self.cluster.cut_one_way(&[victim], &self.others(victim)),
                    _ => self.cluster.cut(&[victim]),
                };
                let acknowledged = deny.until_acknowledged().await;
                self.wait_answered(&[victim], acknowledged.at, |_| true).await;
                self.cluster.heal();
                acknowledged
            }
            Fault::LeaderPaused(length) => self.pause_leader(victim, length, deny).await,
            Fault::LeaderKilled => {
                let act = self.begin_act(deny).await;
                self.kill(victim);
                let acknowledged = ended(act).await;
                self.cluster.restart(victim);
                self.cluster.wait_ready().await;
                acknowledged
            }
            Fault::LeadershipTransferred => {
                let mut others = self.others(victim);
                others.shuffle(&mut self.chance);
                let act = self.begin_act(deny).await;
                self.cluster.transfer(others[0]).await;
                ended(act).await
            }
        }
    }

    fn others(&self, place: usize) -> Vec<usize> {
        self.cluster.running().into_iter().filter(|other| *other != place).collect()
    }

    /// Wakes the old leader after `length`, in every other trial not before the acknowledgement.
    async fn pause_leader(&mut self, leader: usize, length: Duration, deny: Deny) -> Acknowledged {
        let mut act = self.begin_act(deny).await;
        self.cluster.pause(leader);
        let pause = tokio::time::sleep(length);
        let acknowledged = if self.chance.random() {
            let (acknowledged, ()) = tokio::join!(ended(act), pause);
            self.cluster.resume(leader);
            acknowledged
        } else {
            pause.await;
            self.cluster.resume(leader);
            (&mut act).await.expect("the act does not panic")
        };
        self.cluster.wait_ready().await;
        acknowledged
    }

    /// Has the act asked for, for up to some milliseconds before the fault comes, or not yet.
    async fn begin_act(&mut self, deny: Deny) -> JoinHandle<Acknowledged> {
        let act = tokio::spawn(deny.until_acknowledged());
        self.chance_delay(12).await;
        act
    }

    async fn chance_delay(&mut self, most_ms: u64) {
        tokio::time::sleep(Duration::from_micros(self.chance.random_range(0..most_ms * 1_000))).await;
    }

    /// Aims the hot lanes, and waits until every node issues what they ask for.
    async fn aim(&self, aim: Aim) {
        self.workload.aim(aim);
        self.wait_issued().await;
    }

    /// Waits until every node has issued for the subject to a request that begins now: nothing is judged on a
    /// cluster that does not issue.
    async fn wait_issued(&self) {
        self.wait_answered(&self.cluster.awake(), boot_ns(), Request::is_given).await;
    }

    /// Waits until every node has decided on the subject for a request that began after the acknowledgement,
    /// and after the fault was gone.
    async fn wait_judged(&self, acked_at: u64) {
        let since = acked_at.max(boot_ns());
        let is_decided = |request: &Request| (200..500).contains(&request.status);
        self.wait_answered(&self.cluster.awake(), since, is_decided).await;
    }

    /// Waits until at each place a request for the subject that began after `since` came out like this.
    async fn wait_answered(&self, places: &[usize], since: u64, like: impl Fn(&Request) -> bool) {
        let (mark, subject) = (self.workload.mark(), self.workload.aimed());
        for place in places {
            wait_until(
                &format!("node {place} has answered for {} as it should", subject.server),
                async || {
                    let is_subject = |request: &Request| {
                        request.server == subject.server && request.client == subject.client
                    };
                    let is_it = |request: &Request| {
                        request.place == *place
                            && request.start > since
                            && is_subject(request)
                            && like(request)
                    };
                    self.workload.any(mark, is_it).then_some(())
                },
            )
            .await;
        }
    }

    /// Ends the clients and judges all that was seen.
    pub async fn end(self) -> Report {
        let requests = self.workload.end().await;
        report::judged(&self.cluster, requests, self.denials, &self.distrusted, self.has_killed)
    }
}

fn server(number: usize) -> String {
    format!("ai.acme/subject-{number}")
}

fn aim(server: &str, client: &str, token: &str) -> Aim {
    let text = |text: &str| Arc::from(text);
    Aim { server: text(server), client: text(client), token: text(token) }
}

async fn ended<T>(task: impl Future<Output = Result<T, tokio::task::JoinError>>) -> T {
    task.await.expect("the act does not panic")
}
