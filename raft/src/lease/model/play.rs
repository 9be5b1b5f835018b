//! Plays: short sequences of events that get somewhere. A walk has several under way and mixes their steps.

use super::{dice::Dice, event::Event, log::Command, node::SLOTS, world::World};

/// What a walk may begin, with how likely that is in a walk without inclination.
pub(super) const PLAYS: [(Play, u64); 16] = [
    (lease, 20),
    (write, 14),
    (spread, 14),
    (issue, 30),
    (seal, 12),
    (repeat, 6),
    (elect, 4),
    (nap, 4),
    (outage, 6),
    (heal, 3),
    (restart, 3),
    (resume, 3),
    (wait, 8),
    (drain, 2),
    (set_wall, 1),
    (calm, 2),
];

/// Appends the events of a play to a list.
pub(super) type Play = fn(&World, &mut Dice, &mut Vec<Event>);

/// One of those who believe to lead, if there are any.
fn leader(world: &World, dice: &mut Dice) -> usize {
    let count = world.nodes.len();
    let first = dice.index(count);
    let mut nodes = (first..first + count).map(|node| node % count);
    nodes.find(|node| world.nodes[*node].replica.leads().is_some()).unwrap_or(first)
}

fn any(world: &World, dice: &mut Dice) -> usize {
    dice.index(world.nodes.len())
}

fn other(world: &World, dice: &mut Dice, node: usize) -> usize {
    let count = world.nodes.len();
    (node + 1 + dice.index(count - 1)) % count
}

/// There and back.
fn round_trip(from: usize, to: usize) -> [Event; 2] {
    [Event::Exchange(from, to), Event::Exchange(to, from)]
}

fn lease(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let node = any(world, dice);
    let leader = world.nodes[node].replica.leader().unwrap_or_else(|| leader(world, dice));
    let voter = other(world, dice, leader);
    events.extend([Event::Ask(node, leader), Event::Exchange(node, leader), Event::Round(leader)]);
    events.extend(round_trip(leader, voter));
    events.extend([Event::Grant(leader), Event::Exchange(leader, node), Event::Take(node)]);
}

fn write(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let leader = leader(world, dice);
    commit(leader, other(world, dice, leader), Command::Deny, events);
}

/// A leader writes with the help of one voter, and begins to seal what it wrote.
fn commit(leader: usize, voter: usize, command: Command, events: &mut Vec<Event>) {
    events.push(Event::Propose(leader, command));
    events.extend(round_trip(leader, voter));
    events.extend([Event::Apply(leader), Event::Results(leader), Event::Settle(leader)]);
}

/// A follower hears of what is committed, and says so.
fn spread(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let leader = leader(world, dice);
    let node = other(world, dice, leader);
    events.extend([Event::Replicate(leader), Event::Exchange(leader, node), Event::Apply(node)]);
    events.extend([Event::Confirm(node), Event::Exchange(node, leader), Event::Settle(leader)]);
}

fn issue(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let (node, slot) = (any(world, dice), dice.index(SLOTS));
    events.extend([Event::Issue(node, slot); 6]);
}

fn seal(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let leader = leader(world, dice);
    events.extend([Event::Expire(leader), Event::Settle(leader)]);
}

fn repeat(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let leader = leader(world, dice);
    events.extend([
        Event::Repeat(leader),
        Event::Settle(leader),
        Event::Expire(leader),
        Event::Settle(leader),
    ]);
}

fn elect(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let node = any(world, dice);
    let voter = other(world, dice, node);
    events.push(Event::Stand(node));
    events.extend(round_trip(node, voter));
    lead(node, voter, events);
}

/// A session begins and opens.
fn lead(node: usize, voter: usize, events: &mut Vec<Event>) {
    events.push(Event::Notice(node));
    events.push(Event::Replicate(node));
    events.extend(round_trip(node, voter));
    events.extend([Event::Apply(node), Event::Results(node), Event::Settle(node)]);
}

fn nap(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let node = any(world, dice);
    events.extend([Event::Pause(node), Event::Resume(node)]);
}

fn outage(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let node = any(world, dice);
    let other = other(world, dice, node);
    events.push(if dice.percent(60) { Event::Isolate(node) } else { Event::Cut(node, other) });
}

fn heal(_: &World, _: &mut Dice, events: &mut Vec<Event>) {
    events.push(Event::Heal);
}

/// A process is replaced, and comes back with all of its state or with less.
fn restart(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let node = any(world, dice);
    events.push(Event::Restart { node, applied: left(world, dice, node), resume: dice.percent(50) });
}

/// A leader's process is replaced and leads on, in the same term.
fn resume(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let node = leader(world, dice);
    events.push(Event::Restart { node, applied: left(world, dice, node), resume: true });
    lead(node, other(world, dice, node), events);
}

fn left(world: &World, dice: &mut Dice, node: usize) -> u64 {
    let applied = world.nodes[node].view.applied;
    applied.saturating_sub(dice.below(6)).max(dice.below(applied + 1))
}

/// A moment, a while, or about a lease.
fn wait(_: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    events.push(Event::Pass(match dice.below(4) {
        0 => dice.between(1, 50),
        1 => dice.between(50, 1_500),
        2 => dice.between(2_500, 3_400),
        _ => dice.between(3_000, 4_500),
    }));
}

/// A node is told to issue nothing, and then to go.
fn drain(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let leader = leader(world, dice);
    let (voter, node) = (other(world, dice, leader), any(world, dice));
    commit(leader, voter, Command::Drain { node }, events);
    if dice.percent(50) {
        events.extend(round_trip(leader, voter));
        events.push(Event::Expire(leader));
        events.push(Event::Settle(leader));
    }
    commit(leader, voter, Command::Leave { node }, events);
}

fn set_wall(world: &World, dice: &mut Dice, events: &mut Vec<Event>) {
    let node = any(world, dice);
    events.push(Event::SetWall { node, ahead_ms: dice.below(1_800).cast_signed() - 900 });
}

fn calm(_: &World, _: &mut Dice, events: &mut Vec<Event>) {
    events.push(Event::Calm);
}
