//! Carries out what the rules decide: asks around, writes down, then acts.

use crate::{
    certificate::Peer,
    formation::{
        look::Met,
        phase::{Invitation, Phase, Sighting, Stage},
        rules::{Act, Formation},
    },
    node::{Ending, Node, roll},
    peer::{
        link::AskError,
        message::{Invite, Join, JoinAnswer, Release},
        route::{ASK_TIMEOUT, Lane},
    },
};
use futures::future::join_all;
use hapi_registry_state::NodeId;
use openraft::async_runtime::watch::WatchReceiver;
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{task::spawn_blocking, time::sleep};

/// How often a node without a cluster looks around. An addition of up to as much again, drawn anew each
/// time, keeps nodes that were started together from asking in step.
const SEARCH_PAUSE: Duration = Duration::from_millis(150);

/// How often a member looks whether it has to make itself known.
const MEMBER_PAUSE: Duration = Duration::from_secs(1);

/// Looks for a cluster until there is one, then keeps this node known to it.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        let result = match node.desk.phase() {
            Phase::Member { .. } => node.stay_known().await,
            _ => node.seek().await,
        };
        if let Err(ending) = result {
            node.end(ending);
            return;
        }
        let pause = match node.desk.phase() {
            Phase::Member { .. } => MEMBER_PAUSE,
            _ => SEARCH_PAUSE + SEARCH_PAUSE * u32::from(node.random::<1>()[0]) / 256,
        };
        sleep(pause).await;
    }
}

/// Takes every change of the membership into the directory, and notices when this node is part of it.
pub(crate) async fn follow_membership(node: Arc<Node>) {
    let mut metrics = node.raft.metrics();
    loop {
        let membership = metrics.borrow_watched().membership_config.clone();
        node.directory.set_own(roll(&membership));
        let news =
            membership.get_node(&node.id).is_some() && !matches!(node.desk.phase(), Phase::Member { .. });
        if news && let Err(reason) = node.desk.decide(Formation::became_member).await {
            node.fail(reason);
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

impl Node {
    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.environment.fill_random(&mut bytes);
        bytes
    }

    /// One look around and what follows from it.
    async fn seek(&self) -> Result<(), Ending> {
        let epoch = self.desk.epoch().await;
        let met = self.look_around().await;
        let seen: Vec<Sighting> = met.iter().map(|met| met.hello.sighting.clone()).collect();
        self.warn_of_differences(&seen);
        let fresh = u128::from_be_bytes(self.random());
        let act = self.desk.decide(|formation| formation.survey(epoch, &seen, fresh)).await?;
        self.act(act, &met).await
    }

    async fn act(&self, act: Act, met: &[Met]) -> Result<(), Ending> {
        match act {
            Act::Wait => Ok(()),
            Act::Join => self.ask_to_join(met).await,
            Act::Invite(invitation) => Ok(self.invite(invitation).await?),
            Act::Release(invitation) => {
                self.release(&invitation).await;
                Ok(())
            }
            Act::Initialize(invitation) => Ok(self.initialize(invitation).await?),
        }
    }

    /// Asks all the invited, and initializes once the last of them has accepted.
    async fn invite(&self, invitation: Invitation) -> Result<(), String> {
        let message = Invite(invitation.clone());
        let others = invitation.members.keys().filter(|member| **member != self.id);
        let asked = others.map(|member| {
            let message = &message;
            async move { (*member, self.pool.ask(*member, Lane::Talk, message, ASK_TIMEOUT).await) }
        });
        for (member, answer) in join_all(asked).await {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::debug!(node = format_args!("{member:016x}"), %error, "no answer to an invitation");
                    continue;
                }
            };
            let answered =
                |formation: &mut Formation| formation.answered(member, invitation.cluster_id, &answer);
            if let Act::Initialize(invitation) = self.desk.decide(answered).await? {
                return self.initialize(invitation).await;
            }
        }
        Ok(())
    }

    /// Tells the invited that they are free. Those who miss it ask by themselves.
    pub(crate) async fn release(&self, invitation: &Invitation) {
        let message = Release { cluster_id: invitation.cluster_id };
        let addresses = invitation.members.iter().filter(|(member, _)| **member != self.id);
        let told = addresses.map(|(_, record)| async {
            for address in self.pool.dialer().names.lookup(&record.peer).await.unwrap_or_default() {
                let _ = self.pool.ask_stranger(address, &message, ASK_TIMEOUT).await;
            }
        });
        join_all(told).await;
    }

    /// Initializes Raft. After a crash in between this is repeated, and finds it done.
    async fn initialize(&self, invitation: Invitation) -> Result<(), String> {
        if self.raft.is_initialized().await.map_err(|error| error.to_string())? {
            return Ok(());
        }
        let count = invitation.members.len();
        tracing::info!(
            cluster_id = format_args!("{:032x}", invitation.cluster_id),
            members = count,
            "forming a cluster"
        );
        self.raft
            .initialize(invitation.members)
            .await
            .map_err(|error| format!("cannot initialize Raft: {error}"))
    }

    /// Asks a member, and whomever it names, to be taken in.
    async fn ask_to_join(&self, met: &[Met]) -> Result<(), Ending> {
        let members = met.iter().filter(|met| matches!(met.hello.sighting.stage, Stage::Member { .. }));
        let join = Join(self.desk.sighting().await);
        for met in members {
            match self.join_at(met.address, &join).await {
                Ok((JoinAnswer::Admitted { cluster_id, roll }, _)) => {
                    return Ok(self.desk.decide(|formation| formation.admitted(cluster_id, roll)).await?);
                }
                Ok((JoinAnswer::Refused(reason), _)) => {
                    return Err(Ending::Failed(format!("the cluster refuses this node: {reason}")));
                }
                Ok((JoinAnswer::Removed, peer)) if self.directory.vouches(&peer) => {
                    return self.depart().await;
                }
                Ok((JoinAnswer::Removed, peer))
                    if self.is_news(format!("removed, says {}", peer.subject)) =>
                {
                    tracing::warn!(by = %peer.subject, "no known member says that this node was removed");
                }
                Ok((JoinAnswer::NotLeader { .. } | JoinAnswer::Later | JoinAnswer::Removed, _)) => {}
                Err(error) => tracing::debug!(%error, address = %met.address, "no answer to a wish to join"),
            }
        }
        Ok(())
    }

    async fn join_at(&self, address: SocketAddr, join: &Join) -> Result<(JoinAnswer, Peer), AskError> {
        let (answer, peer) = self.pool.ask_stranger(address, join, ASK_TIMEOUT).await?;
        let JoinAnswer::NotLeader { leader: Some((_, record)) } = &answer else {
            return Ok((answer, peer));
        };
        for leader in self.pool.dialer().names.lookup(&record.peer).await.unwrap_or_default() {
            if let Ok(answered) = self.pool.ask_stranger(leader, join, ASK_TIMEOUT).await {
                return Ok(answered);
            }
        }
        Ok((answer, peer))
    }

    /// This node was removed. Written down before it ends, so that whenever it starts next, it begins anew.
    async fn depart(&self) -> Result<(), Ending> {
        let (dir, id) = (self.data_dir.clone(), NodeId(self.id));
        let members = self.directory.members().into_iter().filter(|(member, _)| *member != self.id);
        let members: Vec<String> = members.filter_map(|(member, _)| self.directory.address(member)).collect();
        let condemned = spawn_blocking(move || hapi_storage::condemn(&dir, &id.to_string(), &members)).await;
        let condemned = condemned.map_err(|error| error.to_string())?;
        condemned.map_err(|error| format!("this node was removed, and cannot write that down: {error}"))?;
        Err(Ending::Removed(id))
    }

    /// A member makes itself known while it knows no leader, or while the membership shows an old address. One
    /// that is missing in the membership of others asks what it is to them.
    async fn stay_known(&self) -> Result<(), Ending> {
        let own = self.desk.sighting().await.record;
        self.directory.announce(self.id, own.clone());
        let shown = self.directory.members().remove(&self.id);
        if self.leader().is_none()
            || shown.is_some_and(|shown| shown != own)
            || self.is_lost.swap(false, Ordering::Relaxed)
        {
            let met = self.look_around().await;
            if self.is_missed(&met) {
                return self.ask_to_join(&met).await;
            }
        }
        Ok(())
    }

    /// Whether a member of this node's own cluster does not list it.
    fn is_missed(&self, met: &[Met]) -> bool {
        let Some(own) = self.desk.phase().cluster_id() else { return false };
        let ours = |met: &&Met| matches!(met.hello.sighting.stage, Stage::Member { cluster_id } if cluster_id == own);
        met.iter().filter(ours).any(|met| !met.hello.roll.members.contains_key(&self.id))
    }

    fn warn_of_differences(&self, seen: &[Sighting]) {
        for other in seen.iter().filter(|other| other.stage.is_unbound()) {
            if let Some((name, ours, theirs)) = self.facts.difference(&other.facts)
                && self.is_news(format!("{name} {} {theirs}", other.node))
            {
                tracing::warn!(
                    node = format_args!("{:016x}", other.node),
                    "no cluster with that node: its {name} is {theirs}, and {ours} here: set `{name}` alike on every node"
                );
            }
        }
    }
}
