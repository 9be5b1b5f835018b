//! Raft, as far as leases see it: terms, votes, a log, a commit index. It sends its whole log each time.

use super::{
    MOST_NODES, Nodes, bit,
    log::{Command, Entry, Leadership, Log},
    network::Body,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Follower,
    Candidate {
        votes: Nodes,
    },
    /// `blank` is the first entry of the term. A leader that resumed its term has forgotten it.
    Leader {
        blank: Option<u64>,
        matched: [u64; MOST_NODES],
    },
}

/// What else came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// This replica leads from now on.
    Elected,
    /// The sender follows, and had received the round.
    Follows {
        round: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    me: usize,
    nodes: usize,
    // On disk.
    term: u64,
    voted: Option<usize>,
    /// The vote for itself in this term won.
    won: bool,
    log: Log,
    // In memory.
    commit: u64,
    role: Role,
    leader: Option<usize>,
}

impl Replica {
    pub(super) fn new(me: usize, nodes: usize) -> Self {
        let (log, role) = (Log::default(), Role::Follower);
        Self { me, nodes, term: 0, voted: None, won: false, log, commit: 0, role, leader: None }
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn commit(&self) -> u64 {
        self.commit
    }

    /// Whom it believes to lead.
    pub(super) fn leader(&self) -> Option<usize> {
        self.leader
    }

    /// Its leadership, while it believes to lead.
    pub(super) fn leads(&self) -> Option<Leadership> {
        matches!(self.role, Role::Leader { .. }).then_some(Leadership { term: self.term, node: self.me })
    }

    /// What a round with a quorum, begun now, proves to be committed. At least the blank entry of the term,
    /// before which nothing is committed that the leader does not hold; but a process that resumed the term
    /// after a restart knows only the commit index that it came back with, which may be too low.
    pub(super) fn read_index(&self) -> u64 {
        match self.role {
            Role::Leader { blank: Some(blank), .. } => self.commit.max(blank),
            _ => self.commit,
        }
    }

    pub(super) fn append(&mut self, command: Command) -> Option<u64> {
        let leadership = self.leads()?;
        let last = self.log.push(Entry { leadership, command });
        self.matched(self.me, last);
        Some(last)
    }

    /// Stands for election.
    pub(super) fn stand(&mut self) -> Body {
        self.enter(self.term + 1);
        self.voted = Some(self.me);
        self.role = Role::Candidate { votes: bit(self.me) };
        Body::Stand { term: self.term, reach: self.log.reach() }
    }

    /// What it sends to its followers.
    pub(super) fn heartbeat(&self, round: u64) -> Option<Body> {
        let leadership = self.leads()?;
        Some(Body::Append { leadership, log: self.log.clone(), commit: self.commit, round })
    }

    pub(super) fn on_stand(&mut self, from: usize, term: u64, reach: (u64, u64)) -> Option<Body> {
        if term > self.term {
            self.enter(term);
        }
        let free = self.voted.is_none_or(|voted| voted == from);
        if term < self.term || !free || reach < self.log.reach() {
            return None;
        }
        self.voted = Some(from);
        Some(Body::Vote { term })
    }

    pub(super) fn on_vote(&mut self, from: usize, term: u64) -> Heard {
        let Role::Candidate { votes } = &mut self.role else { return Heard::Nothing };
        if term != self.term {
            return Heard::Nothing;
        }
        *votes |= bit(from);
        let votes = *votes;
        if !self.is_quorum(votes) {
            return Heard::Nothing;
        }
        self.won = true;
        self.leader = Some(self.me);
        self.role = Role::Leader { blank: Some(self.log.last() + 1), matched: [0; MOST_NODES] };
        self.append(Command::Blank);
        Heard::Elected
    }

    pub(super) fn on_append(&mut self, leadership: Leadership, log: &Log, commit: u64, round: u64) -> Body {
        if leadership.term < self.term {
            return Body::Appended { term: self.term, matched: 0, round: 0 };
        }
        if leadership.term > self.term {
            self.enter(leadership.term);
        }
        self.role = Role::Follower;
        self.leader = Some(leadership.node);
        self.log.follow(log);
        self.commit = self.commit.max(commit.min(log.last()));
        Body::Appended { term: self.term, matched: log.last(), round }
    }

    pub(super) fn on_appended(&mut self, from: usize, term: u64, matched: u64, round: u64) -> Heard {
        if term > self.term {
            self.enter(term);
        }
        if term < self.term || self.leads().is_none() {
            return Heard::Nothing;
        }
        self.matched(from, matched);
        Heard::Follows { round }
    }

    /// A new process on the same disk, which shows the entries up to `commit` only. If the last one led, this
    /// one may resume the term at once.
    pub(super) fn restart(&mut self, commit: u64, resume: bool) {
        self.commit = commit;
        self.leader = None;
        self.role = Role::Follower;
        if resume && self.won {
            self.leader = Some(self.me);
            self.role = Role::Leader { blank: None, matched: [0; MOST_NODES] };
            self.matched(self.me, self.log.last());
        }
    }

    pub(super) fn is_quorum(&self, nodes: Nodes) -> bool {
        nodes.count_ones() as usize * 2 > self.nodes
    }

    fn enter(&mut self, term: u64) {
        (self.term, self.voted, self.won) = (term, None, false);
        (self.role, self.leader) = (Role::Follower, None);
    }

    /// `node` holds the log up to `index`. What a quorum holds is committed, once an entry of this term is
    /// among it.
    fn matched(&mut self, node: usize, index: u64) {
        let Role::Leader { matched, .. } = &mut self.role else { return };
        matched[node] = matched[node].max(index);
        let mut held = *matched;
        let held = &mut held[..self.nodes];
        held.sort_unstable();
        let index = held[(self.nodes - 1) / 2];
        if index > self.commit && self.log.term(index) == self.term {
            self.commit = index;
        }
    }
}
