//! A round: every server is asked once, each at its own time of the interval.

use hapi_registry_state::ServerName;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// How much of the interval is left to chance. The rest is each server's own place in it, so that two questions to one
/// server are about an interval apart.
const JITTER: f64 = 0.1;

/// The servers of a round, and when each is due. It takes a few dozen bytes for each of them.
#[derive(Debug)]
pub(super) struct Round {
    /// The last to be asked first.
    due: Vec<(Duration, ServerName)>,
}

impl Round {
    /// Spreads servers over the interval, by a seed that is the same in all rounds, and chance from 0 to 1.
    pub(super) fn plan<'a>(
        names: impl Iterator<Item = &'a ServerName>,
        interval: Duration,
        seed: u64,
        mut chance: impl FnMut() -> f64,
    ) -> Self {
        let mut at = |name: &ServerName| {
            let place = place(name, seed) * (1.0 - JITTER) + chance() * JITTER;
            interval.mul_f64(place.clamp(0.0, 1.0))
        };
        let mut due: Vec<_> = names.map(|name| (at(name), name.clone())).collect();
        due.sort_unstable_by(|a, b| b.cmp(a));
        Self { due }
    }

    /// The next server, if it is due so long after the beginning.
    pub(super) fn next(&mut self, elapsed: Duration) -> Option<ServerName> {
        self.due.pop_if(|(at, _)| *at <= elapsed).map(|(_, name)| name)
    }

    /// How long until the next one is due; none if all were asked.
    pub(super) fn rest(&self, elapsed: Duration) -> Option<Duration> {
        self.due.last().map(|(at, _)| at.saturating_sub(elapsed))
    }
}

/// A server's place in the interval, from 0 to 1. Names that follow each other are often of one host: they are apart here.
fn place(name: &ServerName, seed: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, name.as_str()).hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    const INTERVAL: Duration = Duration::from_secs(60);

    fn names(number: usize) -> Vec<ServerName> {
        (0..number).map(|number| format!("ai.acme/s{number}").parse().unwrap()).collect()
    }

    /// When each is asked, by one who looks every tenth of a second.
    fn played(names: &[ServerName], chance: f64) -> BTreeMap<ServerName, Duration> {
        let mut round = Round::plan(names.iter(), INTERVAL, 7, || chance);
        let ticks = (0..=600).map(|tick| Duration::from_millis(100 * tick));
        let mut asked = BTreeMap::new();
        for now in ticks {
            while let Some(name) = round.next(now) {
                assert_eq!(asked.insert(name, now), None, "each is asked once");
            }
        }
        assert_eq!(round.rest(INTERVAL), None);
        asked
    }

    #[test]
    fn every_server_is_asked_once_and_never_many_at_a_time() {
        let names = names(6_000);
        let asked = played(&names, 0.5);
        assert_eq!(asked.keys().cloned().collect::<BTreeSet<_>>(), names.into_iter().collect());
        let mut seconds = BTreeMap::<u64, usize>::new();
        asked.values().for_each(|at| *seconds.entry(at.as_secs()).or_default() += 1);
        let most = seconds.values().max().unwrap();
        assert!(*most < 250, "{most} of 6000 in one second of {}", INTERVAL.as_secs());
    }

    #[test]
    fn a_server_keeps_its_place_but_for_the_jitter() {
        let names = names(100);
        let (early, late) = (played(&names, 0.0), played(&names, 1.0));
        for (name, at) in early {
            let apart = late[&name] - at;
            let expected = INTERVAL.mul_f64(JITTER);
            assert!(apart.abs_diff(expected) <= Duration::from_millis(100), "{name}: {apart:?}");
        }
    }

    #[test]
    fn one_knows_how_long_to_wait() {
        let names = names(1);
        let mut round = Round::plan(names.iter(), INTERVAL, 7, || 0.0);
        let rest = round.rest(Duration::ZERO).unwrap();
        assert!(round.next(rest.saturating_sub(Duration::from_nanos(1))).is_none());
        assert_eq!(round.rest(rest), Some(Duration::ZERO));
        assert_eq!(round.next(rest), names.first().cloned());
        assert_eq!((round.next(INTERVAL), round.rest(INTERVAL)), (None, None));
    }
}
