//! How often in a row servers were seen otherwise than is known of them. One failure is no outage, and one answer no recovery.

use super::probe::Seen;
use hapi_registry_state::{Endpoint, HealthChange, HealthFault, HealthGate, ServerName};
use std::collections::BTreeMap;

/// From how many servers on their common silence is rather this node's own.
const BLIND_FROM: u32 = 5;

/// What this leader remembers of servers: only of those that were just seen otherwise than is known of them.
#[derive(Debug, Default)]
pub(super) struct Streaks {
    running: BTreeMap<ServerName, Streak>,
    /// Of the round before, and of this one.
    sights: [Sight; 2],
}

#[derive(Debug)]
struct Streak {
    endpoint: Endpoint,
    /// Whether it was down when the streak began.
    was_down: bool,
    length: u32,
}

/// How many servers of a round answered, and how many did not.
#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    alive: u32,
    dead: u32,
}

impl Streaks {
    /// Another round begins.
    pub(super) fn turn(&mut self) {
        let [_, now] = self.sights;
        self.sights = [now, Sight::default()];
    }

    /// Whether nobody at all is seen: then it is likelier that this node is cut off than that all the others are down.
    pub(super) fn is_blind(&self) -> bool {
        let [before, now] = self.sights;
        before.alive + now.alive == 0 && before.dead.max(now.dead) >= BLIND_FROM
    }

    /// Takes in what was seen of a server, of which `is_down` is known; what is to be said of it now, if anything. It is said
    /// again with each further sight, until it is known.
    pub(super) fn see(
        &mut self,
        server: &ServerName,
        endpoint: &Endpoint,
        seen: Seen,
        is_down: bool,
        gate: &HealthGate,
    ) -> Option<HealthChange> {
        let fault = match seen {
            Seen::NotAllowed => return None,
            Seen::Alive => None,
            Seen::Dead(fault) => Some(fault),
        };
        self.count(fault.is_some());
        if fault.is_some() == is_down {
            // As is known.
            self.running.remove(server);
            return None;
        }
        let length = self.prolong(server, endpoint, is_down);
        let needed = if is_down { gate.health_successes } else { gate.health_failures };
        if length < needed || (!is_down && self.is_blind()) {
            return None;
        }
        Some(change(server, endpoint, fault))
    }

    fn count(&mut self, is_dead: bool) {
        let [_, now] = &mut self.sights;
        let number = if is_dead { &mut now.dead } else { &mut now.alive };
        *number = number.saturating_add(1);
    }

    fn prolong(&mut self, server: &ServerName, endpoint: &Endpoint, is_down: bool) -> u32 {
        let streak = self.running.entry(server.clone()).or_insert_with(|| Streak {
            endpoint: endpoint.clone(),
            was_down: is_down,
            length: 0,
        });
        if streak.endpoint != *endpoint || streak.was_down != is_down {
            *streak = Streak { endpoint: endpoint.clone(), was_down: is_down, length: 0 };
        }
        streak.length = streak.length.saturating_add(1);
        streak.length
    }

    /// Forgets those that are asked no more.
    pub(super) fn keep(&mut self, is_asked: impl Fn(&ServerName) -> bool) {
        self.running.retain(|server, _| is_asked(server));
    }
}

fn change(server: &ServerName, endpoint: &Endpoint, fault: Option<HealthFault>) -> HealthChange {
    HealthChange { server: server.clone(), endpoint: endpoint.clone(), fault }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    const DEAD: Seen = Seen::Dead(HealthFault::Timeout);

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    fn gate(health_failures: u32, health_successes: u32) -> HealthGate {
        HealthGate { health_failures, health_successes, ..HealthGate::default() }
    }

    /// A server, what is known of it, and what is seen.
    struct Play {
        streaks: Streaks,
        gate: HealthGate,
        is_down: bool,
    }

    impl Play {
        fn new(failures: u32, successes: u32) -> Self {
            Self { streaks: Streaks::default(), gate: gate(failures, successes), is_down: false }
        }

        /// Whether it is down afterwards.
        fn see(&mut self, seen: Seen) -> bool {
            let (server, endpoint) = ("ai.acme/a".parse().unwrap(), endpoint("https://a.example/mcp"));
            let change = self.streaks.see(&server, &endpoint, seen, self.is_down, &self.gate);
            if let Some(change) = change {
                self.is_down = change.fault.is_some();
            }
            self.is_down
        }
    }

    #[test]
    fn it_takes_so_many_in_a_row_and_one_of_the_other_kind_begins_anew() {
        let mut play = Play::new(3, 2);
        let seen = [
            DEAD,
            DEAD,
            Seen::Alive,
            DEAD,
            DEAD,
            Seen::NotAllowed,
            DEAD,
            Seen::Alive,
            DEAD,
            Seen::Alive,
            Seen::Alive,
            Seen::Alive,
        ];
        let down: Vec<_> = seen.into_iter().map(|seen| play.see(seen)).collect();
        let expected = [false, false, false, false, false, false, true, true, true, true, false, false];
        assert_eq!(down, expected);
        assert!(play.streaks.running.is_empty(), "nothing is remembered of what is as it is known");
    }

    #[test]
    fn it_is_said_until_it_is_known() {
        let (server, endpoint, gate) =
            ("ai.acme/a".parse().unwrap(), endpoint("https://a.example/mcp"), gate(2, 1));
        let mut streaks = Streaks::default();
        let said: Vec<_> =
            (0..4).map(|_| streaks.see(&server, &endpoint, DEAD, false, &gate).is_some()).collect();
        assert_eq!(said, [false, true, true, true]);
        assert_eq!(streaks.see(&server, &endpoint, DEAD, true, &gate), None);
    }

    #[test]
    fn another_endpoint_has_its_own_streak() {
        let (server, gate) = ("ai.acme/a".parse().unwrap(), gate(2, 1));
        let (one, two) = (endpoint("https://a.example/mcp"), endpoint("https://b.example/mcp"));
        let mut streaks = Streaks::default();
        let said = [&one, &two, &one, &one]
            .map(|endpoint| streaks.see(&server, endpoint, DEAD, false, &gate).is_some());
        assert_eq!(said, [false, false, false, true]);
    }

    #[test]
    fn who_sees_nobody_calls_nobody_down() {
        let (endpoint, gate) = (endpoint("https://a.example/mcp"), gate(2, 1));
        let mut streaks = Streaks::default();
        let round = |streaks: &mut Streaks, alive: bool| {
            let server = |number: u32| -> ServerName { format!("ai.acme/s{number}").parse().unwrap() };
            let said = (0..BLIND_FROM)
                .filter(|number| streaks.see(&server(*number), &endpoint, DEAD, false, &gate).is_some())
                .count();
            if alive {
                streaks.see(&"ai.acme/x".parse().unwrap(), &endpoint, Seen::Alive, false, &gate);
            }
            streaks.turn();
            said
        };
        assert_eq!([false, false, false].map(|alive| round(&mut streaks, alive)), [0, 0, 0]);
        assert!(streaks.is_blind());
        // One that answers is enough to believe the silence of the others.
        assert_eq!([true, false].map(|alive| round(&mut streaks, alive)), [0, 5]);
    }

    /// What holds for any sequence of sights: it goes down after so many failures in a row, and up after so many answers.
    #[test]
    fn any_sequence_is_judged_by_its_last_few() {
        let seed: u64 = 7;
        let mut random = StdRng::seed_from_u64(seed);
        for trial in 0..200 {
            let (failures, successes) = (random.random_range(1..=4), random.random_range(1..=4));
            let mut play = Play::new(failures, successes);
            let (mut row, mut last, mut expected) = (0_u32, None, false);
            for _ in 0..100 {
                let is_dead = random.random_bool(0.5);
                row = if last == Some(is_dead) { row + 1 } else { 1 };
                last = Some(is_dead);
                match (expected, is_dead) {
                    (false, true) if row >= failures => expected = true,
                    (true, false) if row >= successes => expected = false,
                    _ => {}
                }
                // Others answer, so that this node is not blind.
                play.streaks.count(false);
                let seen = if is_dead { DEAD } else { Seen::Alive };
                assert_eq!(play.see(seen), expected, "trial {trial} of seed {seed}");
            }
        }
    }
}
