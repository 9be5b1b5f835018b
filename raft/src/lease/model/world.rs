//! The cluster, and what an event does to it.

use super::{
    clocks::Clocks,
    event::Event,
    issuer,
    leader::{asked, follows},
    name,
    network::{Body, Message, Network},
    node::Node,
    oracle::Oracle,
    replica::Heard,
    view::id,
};
use crate::lease::{
    clock::{Reading, Terms},
    rules::{Mutant, Rules},
};
use std::time::Duration;

/// Longer than any calm takes to deliver what is in flight.
const MOST_DELIVERIES: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) terms: Terms,
    /// True time.
    ms: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) oracle: Oracle,
    /// How many numbers that must be unique have been given out.
    unique: u64,
}

impl World {
    pub(super) fn new(rules: Rules, clocks: &[Clocks]) -> Self {
        let count = clocks.len();
        let node = |(me, clocks): (usize, &Clocks)| Node { clocks: *clocks, ..Node::new(me, count, rules) };
        let nodes = clocks.iter().enumerate().map(node).collect();
        let terms = Terms::new(Duration::from_secs(3));
        let (network, oracle) = (Network::default(), Oracle::default());
        Self { rules, terms, ms: 0, nodes, network, oracle, unique: 0 }
    }

    pub(super) fn now(&self, i: usize) -> Reading {
        self.nodes[i].clocks.read(self.ms)
    }

    pub(super) fn fresh(&mut self) -> u64 {
        self.unique += 1;
        self.unique
    }

    pub(super) fn send_others(&mut self, from: usize, body: &Body) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            self.network.send(from, to, body.clone());
        }
    }

    pub(super) fn step(&mut self, event: Event) {
        let ms = self.ms;
        self.oracle.record.note(|| format!("{ms:>6}  {event:?}"));
        match event {
            Event::Pass(ms) => self.ms += ms,
            Event::Deliver(place) => self.deliver(place),
            Event::Duplicate(place) => self.duplicate(place),
            Event::Lose(place) => self.lose(place),
            Event::Exchange(from, to) => self.exchange(from, to),
            Event::Latest(from, to) => self.latest(from, to),
            Event::Cut(from, to) => self.network.cut(from, to),
            Event::Isolate(i) => self.isolate(i),
            Event::Heal => self.network.heal(),
            Event::Pause(i) => self.nodes[i].paused = true,
            Event::Resume(i) => self.nodes[i].paused = false,
            Event::Restart { node, applied, resume } => self.restart(node, applied, resume),
            Event::SetWall { node, ahead_ms } => self.nodes[node].clocks.ahead_us = ahead_ms * 1_000,
            Event::Expire(i) => self.expire(i),
            Event::Calm => self.calm(),
            _ => self.step_of_process(event),
        }
    }

    /// What a process does only while it does not stand still.
    fn step_of_process(&mut self, event: Event) {
        match event {
            Event::Stand(i) => self.if_awake(i, Self::stand),
            Event::Replicate(i) => self.if_awake(i, Self::replicate),
            Event::Notice(i) => self.if_awake(i, Self::notice),
            Event::Propose(i, command) => self.if_awake(i, |world, i| world.propose(i, command)),
            Event::Repeat(i) => self.if_awake(i, Self::repeat),
            Event::Round(i) => self.if_awake(i, Self::round),
            Event::Grant(i) => self.if_awake(i, Self::grant),
            Event::Apply(i) => self.if_awake(i, Self::apply),
            Event::Results(i) => self.if_awake(i, Self::results),
            Event::Settle(i) => self.if_awake(i, Self::settle),
            Event::Confirm(i) => self.if_awake(i, Self::confirm),
            Event::Ask(i, to) => self.if_awake(i, |world, i| world.ask(i, to)),
            Event::Take(i) => self.if_awake(i, Self::take),
            Event::Issue(i, slot) => self.if_awake(i, |world, i| world.issue(i, slot)),
            Event::Tend(i) => self.if_awake(i, Self::tend),
            _ => {}
        }
    }

    fn if_awake(&mut self, i: usize, act: impl FnOnce(&mut Self, usize)) {
        if !self.nodes[i].paused {
            act(self, i);
        }
    }

    fn arrives(&self, place: usize) -> bool {
        let awake = |message: &Message| !self.nodes[message.to].paused;
        self.network.passes(place) && self.network.in_flight().get(place).is_some_and(awake)
    }

    fn deliver(&mut self, place: usize) {
        if self.arrives(place) {
            let message = self.network.take(place);
            self.receive(message);
        }
    }

    fn duplicate(&mut self, place: usize) {
        if self.arrives(place) {
            let message = self.network.in_flight()[place].clone();
            self.receive(message);
        }
    }

    fn lose(&mut self, place: usize) {
        if place < self.network.in_flight().len() {
            self.network.take(place);
        }
    }

    /// Delivers what was in flight when it began, and not what comes of it.
    fn exchange(&mut self, from: usize, to: usize) {
        let sent = |message: &Message| message.from == from && message.to == to;
        for _ in 0..self.network.in_flight().iter().filter(|message| sent(message)).count() {
            if let Some(place) = self.network.in_flight().iter().position(sent) {
                self.deliver(place);
            }
        }
    }

    fn latest(&mut self, from: usize, to: usize) {
        let sent = |message: &Message| message.from == from && message.to == to;
        if let Some(place) = self.network.in_flight().iter().rposition(sent) {
            self.deliver(place);
        }
    }

    fn isolate(&mut self, i: usize) {
        for other in 0..self.nodes.len() {
            self.network.cut(i, other);
            self.network.cut(other, i);
        }
    }

    fn restart(&mut self, i: usize, applied: u64, resume: bool) {
        let count = self.nodes.len();
        let resumed = self.nodes[i].restart(self.rules, count, applied, resume);
        self.oracle.record.figures.restarts += 1;
        self.oracle.record.figures.resumptions += u64::from(resumed.is_some());
    }

    fn expire(&mut self, i: usize) {
        let now = self.now(i);
        let expiry = self.nodes[i].lead.as_ref().and_then(|lead| lead.session.next_expiry(&now));
        self.ms += expiry.map_or(0, |wait| self.nodes[i].clocks.true_ms(wait));
    }

    fn receive(&mut self, message: Message) {
        let Message { from, to, body } = message;
        self.oracle.record.note(|| format!("        {} has from {}: {}", name(to), name(from), brief(&body)));
        let now = self.now(to);
        let (rules, terms) = (self.rules, self.terms);
        let node = &mut self.nodes[to];
        match body {
            Body::Stand { term, reach } => {
                let vote = node.replica.on_stand(from, term, reach);
                self.reply(to, from, vote);
            }
            Body::Vote { term } => {
                let heard = node.replica.on_vote(from, term);
                self.hear(to, from, heard);
            }
            Body::Append { leadership, log, commit, round } => {
                let reply = node.replica.on_append(leadership, &log, commit, round);
                self.reply(to, from, Some(reply));
            }
            Body::Appended { term, matched, round } => {
                let heard = node.replica.on_appended(from, term, matched, round);
                self.hear(to, from, heard);
            }
            Body::Ask { nonce } => asked(node, rules, from, nonce),
            Body::Granted(grant) => {
                let _ = node.holder.accept(&grant, &now, &terms);
            }
            Body::Confirm { applied } => {
                if let Some(lead) = &mut node.lead {
                    lead.session.confirm(id(from), applied, &now);
                }
            }
        }
    }

    fn reply(&mut self, from: usize, to: usize, body: Option<Body>) {
        if let Some(body) = body {
            self.network.send(from, to, body);
        }
    }

    fn hear(&mut self, i: usize, from: usize, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Elected => {
                self.oracle.record.figures.elections += 1;
                self.replicate(i);
            }
            Heard::Follows { round } => follows(&mut self.nodes[i], from, round),
        }
    }

    fn stand(&mut self, i: usize) {
        self.nodes[i].stood = self.now(i);
        let stand = self.nodes[i].replica.stand();
        self.send_others(i, &stand);
    }

    fn apply(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let (before, commit) = (node.view.applied, node.replica.commit());
        let roster = node.view.roster().count();
        node.view.advance(self.rules, node.replica.log(), commit);
        self.oracle.record.figures.departures += (roster - node.view.roster().count()) as u64;
        for index in before + 1..=node.view.applied {
            if let Some(entry) = node.replica.log().get(index) {
                self.oracle.apply(index, *entry);
            }
        }
    }

    /// Only sessions listen.
    fn confirm(&mut self, i: usize) {
        let early = !self.rules.hold(Mutant::ConfirmedBeforeVisible);
        let node = &self.nodes[i];
        let applied = if early { node.replica.commit() } else { node.view.applied };
        for to in (0..self.nodes.len()).filter(|to| *to != i) {
            if self.nodes[to].lead.is_some() {
                self.network.send(i, to, Body::Confirm { applied });
            }
        }
    }

    fn ask(&mut self, i: usize, to: usize) {
        let (nonce, now) = (self.fresh(), self.now(i));
        self.nodes[i].holder.ask(nonce, now);
        self.network.send(i, to, Body::Ask { nonce });
    }

    fn take(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        if let Some(lease) = node.holder.visible(node.view.applied) {
            node.lease = Some(lease);
            self.oracle.record.figures.usable += 1;
            self.oracle
                .record
                .note(|| format!("        {} has a lease from {} on", name(i), lease.threshold()));
        }
    }

    fn issue(&mut self, i: usize, slot: usize) {
        let issue = self.nodes[i].issues[slot].take();
        self.nodes[i].issues[slot] =
            issuer::step(&self.nodes[i], self.rules, issue, self.ms, &mut self.oracle);
    }

    /// Every step of the driver, once.
    fn tend(&mut self, i: usize) {
        self.notice(i);
        self.grant(i);
        self.apply(i);
        self.results(i);
        self.settle(i);
        self.take(i);
        self.confirm(i);
        if !self.nodes[i].asks.is_empty() {
            self.round(i);
        }
    }

    fn calm(&mut self) {
        for _ in 0..2 {
            self.pass_on(Self::renew);
            // A request, a round, a grant, a lease.
            for _ in 0..4 {
                self.pass_on(Self::replicate);
            }
        }
    }

    /// Every node takes all of its steps once, and one more, and what is in flight arrives.
    fn pass_on(&mut self, more: impl Fn(&mut Self, usize)) {
        for i in 0..self.nodes.len() {
            self.if_awake(i, Self::tend);
            self.if_awake(i, &more);
        }
        self.flush();
    }

    fn renew(&mut self, i: usize) {
        let (now, renewal) = (self.now(i), self.terms.renewal());
        let node = &self.nodes[i];
        let due =
            node.lease.is_none_or(|lease| lease.age(&now) >= renewal) && node.holder.awaited().is_none();
        if let Some(leader) = node.replica.leader().filter(|_| due) {
            self.ask(i, leader);
        }
    }

    fn flush(&mut self) {
        for _ in 0..MOST_DELIVERIES {
            let count = self.network.in_flight().len();
            let Some(place) = (0..count).find(|place| self.arrives(*place)) else { return };
            self.deliver(place);
        }
    }
}

/// Messages in transcripts: a whole log would hide the rest.
fn brief(body: &Body) -> String {
    match body {
        Body::Append { leadership, log, commit, round } => {
            let (term, last) = (leadership.term, log.last());
            format!("Append {{ term: {term}, last: {last}, commit: {commit}, round: {round} }}")
        }
        other => format!("{other:?}"),
    }
}
