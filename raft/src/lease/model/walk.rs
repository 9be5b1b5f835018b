//! Random walks: a seed gives the clocks, the inclination and the schedule.
//!
//! A uniform choice of events would rarely get anywhere. So a walk begins with a cluster at work and mixes
//! the steps of several [`play`](super::play)s, the latest of which goes fastest, while others stand still
//! for long; clocks are mostly at the ends of what is allowed, time passes mostly by about the length of a
//! lease, and each walk has its own inclination: some plays are frequent, some never begin.

use super::{
    clocks::Clocks,
    dice::Dice,
    event::Event,
    oracle::{Figures, Late},
    play::PLAYS,
    world::World,
};
use crate::lease::rules::Rules;

const NODES: usize = 3;

/// How many plays may be under way.
const MOST_PLAYS: usize = 5;

/// What came of a walk.
pub(super) struct Walked {
    pub(super) late: Option<Late>,
    pub(super) figures: Figures,
    transcript: Option<Vec<String>>,
}

impl Walked {
    pub(super) fn transcript(self) -> String {
        self.transcript.unwrap_or_default().join("\n")
    }
}

/// Walks from `seed` until a descriptor is late, or to the end.
pub(super) fn walk(rules: Rules, seed: u64) -> Walked {
    go(rules, seed, None)
}

/// The same walk again, written down.
pub(super) fn replay(rules: Rules, seed: u64) -> Walked {
    go(rules, seed, Some(Vec::new()))
}

fn go(rules: Rules, seed: u64, transcript: Option<Vec<String>>) -> Walked {
    let mut dice = Dice::new(seed);
    let clocks: [Clocks; NODES] = std::array::from_fn(|_| clocks(&mut dice));
    let mut world = World::new(rules, &clocks);
    world.oracle.record.transcript = transcript;
    world.oracle.record.note(|| format!("{clocks:?}"));
    begin(&mut world, &mut dice);
    let mut mix = Mix { inclination: inclination(&mut dice), plays: Vec::new() };
    for _ in 0..dice.between(60, 240) {
        mix.act(&mut world, &mut dice);
        if world.oracle.late().is_some() {
            break;
        }
    }
    let record = std::mem::take(&mut world.oracle.record);
    Walked { late: world.oracle.late(), figures: record.figures, transcript: record.transcript }
}

/// As fast or as slow as is allowed, mostly.
fn clocks(dice: &mut Dice) -> Clocks {
    let (boot, raw) = match dice.below(5) {
        0 | 1 => (900, 900),
        2 | 3 => (1_100, 1_100),
        _ => (dice.between(900, 1_100), dice.between(900, 1_100)),
    };
    let origin = |dice: &mut Dice| dice.below(1 << 40);
    let (boot, raw) = ((boot, origin(dice)), (raw, origin(dice)));
    Clocks { boot, raw, ahead_us: dice.below(1_800_000).cast_signed() - 900_000 }
}

/// A cluster at work: one leads, all hold leases. Mostly the leader has led for so long that it knows all.
fn begin(world: &mut World, dice: &mut Dice) {
    world.step(Event::Stand(dice.index(NODES)));
    world.step(Event::Calm);
    if dice.percent(60) {
        world.step(Event::Pass(dice.between(3_300, 4_500)));
        world.step(Event::Calm);
    }
}

/// For each play the sum of the likelihoods up to it.
type Inclination = [u64; PLAYS.len()];

/// Each play is left out, as likely as usual, or three times as likely.
fn inclination(dice: &mut Dice) -> Inclination {
    let mut sum = 0;
    PLAYS.map(|(_, weight)| {
        sum += weight * [0, 1, 1, 1, 3][dice.index(5)];
        sum
    })
}

/// The plays that are under way; of each, what is still to come, the next step last.
struct Mix {
    inclination: Inclination,
    plays: Vec<Vec<Event>>,
}

impl Mix {
    fn act(&mut self, world: &mut World, dice: &mut Dice) {
        if self.plays.len() < MOST_PLAYS && (self.plays.is_empty() || dice.percent(30)) {
            self.begin(world, dice);
        }
        match dice.below(100) {
            0..90 => self.go_on(world, dice),
            90..96 => stray(world, dice, Event::Deliver),
            96..98 => stray(world, dice, Event::Duplicate),
            98 => stray(world, dice, Event::Lose),
            _ => world.step(Event::Tend(dice.index(NODES))),
        }
    }

    fn begin(&mut self, world: &World, dice: &mut Dice) {
        let rolled = dice.below(self.inclination[PLAYS.len() - 1].max(1));
        let place = self.inclination.partition_point(|sum| *sum <= rolled).min(PLAYS.len() - 1);
        let mut play = Vec::with_capacity(16);
        PLAYS[place].0(world, dice, &mut play);
        play.reverse();
        self.plays.push(play);
    }

    /// The later of two plays goes on by a step, which is left out at times.
    fn go_on(&mut self, world: &mut World, dice: &mut Dice) {
        let count = self.plays.len();
        if count == 0 {
            return;
        }
        let place = dice.index(count).max(dice.index(count));
        let next = self.plays[place].pop();
        if self.plays[place].is_empty() {
            self.plays.remove(place);
        }
        if let Some(event) = next.filter(|_| !dice.percent(4)) {
            world.step(event);
        }
    }
}

/// Something happens to some message.
fn stray(world: &mut World, dice: &mut Dice, event: fn(usize) -> Event) {
    let count = world.network.in_flight().len();
    if count > 0 {
        world.step(event(dice.index(count)));
    }
}
