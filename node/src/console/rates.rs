//! How many connects this node has answered lately, for the charts of the console.

use crate::metrics::Metrics;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long one point of a chart stands for.
pub(super) const STEP: Duration = Duration::from_secs(5);

/// Points of a chart: ten minutes.
pub(super) const POINTS: usize = 120;

/// Connects a second, over one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) issued: f64,
    pub(super) refused: f64,
}

/// The last minutes of this process, the oldest first.
#[derive(Default)]
pub(crate) struct Rates(Mutex<VecDeque<Rate>>);

impl Rates {
    /// Looks at the counters, for as long as the node runs.
    pub(crate) async fn keep(self: Arc<Self>, metrics: Arc<Metrics>) {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut at) = (metrics.decided(), Instant::now());
        loop {
            ticks.tick().await;
            let (now, counted) = (Instant::now(), metrics.decided());
            let seconds = now.duration_since(at).as_secs_f64();
            if seconds > 0.5 {
                self.push(Rate::between(last, counted, seconds));
                (last, at) = (counted, now);
            }
        }
    }

    fn push(&self, rate: Rate) {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() == POINTS {
            rates.pop_front();
        }
        rates.push_back(rate);
    }

    pub(super) fn read(&self) -> Vec<Rate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

impl Rate {
    fn between(before: (u64, u64), after: (u64, u64), seconds: f64) -> Self {
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        Self { issued: rate(before.0, after.0), refused: rate(before.1, after.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minutes_are_kept_and_none_before() {
        let rates = Rates::default();
        for step in 0..POINTS as u64 + 3 {
            rates.push(Rate::between((0, 0), (step * 5, 10), 5.0));
        }
        let kept = rates.read();
        assert_eq!((kept.len(), kept[0].issued, kept[0].refused), (POINTS, 3.0, 2.0));
    }
}
