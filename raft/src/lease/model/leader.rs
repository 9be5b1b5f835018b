//! The leader's side of the driver: a session, the rounds that it waits for, the writes that it made.

use super::{
    Nodes, bit,
    log::{Command, Leadership},
    name,
    network::Body,
    node::Node,
    oracle::Oracle,
    view::id,
    world::World,
};
use crate::lease::{
    clock::Reading,
    holder::Grant,
    rules::{Mutant, Rules},
    session::{Cover, Covered, Denied, Session},
};

/// A session, and what the driver keeps beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lead {
    pub(super) session: Session<Leadership>,
    /// What its opening entry is known by.
    name: u64,
    /// The index of that entry, once it is committed.
    opened: u64,
}

/// A round with a quorum, for all requests that had arrived when it began.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Round {
    id: u64,
    leadership: Leadership,
    read_index: u64,
    asks: Vec<(usize, u64)>,
    followers: Nodes,
}

/// A write that waits to be applied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Write {
    index: u64,
    leadership: Leadership,
}

/// A request for a lease has arrived.
pub(super) fn asked(node: &mut Node, rules: Rules, from: usize, nonce: u64) {
    let late = !rules.hold(Mutant::RoundBeforeRequest);
    match node.rounds.last_mut().filter(|_| late) {
        Some(round) => round.asks.push((from, nonce)),
        None if node.lead.is_some() => node.asks.push((from, nonce)),
        None => {}
    }
}

/// `from` follows the leader and had received `round`, and with it the rounds before.
pub(super) fn follows(node: &mut Node, from: usize, round: u64) {
    let leadership = node.replica.leads();
    let served = |other: &&mut Round| other.id <= round && Some(other.leadership) == leadership;
    for round in node.rounds.iter_mut().filter(served) {
        round.followers |= bit(from);
    }
}

impl World {
    /// The driver sees whether its replica leads: a session begins, or ends.
    pub(super) fn notice(&mut self, i: usize) {
        let leads = self.nodes[i].replica.leads();
        let bound = self.nodes[i].lead.as_ref().map(|lead| lead.session.leadership());
        if leads != bound {
            self.nodes[i].lead = leads.map(|leadership| self.begin(i, leadership));
        }
    }

    fn begin(&mut self, i: usize, leadership: Leadership) -> Lead {
        let name = self.fresh();
        let before = !self.rules.hold(Mutant::BeganBeforeElection);
        let now = if before { self.nodes[i].stood } else { self.now(i) };
        let mut session = Session::new(self.rules, self.terms, id(i), leadership, now);
        let mut opened = 0;
        if self.rules.hold(Mutant::NoSessionOpen) {
            self.propose(i, Command::Open { session: name });
        } else {
            opened = self.nodes[i].replica.read_index();
            let _ = session.open(leadership, opened, self.nodes[i].view.roster(), now);
        }
        Lead { session, name, opened }
    }

    /// A write enters the log, if the replica leads.
    pub(super) fn propose(&mut self, i: usize, command: Command) {
        let node = &mut self.nodes[i];
        let Some(leadership) = node.replica.leads() else { return };
        let Some(index) = node.replica.append(command) else { return };
        node.writes.push(Write { index, leadership });
        self.oracle.record.note(|| format!("        {} appends {index}: {command:?}", name(i)));
        self.replicate(i);
    }

    /// Sends the log, with the last round that was begun.
    pub(super) fn replicate(&mut self, i: usize) {
        let round = self.nodes[i].rounds.last().map_or(0, |round| round.id);
        let Some(append) = self.nodes[i].replica.heartbeat(round) else { return };
        self.send_others(i, &append);
    }

    /// Begins a round for the requests that have arrived.
    pub(super) fn round(&mut self, i: usize) {
        let id = self.fresh();
        let alone = !self.rules.hold(Mutant::NoQuorumRound);
        let node = &mut self.nodes[i];
        let Some(leadership) = node.replica.leads() else { return };
        let asks = std::mem::take(&mut node.asks);
        let followers = if alone { Nodes::MAX } else { bit(i) };
        let read_index = node.replica.read_index();
        node.rounds.push(Round { id, leadership, read_index, asks, followers });
        self.replicate(i);
    }

    /// Grants what complete rounds allow: the grant is in the table before it is answered.
    pub(super) fn grant(&mut self, i: usize) {
        let now = self.now(i);
        let node = &mut self.nodes[i];
        let rounds = std::mem::take(&mut node.rounds);
        let is_complete = |round: &Round| node.replica.is_quorum(round.followers);
        let (complete, open): (Vec<Round>, _) = rounds.into_iter().partition(is_complete);
        node.rounds = open;
        for round in complete {
            for (to, nonce) in &round.asks {
                self.answer(i, &round, *to, *nonce, now);
            }
        }
    }

    fn answer(&mut self, i: usize, round: &Round, to: usize, nonce: u64, now: Reading) {
        let node = &mut self.nodes[i];
        let Some(lead) = &mut node.lead else { return };
        let active = node.view.is_active(to);
        match lead.session.grant(id(to), round.leadership, round.read_index, active, now) {
            Ok(rho) => {
                self.oracle.record.figures.granted += 1;
                let line = || format!("        {} grants {} a lease from {rho} on", name(i), name(to));
                self.oracle.record.note(line);
                self.network.send(i, to, Body::Granted(Grant { nonce, rho, wall: now.wall }));
            }
            Err(Denied::Over) => node.lead = None,
            Err(Denied::NotOpen | Denied::NotOnRoster) => {}
        }
    }

    /// Looks at the writes that are applied now: what denies is to be sealed, and the opening entry opens.
    pub(super) fn results(&mut self, i: usize) {
        let applied = self.nodes[i].view.applied;
        let writes = std::mem::take(&mut self.nodes[i].writes);
        let (done, open): (Vec<Write>, _) = writes.into_iter().partition(|write| write.index <= applied);
        self.nodes[i].writes = open;
        for write in done {
            let entry = self.nodes[i].replica.log().get(write.index).copied();
            // Another entry stands there now: the write came to nothing.
            if let Some(entry) = entry.filter(|entry| entry.leadership == write.leadership) {
                self.applied(i, write, entry.command);
            }
        }
    }

    fn applied(&mut self, i: usize, write: Write, command: Command) {
        let now = self.now(i);
        if command.is_denial() && !self.rules.hold(Mutant::AcknowledgedAtCommit) {
            self.oracle.acknowledge(write.index);
        }
        let node = &mut self.nodes[i];
        let Some(lead) = &mut node.lead else { return };
        let roster = node.view.roster();
        let result = match command {
            Command::Open { session } if session == lead.name => {
                lead.opened = write.index;
                lead.session.open(write.leadership, write.index, roster, now)
            }
            // Not open yet: the opening entry comes after this one, and its seal covers both.
            _ if command.is_denial() => lead.session.seal(write.leadership, write.index, roster, now),
            _ => Ok(()),
        };
        if result == Err(Denied::Over) {
            node.lead = None;
        }
    }

    /// The driver looks for seals that are complete, and answers those who wait.
    pub(super) fn settle(&mut self, i: usize) {
        let now = self.now(i);
        let node = &mut self.nodes[i];
        let Some(lead) = &mut node.lead else { return };
        lead.session.confirm(id(i), node.view.applied, &now);
        for (index, receipt) in lead.session.settle(&now) {
            note_receipt(&mut self.oracle, i, index, &receipt);
            self.oracle.seal(index);
            self.propose(i, Command::Sealed { index });
        }
    }

    /// Somebody asks for the newest denial once more: it changes nothing, and is answered once it is sealed.
    pub(super) fn repeat(&mut self, i: usize) {
        let now = self.now(i);
        let node = &mut self.nodes[i];
        let (index, sealed) = (node.view.denial, node.view.sealed);
        let leads = node.replica.leads().is_some();
        let at_once = leads && !self.rules.hold(Mutant::RepetitionAcknowledged);
        if index == 0 || index <= sealed || at_once {
            return self.oracle.acknowledge(index);
        }
        let Some(lead) = &mut node.lead else { return };
        let Some(entry) = node.replica.log().get(index) else { return };
        // What comes before the opening entry is below every threshold of this session.
        let below = index <= lead.opened;
        let leadership = if below { lead.session.leadership() } else { entry.leadership };
        let _ = lead.session.seal(leadership, index, node.view.roster(), now);
    }
}

fn note_receipt(oracle: &mut Oracle, i: usize, index: u64, receipt: &[Covered]) {
    let expired = receipt.iter().filter(|covered| covered.cover == Cover::LeaseExpired).count();
    oracle.record.figures.covered_by_expiry += expired as u64;
    let how = |covered: &Covered| {
        format!("{} {:?}", name(usize::try_from(covered.node.0).unwrap_or(0)), covered.cover)
    };
    let all = || receipt.iter().map(how).collect::<Vec<_>>().join(", ");
    oracle.record.note(|| format!("        {} seals {index}: {}", name(i), all()));
}
