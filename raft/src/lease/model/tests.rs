//! Full rules give no late descriptor; each rule left out gives one.

#![allow(
    clippy::print_stdout,
    clippy::panic,
    reason = "long runs show their figures, failing ones their seed"
)]

use super::{
    oracle::Figures,
    schedules::STORIES,
    walk::{replay, walk},
};
use crate::lease::rules::{Mutant, Rules};
use std::{env, time::Instant};

/// Walks of the full rules in every run of the tests, by two tests that run side by side.
const WALKS: u64 = 20_000;

/// In so many walks every rule without a story of its own must have shown that it is needed. The rarest of
/// them shows in one of some hundred.
const WALKS_PER_MUTANT: u64 = 10_000;

/// How many late descriptors are enough to say how frequent they are.
const ENOUGH: usize = 20;

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Walks from `walks` seeds under the full rules, and sums up.
fn all_rules(first: u64, walks: u64) -> Figures {
    let mut figures = Figures::default();
    for seed in first..first + walks {
        let walked = walk(Rules::default(), seed);
        if walked.late.is_some() {
            panic!("a late descriptor, seed {seed}\n{}", replay(Rules::default(), seed).transcript());
        }
        figures.add(&walked.figures);
    }
    figures
}

/// The first seeds whose walks without the rule have a late descriptor, and how many walks that took.
fn late(mutant: Mutant, first: u64, walks: u64, enough: usize) -> (Vec<u64>, u64) {
    let is_late = |seed: &u64| walk(Rules::without(mutant), *seed).late.is_some();
    let seeds: Vec<u64> = (first..first + walks).filter(is_late).take(enough).collect();
    let walked = seeds.get(enough - 1).map_or(walks, |last| last - first + 1);
    (seeds, walked)
}

#[test]
fn no_descriptor_is_late_while_all_rules_hold() {
    let figures = all_rules(0, WALKS / 2);
    assert!(figures.is_lively(), "{figures:?}");
}

#[test]
fn no_descriptor_is_late_on_other_walks_either() {
    let figures = all_rules(WALKS / 2, WALKS / 2);
    assert!(figures.is_lively(), "{figures:?}");
}

#[test]
fn each_rule_is_needed() {
    let told = |mutant: &Mutant| STORIES.iter().any(|(other, _)| other == mutant);
    for mutant in Mutant::ALL.into_iter().filter(|mutant| !told(mutant)) {
        let (seeds, _) = late(mutant, 0, WALKS_PER_MUTANT, 1);
        assert_eq!(seeds.len(), 1, "{mutant:?} does no harm in {WALKS_PER_MUTANT} walks");
    }
}

#[test]
fn a_seed_replays_its_walk_and_tells_it() {
    let rules = Rules::without(Mutant::AcknowledgedAtCommit);
    let (seeds, _) = late(Mutant::AcknowledgedAtCommit, 0, WALKS_PER_MUTANT, 1);
    let (walked, again) = (walk(rules, seeds[0]), replay(rules, seeds[0]));
    assert_eq!((walked.late, walked.figures), (again.late, again.figures));
    assert!(again.transcript().ends_with("had been acknowledged"));
}

#[test]
#[ignore = "long: a million walks"]
fn no_descriptor_is_late_in_a_long_run() {
    let (walks, seed) = (setting("HAPI_MODEL_WALKS", 1_000_000), setting("HAPI_MODEL_SEED", 1_000_000));
    let began = Instant::now();
    let figures = all_rules(seed, walks);
    let seconds = began.elapsed().as_secs_f64();
    println!("{walks} walks from seed {seed} in {seconds:.1} s: {:.0} a second", walks as f64 / seconds);
    println!("no late descriptor; {figures:#?}");
    assert!(figures.is_lively());
}

#[test]
#[ignore = "long: up to a million walks for each rule"]
fn how_often_walks_need_each_rule() {
    let (walks, seed) = (setting("HAPI_MODEL_WALKS", 1_000_000), setting("HAPI_MODEL_SEED", 0));
    for mutant in Mutant::ALL {
        let (seeds, walked) = late(mutant, seed, walks, ENOUGH);
        let count = seeds.len();
        let rate = walked.checked_div(count as u64).map_or("none".into(), |rate| format!("one in {rate}"));
        println!("{mutant:?}: {rate}, {count} in {walked} walks, first seed {:?}", seeds.first());
    }
}
