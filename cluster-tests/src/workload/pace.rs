//! An open loop: requests leave at instants that were fixed beforehand, whatever becomes of those before them.

use super::{Aim, Request, ask};
use crate::boot_ns;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// How requests come: independently of each other, so many per second on average. The same seed yields the same
/// instants, whoever is asked.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Over all lanes.
    pub per_second: f64,
    /// How many connections.
    pub lanes: usize,
    /// For how long.
    pub duration: Duration,
    /// What chance starts from.
    pub seed: u64,
}

/// A request, and when it was due, `CLOCK_BOOTTIME` in nanoseconds. It leaves later if the one before it on the same
/// lane was still under way.
#[derive(Clone, Debug)]
pub struct Paced {
    /// When it was to be sent.
    pub due: u64,
    /// What came of it.
    pub request: Request,
}

impl Pace {
    /// Asks the nodes at `addresses`, given with their places and what to ask for, and yields all answers. Lanes go to them in turn.
    ///
    /// # Panics
    /// When a lane does.
    pub fn run(&self, addresses: &[(usize, Arc<str>, Aim)]) -> Vec<Paced> {
        let began = boot_ns();
        let lanes: Vec<_> = (0..self.lanes)
            .map(|lane| self.lane(began, lane, addresses[lane % addresses.len()].clone()))
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("no lane panics")).collect()
    }

    /// A thread of its own, which sleeps to the microsecond: the timer of a runtime ticks once in a millisecond, and
    /// would gather what is to come one by one.
    fn lane(
        &self,
        began: u64,
        lane: usize,
        (place, address, aim): (usize, Arc<str>, Aim),
    ) -> JoinHandle<Vec<Paced>> {
        let dues = self.dues(lane);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let runtime = runtime.expect("a runtime can be made");
            let mut open = None;
            let paced = dues.into_iter().map(|due| {
                let due = began + due;
                thread::sleep(Duration::from_nanos(due.saturating_sub(boot_ns())));
                let request = runtime.block_on(ask(&mut open, place, &address, aim.clone()));
                Paced { due, request }
            });
            paced.collect()
        })
    }

    /// When the requests of a lane are due, in nanoseconds from the beginning: with gaps as between events that know
    /// nothing of each other.
    fn dues(&self, lane: usize) -> Vec<u64> {
        let mut chance = StdRng::seed_from_u64(self.seed.wrapping_add(lane as u64));
        let mean = self.lanes as f64 / self.per_second;
        let mut due = 0.0;
        let dues = std::iter::from_fn(|| {
            due -= mean * (1.0 - chance.random::<f64>()).ln();
            (due < self.duration.as_secs_f64()).then_some((due * 1e9) as u64)
        });
        dues.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate_and_in_order() {
        let pace = Pace { per_second: 2_000.0, lanes: 4, duration: Duration::from_secs(10), seed: 7 };
        let dues: Vec<_> = (0..4).map(|lane| pace.dues(lane)).collect();
        let count: usize = dues.iter().map(Vec::len).sum();
        assert!((19_000..21_000).contains(&count), "{count} requests");
        assert!(dues.iter().all(|dues| dues.is_sorted()));
        assert_eq!(dues[0], pace.dues(0), "the same seed, the same instants");
        assert_ne!(dues[0], dues[1], "each lane has instants of its own");
    }
}
