//! The rules of formation, without network, disk or clock.
//!
//! Two clusters must not come to be out of one set of nodes. That rests on three facts: a node gives its
//! word to one inviter at a time; an inviter initializes only with the word of everyone it invited; and it
//! takes back an invitation only before that, by writing down that it no longer stands by it. A node that
//! gave its word is free again only when the inviter itself, asked *after* the word was given, no longer
//! stands by the invitation.

use crate::{
    config::ClusterFacts,
    directory::Roll,
    formation::phase::{Invitation, InviteAnswer, Phase, Sighting, Stage},
    types::{Members, PeerNode},
};
use std::collections::BTreeSet;

/// What to do next. Whatever changed in the phase has to be written down first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing but look again.
    Wait,
    /// Ask the cluster that was seen to take this node in.
    Join,
    /// Send this invitation to all who have not accepted yet.
    Invite(Invitation),
    /// Tell those who may have accepted it that this invitation is void. They find out without, too.
    Release(Invitation),
    /// Initialize Raft with exactly these members.
    Initialize(Invitation),
}

/// One node's part in formation.
#[derive(Clone, Debug)]
pub(crate) struct Formation {
    me: u64,
    record: PeerNode,
    facts: ClusterFacts,
    expect: Option<u16>,
    phase: Phase,
    epoch: u64,
}

impl Formation {
    pub(crate) fn new(
        me: u64,
        record: PeerNode,
        facts: ClusterFacts,
        expect: Option<u16>,
        phase: Phase,
    ) -> Self {
        Self { me, record, facts, expect, phase, epoch: 0 }
    }

    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Moves with every change of the phase. What was asked in an earlier epoch decides nothing.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What this node shows of itself.
    pub(crate) fn sighting(&self) -> Sighting {
        Sighting {
            node: self.me,
            record: self.record.clone(),
            facts: self.facts.clone(),
            expect: self.expect,
            stage: self.phase.stage(),
        }
    }

    /// Takes in a look around that began in `epoch`. `fresh` is a random number for a cluster id.
    pub(crate) fn survey(&mut self, epoch: u64, seen: &[Sighting], fresh: u128) -> Act {
        if epoch != self.epoch {
            return Act::Wait;
        }
        match self.phase.clone() {
            Phase::Searching => self.search(seen, fresh),
            Phase::Inviting { invitation, .. } => self.insist(invitation, seen),
            Phase::Accepted { invitation } => self.keep_word(&invitation, seen),
            Phase::Initializing { invitation } => Act::Initialize(invitation),
            Phase::Joining { cluster_id, .. } => join_if(seen, |id| id == cluster_id),
            Phase::Member { .. } => Act::Wait,
        }
    }

    /// Takes in an invitation. The second value is an invitation of our own that is void by this.
    pub(crate) fn invited(&mut self, invitation: &Invitation) -> (InviteAnswer, Option<Invitation>) {
        if let Some(reason) = self.unfit(invitation) {
            return (InviteAnswer::Unfit(reason), None);
        }
        match self.phase.clone() {
            Phase::Accepted { invitation: kept } if kept.cluster_id == invitation.cluster_id => {
                (InviteAnswer::Accepted, None)
            }
            Phase::Searching => (self.accept(invitation), None),
            Phase::Inviting { invitation: own, .. } if invitation.inviter < self.me => {
                (self.accept(invitation), Some(own))
            }
            phase => (InviteAnswer::Busy(phase.stage()), None),
        }
    }

    /// Takes in what `from` answered to the invitation to `cluster_id`.
    pub(crate) fn answered(&mut self, from: u64, cluster_id: u128, answer: &InviteAnswer) -> Act {
        let Phase::Inviting { invitation, mut accepted } = self.phase.clone() else {
            return Act::Wait;
        };
        if invitation.cluster_id != cluster_id || *answer != InviteAnswer::Accepted {
            return Act::Wait;
        }
        accepted.insert(from);
        self.gather(invitation, accepted).unwrap_or(Act::Wait)
    }

    /// Takes in that `inviter` no longer stands by its invitation to `cluster_id`.
    pub(crate) fn released(&mut self, inviter: u64, cluster_id: u128) {
        let bound = matches!(&self.phase, Phase::Accepted { invitation }
            if invitation.cluster_id == cluster_id && invitation.inviter == inviter);
        if bound {
            self.enter(Phase::Searching);
        }
    }

    /// Takes in that an existing cluster admitted this node.
    pub(crate) fn admitted(&mut self, cluster_id: u128, roll: Roll) {
        let same = self.phase.cluster_id().is_none_or(|known| known == cluster_id);
        if same && matches!(self.phase, Phase::Searching | Phase::Joining { .. }) {
            self.enter(Phase::Joining { cluster_id, roll });
        }
    }

    /// Takes in that the committed membership holds this node.
    pub(crate) fn became_member(&mut self) {
        let cluster_id = match &self.phase {
            Phase::Accepted { invitation } => Some(invitation.cluster_id),
            Phase::Member { .. } => None,
            phase => phase.cluster_id(),
        };
        if let Some(cluster_id) = cluster_id {
            self.enter(Phase::Member { cluster_id });
        }
    }

    /// Free: join what exists, else invite if it is this node's turn.
    fn search(&mut self, seen: &[Sighting], fresh: u128) -> Act {
        if seen.iter().any(|other| matches!(other.stage, Stage::Member { .. })) {
            return Act::Join;
        }
        let soon = seen.iter().any(|other| matches!(other.stage, Stage::Initializing { .. }));
        let Some(expect) = self.expect.map(usize::from).filter(|_| !soon) else {
            return Act::Wait;
        };
        let candidates = self.candidates(seen);
        if candidates.len() < expect || candidates.keys().next() != Some(&self.me) {
            return Act::Wait;
        }
        let members = candidates.into_iter().take(expect).collect();
        let invitation =
            Invitation { cluster_id: fresh, inviter: self.me, members, facts: self.facts.clone() };
        self.gather(invitation.clone(), BTreeSet::from([self.me])).unwrap_or(Act::Invite(invitation))
    }

    /// Inviting: give way to a cluster or to a lower id, else go on.
    fn insist(&mut self, invitation: Invitation, seen: &[Sighting]) -> Act {
        let exists = |other: &Sighting| !other.stage.is_unbound();
        let lower = self.candidates(seen).keys().any(|id| *id < self.me);
        if lower || seen.iter().any(exists) {
            self.enter(Phase::Searching);
            return Act::Release(invitation);
        }
        Act::Invite(invitation)
    }

    /// Bound by a word: free only if the inviter does not stand by its invitation any more.
    fn keep_word(&mut self, invitation: &Invitation, seen: &[Sighting]) -> Act {
        let inviter = seen.iter().find(|other| other.node == invitation.inviter);
        if inviter.is_some_and(|inviter| !inviter.stage.stands_by(invitation.cluster_id)) {
            self.enter(Phase::Searching);
        }
        Act::Wait
    }

    fn accept(&mut self, invitation: &Invitation) -> InviteAnswer {
        self.enter(Phase::Accepted { invitation: invitation.clone() });
        InviteAnswer::Accepted
    }

    /// Writes down who has accepted. With everyone's word there is no way back.
    fn gather(&mut self, invitation: Invitation, accepted: BTreeSet<u64>) -> Option<Act> {
        if invitation.members.keys().all(|id| accepted.contains(id)) {
            self.enter(Phase::Initializing { invitation: invitation.clone() });
            return Some(Act::Initialize(invitation));
        }
        self.enter(Phase::Inviting { invitation, accepted });
        None
    }

    /// Nodes with which a cluster could be formed, this one included, in the order of their ids.
    fn candidates(&self, seen: &[Sighting]) -> Members {
        let fits = |other: &&Sighting| {
            other.expect == self.expect && other.facts == self.facts && other.stage.is_unbound()
        };
        let others = seen.iter().filter(fits).map(|other| (other.node, other.record.clone()));
        others.chain([(self.me, self.record.clone())]).collect()
    }

    fn unfit(&self, invitation: &Invitation) -> Option<String> {
        if let Some((name, ours, theirs)) = self.facts.difference(&invitation.facts) {
            return Some(format!("{name} is {ours} here and {theirs} there"));
        }
        if self.expect.map(usize::from) != Some(invitation.members.len()) {
            let expect = self.expect.map_or("none".into(), |expect| expect.to_string());
            return Some(format!(
                "{} nodes are invited, {expect} are expected here",
                invitation.members.len()
            ));
        }
        if invitation.members.keys().next() != Some(&invitation.inviter) {
            return Some("the inviter is not the lowest of the invited".into());
        }
        let known = invitation
            .members
            .get(&self.me)
            .is_some_and(|record| record.key_sha256 == self.record.key_sha256);
        (!known).then(|| "this node is not among the invited".into())
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.epoch += 1;
        }
    }
}

fn join_if(seen: &[Sighting], wanted: impl Fn(u128) -> bool) -> Act {
    let found = |other: &Sighting| matches!(other.stage, Stage::Member { cluster_id } if wanted(cluster_id));
    if seen.iter().any(found) { Act::Join } else { Act::Wait }
}
