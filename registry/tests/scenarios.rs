//! The rules of the state machine as pages to read: a script and what comes of it, by topic.
//!
//! Every page begins where `world.txt` ends, unless it says `from nothing`. `UPDATE=1` writes what comes of
//! each script into its page, to be read as a diff.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "scenarios/commands.rs"]
mod commands;
#[path = "scenarios/line.rs"]
mod line;
#[path = "scenarios/page.rs"]
mod page;
#[path = "scenarios/questions.rs"]
mod questions;
#[path = "scenarios/stage.rs"]
mod stage;
#[path = "scenarios/transcript.rs"]
mod transcript;
mod world;

use stage::Stage;

/// The page that sets the scene for all others.
const WORLD: &str = "world.txt";

#[test]
fn every_page_reads_as_it_happens() {
    let set = page::script_of(WORLD).into_iter().fold(Stage::default(), |mut stage, line| {
        stage.perform(&line);
        stage
    });
    let differences: Vec<String> = page::all().iter().filter_map(|name| play(name, set.clone())).collect();
    assert!(differences.is_empty(), "{}", differences.concat());
}

fn play(name: &str, set: Stage) -> Option<String> {
    let own = name == WORLD || page::script_of(name).first().is_some_and(|line| line == "from nothing");
    let mut stage = if own { Stage::default() } else { set };
    page::check(name, |line| stage.perform(line))
}
