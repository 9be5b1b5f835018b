//! The holder's side of a lease.

use crate::lease::{
    clock::{Reading, Terms},
    rules::{Mutant, Rules},
};
use hapi_registry_state::Timestamp;
use std::time::Duration;

/// How far the wall clocks of leader and holder may be apart: what a descriptor says of time must be true for
/// its verifiers, whichever node issued it.
const MOST_SKEW: Duration = Duration::from_secs(2);

/// What the leader answers to a request for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Grant {
    /// The nonce of the request.
    pub(crate) nonce: u64,
    /// The threshold: the state that decides must be at or above it.
    pub(crate) rho: u64,
    /// The leader's wall clock.
    pub(crate) wall: Timestamp,
}

/// The right to issue for a while from a state that is recent enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    asked: Reading,
    rho: u64,
    duration: Duration,
}

impl Lease {
    /// Whether the lease may be used at `now`, by the holder's own clocks.
    pub(crate) fn is_valid(&self, now: &Reading) -> bool {
        now.longest_since(&self.asked).is_some_and(|elapsed| elapsed < self.duration)
            && !now.has_jumped_since(&self.asked)
    }

    /// Whether the wall clock has jumped at `now`, which ends the lease before its time.
    pub(crate) fn is_jumped(&self, now: &Reading) -> bool {
        now.has_jumped_since(&self.asked)
    }

    /// The state that decides must be at or above this index.
    pub(crate) fn threshold(&self) -> u64 {
        self.rho
    }

    /// For how long it has been held.
    pub(crate) fn age(&self, now: &Reading) -> Duration {
        now.longest_since(&self.asked).unwrap_or(self.duration)
    }

    /// The time of day at `now`: the wall clock when the lease was asked for, and what has passed since.
    pub(crate) fn wall(&self, now: &Reading) -> Timestamp {
        now.steady_wall(&self.asked)
    }
}

/// Why an answer gives no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declined {
    /// It answers no question that is open.
    Stray,
    /// The leader's wall clock is too far from this node's, which is ahead by so many microseconds.
    Skewed { ahead_us: i64 },
}

/// Asks for leases and takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    rules: Rules,
    open: Option<(u64, Reading)>,
    pending: Option<Lease>,
}

impl Holder {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Notes that the request with this fresh random `nonce` is sent after `now` was read. An earlier one is
    /// not waited for any more.
    pub(crate) fn ask(&mut self, nonce: u64, now: Reading) {
        self.open = Some((nonce, now));
    }

    /// Takes the leader's answer. The lease that comes of it is usable once [`Self::visible`] yields it.
    pub(crate) fn accept(&mut self, grant: &Grant, now: &Reading, terms: &Terms) -> Result<(), Declined> {
        let known = |nonce: u64| nonce == grant.nonce || !self.rules.hold(Mutant::NonceIgnored);
        let (_, asked) = self.open.filter(|(nonce, _)| known(*nonce)).ok_or(Declined::Stray)?;
        self.open = None;
        if let Some(ahead_us) = skew(&asked, now, grant.wall) {
            return Err(Declined::Skewed { ahead_us });
        }
        let asked = if self.rules.hold(Mutant::CountedFromAnswer) { asked } else { *now };
        self.pending = Some(Lease { asked, rho: grant.rho, duration: terms.duration });
        Ok(())
    }

    /// The threshold that the lease taken last still waits for.
    pub(crate) fn awaited(&self) -> Option<u64> {
        self.pending.map(|lease| lease.rho)
    }

    /// The lease taken last, once issuers see a state at or above its threshold.
    pub(crate) fn visible(&mut self, applied: u64) -> Option<Lease> {
        let reached = |lease: &mut Lease| applied >= lease.rho || !self.rules.hold(Mutant::UsedBeforeApplied);
        self.pending.take_if(reached)
    }

    /// Forgets what was asked for and what was granted but not used yet.
    pub(crate) fn forget(&mut self) {
        self.open = None;
        self.pending = None;
    }
}

/// By how much this node's wall clock is ahead of the leader's, if that is too much. The leader read its own
/// at some instant between the two readings.
fn skew(asked: &Reading, answered: &Reading, leader: Timestamp) -> Option<i64> {
    let most = i64::try_from(MOST_SKEW.as_micros()).unwrap_or(i64::MAX);
    let ahead = |wall: Timestamp| wall.0.cast_signed().saturating_sub(leader.0.cast_signed());
    let (earliest, latest) = (ahead(asked.wall), ahead(answered.wall));
    if earliest > most {
        Some(earliest)
    } else if latest < -most {
        Some(latest)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const TERMS: Terms = Terms { duration: Duration::from_millis(3_000), wait: Duration::from_millis(3_667) };

    fn at(ms: u64) -> Reading {
        let time = Duration::from_millis(ms);
        Reading { boot: time, raw: time, wall: Timestamp((1_000_000 + ms) * 1_000) }
    }

    fn grant(nonce: u64, rho: u64) -> Grant {
        Grant { nonce, rho, wall: Timestamp(1_000_000_000) }
    }

    #[test]
    fn a_lease_runs_from_the_question_and_not_from_the_answer() {
        let mut holder = Holder::default();
        holder.ask(7, at(0));
        holder.accept(&grant(7, 5), &at(1_000), &TERMS).unwrap();
        let lease = holder.visible(5).unwrap();
        assert!(lease.is_valid(&at(2_999)));
        assert!(!lease.is_valid(&at(3_000)));
    }

    #[test]
    fn a_lease_is_usable_once_the_state_has_reached_its_threshold() {
        let mut holder = Holder::default();
        holder.ask(7, at(0));
        holder.accept(&grant(7, 5), &at(1), &TERMS).unwrap();
        assert_eq!(holder.awaited(), Some(5));
        assert_eq!(holder.visible(4), None);
        assert!(holder.visible(5).is_some());
        assert_eq!(holder.visible(6), None, "it is handed out once");
    }

    #[test]
    fn an_answer_to_no_open_question_is_no_lease() {
        let mut holder = Holder::default();
        assert_eq!(holder.accept(&grant(7, 5), &at(1), &TERMS), Err(Declined::Stray));
        holder.ask(7, at(0));
        holder.ask(8, at(10));
        assert_eq!(holder.accept(&grant(7, 5), &at(20), &TERMS), Err(Declined::Stray));
        holder.accept(&grant(8, 5), &at(20), &TERMS).unwrap();
        assert_eq!(holder.accept(&grant(8, 5), &at(20), &TERMS), Err(Declined::Stray), "used up");
    }

    #[test]
    fn what_is_forgotten_comes_to_nothing() {
        let mut holder = Holder::default();
        holder.ask(7, at(0));
        holder.accept(&grant(7, 5), &at(1), &TERMS).unwrap();
        holder.ask(8, at(2));
        holder.forget();
        assert_eq!(holder.visible(9), None);
        assert_eq!(holder.accept(&grant(8, 5), &at(3), &TERMS), Err(Declined::Stray));
    }

    #[test]
    fn clocks_far_apart_give_no_lease_and_a_slow_answer_is_no_difference() {
        let wall =
            |leader_ms: u64| Grant { nonce: 7, rho: 1, wall: Timestamp((1_000_000 + leader_ms) * 1_000) };
        // asked at 10,000, answered at 12,500: the leader's clock when it answered, and the verdict
        let cases = [(8_000, true), (7_999, false), (14_500, true), (14_501, false), (11_000, true)];
        for (leader, fits) in cases {
            let mut holder = Holder::default();
            holder.ask(7, at(10_000));
            let taken = holder.accept(&wall(leader), &at(12_500), &TERMS);
            assert_eq!(taken.is_ok(), fits, "{leader}: {taken:?}");
        }
    }

    #[test]
    fn a_jump_of_the_wall_clock_ends_a_lease() {
        let mut holder = Holder::default();
        holder.ask(7, at(0));
        holder.accept(&grant(7, 5), &at(1), &TERMS).unwrap();
        let lease = holder.visible(5).unwrap();
        let mut later = at(1_000);
        later.wall.0 += 400_000;
        assert!(!lease.is_valid(&later));
        assert!(lease.is_valid(&at(1_000)));
    }
}
