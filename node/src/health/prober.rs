//! Who asks: round after round, as long as this node leads and the gate stands as it stood.

use super::{
    Health, LOOK, is_wanted,
    probe::{Seen, probe},
    round::Round,
    streaks::Streaks,
};
use crate::clock;
use hapi_raft::Replica;
use hapi_registry_state::{
    Command, Endpoint, HealthChange, HealthGate, MOST_HEALTH_CHANGES, Outcome, Principal, ServerName,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// The most servers that are asked at a time, in all. A round takes as long as it takes: the next one waits for it.
const CONCURRENT: usize = 128;

pub(super) struct Prober {
    health: Arc<Health>,
    replica: Replica,
    streaks: Streaks,
    /// What is to be said next.
    waiting: Vec<HealthChange>,
    /// Which servers are asked early in a round, and which late.
    seed: u64,
    /// How many of this round may not be asked.
    not_allowed: usize,
}

/// What was seen of one server, and how long that took.
struct Probed {
    server: ServerName,
    endpoint: Endpoint,
    seen: Seen,
    took: Duration,
}

impl Prober {
    pub(super) fn new(health: Arc<Health>, replica: Replica) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = clock::random_name();
        let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Self { health, replica, streaks: Streaks::default(), waiting: Vec::new(), seed, not_allowed: 0 }
    }

    /// Asks until this node leads no more, or the gate is off.
    pub(super) async fn run(mut self) {
        // What an earlier leader wrote last may not be applied here yet.
        if self.replica.read_index().await.is_err() {
            return;
        }
        while is_wanted(&self.replica) {
            let gate = self.replica.state().health_gate().clone();
            let began = Instant::now();
            if self.round(&gate).await {
                self.health.counters.round(began.elapsed());
            }
            if self.not_allowed > 0 {
                tracing::warn!(
                    servers = self.not_allowed,
                    "servers at addresses that are not public were not asked, and count as before: see \
                     `outbound.allow_private`"
                );
            }
        }
    }

    /// Asks each server once; `false` if that was broken off, since something is otherwise than when it began.
    async fn round(&mut self, gate: &HealthGate) -> bool {
        let length = Duration::from_secs(gate.health_interval.into());
        let state = self.replica.state();
        let mut round = Round::plan(state.behind_gate(), length, self.seed, chance);
        self.streaks.turn();
        self.streaks.keep(|server| gate.covers(server) && state.server(server).is_some());
        drop(state);
        self.not_allowed = 0;
        let began = Instant::now();
        let mut asked = JoinSet::new();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while asked.len() < CONCURRENT
                && let Some(server) = round.next(began.elapsed())
            {
                self.ask(&mut asked, server, gate);
            }
            self.health.counters.under_way(asked.len());
            let rest = match round.rest(began.elapsed()) {
                None if asked.is_empty() => length.checked_sub(began.elapsed()),
                rest => rest.or(Some(length)),
            };
            let Some(rest) = rest else {
                self.tell().await;
                return true;
            };
            tokio::select! {
                Some(probed) = asked.join_next() => self.note(probed.ok(), gate),
                () = sleep(rest), if asked.len() < CONCURRENT => {}
                _ = look.tick() => {
                    self.health.show(&self.replica);
                    if !is_wanted(&self.replica) || self.replica.state().health_gate() != gate {
                        return false;
                    }
                    self.tell().await;
                }
            }
        }
    }

    /// Begins to ask a server, if it is still one that clients connect to.
    fn ask(&self, asked: &mut JoinSet<Probed>, server: ServerName, gate: &HealthGate) {
        let Some(endpoint) = self.replica.state().probed(&server) else { return };
        let (health, patience) = (self.health.clone(), Duration::from_millis(gate.health_timeout_ms.into()));
        asked.spawn(async move {
            let began = Instant::now();
            let seen = probe(&health.outbound, endpoint.as_written(), patience).await;
            Probed { server, endpoint, seen, took: began.elapsed() }
        });
    }

    /// One that ended without a word, which only happens to a process that ends, says nothing.
    fn note(&mut self, probed: Option<Probed>, gate: &HealthGate) {
        let Some(Probed { server, endpoint, seen, took }) = probed else { return };
        self.health.counters.seen(&seen, took);
        self.not_allowed += usize::from(seen == Seen::NotAllowed);
        let state = self.replica.state();
        let is_down = state.down(&server).is_some_and(|down| down.endpoint == endpoint);
        self.waiting.extend(self.streaks.see(&server, &endpoint, seen, is_down, gate));
        self.health.counters.blind(self.streaks.is_blind());
    }

    /// Says what has changed. What does not come through is said again after the next sight.
    async fn tell(&mut self) {
        while !self.waiting.is_empty() {
            let number = self.waiting.len().min(MOST_HEALTH_CHANGES);
            let changes: Vec<_> = self.waiting.drain(..number).collect();
            let command = Command::NoteHealth(changes);
            match self.replica.propose(Principal::System, command).await {
                Ok(committed) => tell_log(&committed.outcome),
                Err(error) => {
                    tracing::debug!(%error, "what was seen of servers' health is said later");
                    self.waiting.clear();
                }
            }
        }
    }
}

fn tell_log(outcome: &Outcome) {
    let Outcome::HealthNoted(noted) = outcome else {
        return tracing::warn!(?outcome, "what was seen of servers' health was not taken");
    };
    for (server, noted) in noted {
        tracing::info!(%server, health = noted.as_str(), "a server was asked");
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    let [a, b, ..] = clock::random_name();
    f64::from(u16::from_le_bytes([a, b])) / f64::from(u16::MAX)
}
