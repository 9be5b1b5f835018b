//! Directed schedules: for each rule that random walks seldom need, a story in which it is needed.
//!
//! A, B and C are 0, 1 and 2. Every story begins with [`at_work`]; its clocks keep true time, D is 3,000 ms
//! and W is 3,667.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{clocks::Clocks, event::Event, log::Command, oracle::Late, world::World};
use crate::lease::rules::{Mutant, Rules};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// The last entry when a story begins: a blank one, the opening of A's session, and the record of its seal.
const START: u64 = 3;

/// More than W: what was granted before is over.
const LONG: Event = Event::Pass(3_900);

/// More than half of D: a lease that begins so late lasts longer than W after its grant.
const HALF: Event = Event::Pass(2_000);

type Story = Vec<Event>;

/// A leads, knows every lease that there is, and each node has one.
fn at_work() -> Story {
    vec![Event::Stand(A), Event::Calm, Event::Pass(4_500), Event::Calm]
}

fn there_and_back(from: usize, to: usize) -> [Event; 2] {
    [Event::Exchange(from, to), Event::Exchange(to, from)]
}

/// `node` asks A, which asks `voter`; the round is complete, the grant not yet given.
fn asked(node: usize, voter: usize) -> Story {
    let mut story = vec![Event::Ask(node, A), Event::Latest(node, A), Event::Round(A)];
    story.extend(there_and_back(A, voter));
    story
}

fn granted(node: usize) -> [Event; 3] {
    [Event::Grant(A), Event::Exchange(A, node), Event::Take(node)]
}

/// A commits a denial with the help of B and begins to seal it; B sees it and says so.
fn denied() -> Story {
    let mut story = vec![Event::Propose(A, Command::Deny)];
    story.extend(there_and_back(A, B));
    story.extend([Event::Apply(A), Event::Results(A)]);
    story.extend(confirmed(B));
    story.push(Event::Settle(A));
    story
}

fn confirmed(node: usize) -> [Event; 5] {
    let (hears, sees) = (Event::Exchange(A, node), Event::Apply(node));
    [Event::Replicate(A), hears, sees, Event::Confirm(node), Event::Exchange(node, A)]
}

/// A waits for whatever time covers.
fn waited_out() -> [Event; 2] {
    [Event::Expire(A), Event::Settle(A)]
}

fn issued(node: usize) -> [Event; 6] {
    [Event::Issue(node, 0); 6]
}

/// A is cut off and does not hear that B is elected. It grants itself a lease that B does not know of.
fn no_quorum_round() -> Story {
    let mut story = vec![Event::Isolate(A), Event::Stand(B), Event::Calm, LONG];
    story.extend([Event::Ask(A, A), Event::Exchange(A, A), Event::Round(A)]);
    story.extend(granted(A));
    story.extend([Event::Propose(B, Command::Deny), Event::Calm]);
    story.extend(issued(A));
    story
}

/// B sees a denial that is committed but not being sealed, says so, and restarts without it. A restarts too,
/// resumes its term with a read index from before the denial, and grants B a lease; then the old word of B
/// arrives.
fn session_survives_restart() -> Story {
    let mut story = vec![Event::Propose(A, Command::Deny)];
    story.extend(there_and_back(A, B));
    story.extend([Event::Replicate(A), Event::Exchange(A, B), Event::Apply(B), Event::Confirm(B)]);
    let restart = |node, resume| Event::Restart { node, applied: START, resume };
    story.extend([restart(B, false), restart(A, true), Event::Notice(A)]);
    story.extend(asked(B, C));
    story.extend(granted(B));
    story.extend([Event::Apply(A), Event::Repeat(A)]);
    story.extend(confirmed(C));
    story.extend([Event::Exchange(B, A), Event::Settle(A)]);
    story.extend(issued(B));
    story
}

/// An answer is held up for most of the lease, and the lease is counted from when it comes.
fn counted_from_answer() -> Story {
    let mut story = asked(C, B);
    story.extend([Event::Grant(A), HALF, Event::Exchange(A, C), Event::Take(C), Event::Isolate(C)]);
    story.extend(denied());
    story.extend(waited_out());
    story.extend(issued(C));
    story
}

/// The same, but the lease is counted from a later question, which never arrived.
fn nonce_ignored() -> Story {
    let mut story = asked(C, B);
    story.extend([Event::Grant(A), HALF, Event::Cut(C, A), Event::Ask(C, A)]);
    story.extend([Event::Exchange(A, C), Event::Take(C), Event::Isolate(C)]);
    story.extend(denied());
    story.extend(waited_out());
    story.extend(issued(C));
    story
}

/// C has no lease, asks for one, and its round is complete before a denial is committed and sealed; the grant
/// is given after that.
fn no_floor() -> Story {
    let mut story = vec![Event::Isolate(C), LONG, Event::Heal];
    story.extend(asked(C, B));
    story.extend(denied());
    story.extend(granted(C));
    story.extend(issued(C));
    story
}

/// A denial is sealed. B and A restart without it, and A resumes its term with a read index from before it.
fn no_session_open() -> Story {
    let mut story = vec![Event::Propose(A, Command::Deny), Event::Calm];
    // Without an opening entry there is one entry less.
    let restart = |node, resume| Event::Restart { node, applied: START - 1, resume };
    story.extend([restart(B, false), restart(A, true), Event::Notice(A)]);
    story.extend(asked(B, C));
    story.extend(granted(B));
    story.extend(issued(B));
    story
}

/// A does not notice that B led for a while and gave C a lease. Elected once more, it seals a denial by what
/// it knows from before.
fn foreign_seal() -> Story {
    let mut story = vec![Event::Isolate(A), Event::Stand(B), Event::Calm, LONG, Event::Calm, Event::Heal];
    story.extend([Event::Replicate(B), Event::Exchange(B, A), Event::Stand(A)]);
    story.extend(there_and_back(A, B));
    story.extend(denied());
    story.extend(issued(C));
    story
}

/// A asks B before B stands for election, and itself for a lease long after B was elected. The old answer of
/// B arrives.
fn round_before_request() -> Story {
    let mut story = vec![Event::Round(A), Event::Exchange(A, B), Event::Stand(B)];
    story.extend(there_and_back(B, C));
    story.extend([Event::Notice(B), HALF, Event::Ask(A, A), Event::Exchange(A, A), Event::Exchange(B, A)]);
    story.extend(granted(A));
    story.extend([Event::Isolate(A), Event::Calm, Event::Propose(B, Command::Deny), Event::Calm]);
    story.extend([Event::Expire(B), Event::Calm]);
    story.extend(issued(A));
    story
}

/// B and C know that a denial is committed; their issuers do not see it yet.
fn confirmed_before_visible() -> Story {
    let mut story = vec![Event::Propose(A, Command::Deny)];
    story.extend(there_and_back(A, B));
    story.extend(there_and_back(A, C));
    story.extend([Event::Apply(A), Event::Results(A), Event::Replicate(A)]);
    for node in [B, C] {
        story.extend([Event::Exchange(A, node), Event::Confirm(node), Event::Exchange(node, A)]);
    }
    story.push(Event::Settle(A));
    story.extend(issued(B));
    story
}

/// C confirms a denial and restarts without it.
fn lease_survives_restart() -> Story {
    let restart = Event::Restart { node: C, applied: START, resume: false };
    let mut story = vec![Event::Propose(A, Command::Deny), Event::Calm, restart];
    story.extend(issued(C));
    story
}

/// C is cut off with a lease, drained and taken off the roster. The next leader does not ask about it.
fn leaves_unsealed() -> Story {
    let mut story = vec![Event::Isolate(C)];
    for command in [Command::Drain { node: C }, Command::Leave { node: C }] {
        story.push(Event::Propose(A, command));
        story.extend(there_and_back(A, B));
    }
    story.push(Event::Stand(B));
    story.extend(there_and_back(B, A));
    story.push(Event::Calm);
    story.extend(issued(C));
    story
}

/// The rules that random walks seldom need.
pub(super) const STORIES: [(Mutant, fn() -> Story); 11] = [
    (Mutant::NoQuorumRound, no_quorum_round),
    (Mutant::SessionSurvivesRestart, session_survives_restart),
    (Mutant::CountedFromAnswer, counted_from_answer),
    (Mutant::NoFloor, no_floor),
    (Mutant::NonceIgnored, nonce_ignored),
    (Mutant::NoSessionOpen, no_session_open),
    (Mutant::ForeignSeal, foreign_seal),
    (Mutant::RoundBeforeRequest, round_before_request),
    (Mutant::ConfirmedBeforeVisible, confirmed_before_visible),
    (Mutant::LeaseSurvivesRestart, lease_survives_restart),
    (Mutant::LeavesUnsealed, leaves_unsealed),
];

/// Plays the story and yields the late descriptor, if there is one, with the transcript.
fn play(rules: Rules, story: fn() -> Story) -> (Option<Late>, String) {
    let mut world = World::new(rules, &[Clocks::default(); 3]);
    world.oracle.record.transcript = Some(Vec::new());
    for event in at_work().into_iter().chain(story()) {
        world.step(event);
    }
    (world.oracle.late(), world.oracle.record.transcript.unwrap().join("\n"))
}

#[test]
fn each_story_needs_its_rule() {
    for (mutant, story) in STORIES {
        let (late, transcript) = play(Rules::without(mutant), story);
        assert!(late.is_some(), "{mutant:?} does no harm\n{transcript}");
    }
}

#[test]
fn no_story_has_a_late_descriptor_while_all_rules_hold() {
    for (mutant, story) in STORIES {
        let (late, transcript) = play(Rules::default(), story);
        assert_eq!(late, None, "{mutant:?}\n{transcript}");
    }
}
