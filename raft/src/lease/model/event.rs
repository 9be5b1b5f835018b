//! What can happen. A schedule is a list of events, and its transcript can be read.

use super::log::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    /// True time passes, in milliseconds.
    Pass(u64),
    /// It passes until time alone covers one node more for the session of this node.
    Expire(usize),
    /// The message in this place arrives.
    Deliver(usize),
    /// It arrives, and will once more.
    Duplicate(usize),
    Lose(usize),
    /// All that is in flight from one node to another arrives, in order.
    Exchange(usize, usize),
    /// What one node sent to another last arrives, before all else.
    Latest(usize, usize),
    /// What one node sends to another is lost from now on.
    Cut(usize, usize),
    /// The node is cut off, in both directions.
    Isolate(usize),
    Heal,
    /// The process stands still.
    Pause(usize),
    Resume(usize),
    /// A new process takes over, with the state at `applied` or before.
    Restart {
        node: usize,
        applied: u64,
        resume: bool,
    },
    /// The wall clock is set.
    SetWall {
        node: usize,
        ahead_ms: i64,
    },
    Stand(usize),
    /// The leader sends its log.
    Replicate(usize),
    /// The driver looks whether its replica leads.
    Notice(usize),
    /// A client writes to the leader.
    Propose(usize, Command),
    /// A client repeats the last denial.
    Repeat(usize),
    /// The leader begins a round with a quorum.
    Round(usize),
    /// The leader answers the requests that complete rounds serve.
    Grant(usize),
    /// Issuers get to see what is committed.
    Apply(usize),
    /// The leader's driver looks at its writes that are applied.
    Results(usize),
    /// The leader's driver looks for complete seals.
    Settle(usize),
    /// The node tells every session what its issuers see.
    Confirm(usize),
    /// The first node asks the second for a lease.
    Ask(usize, usize),
    /// The lease that was granted becomes usable, if the state has come so far.
    Take(usize),
    /// An issuance goes on by one step.
    Issue(usize, usize),
    /// Every step of the node's driver, once.
    Tend(usize),
    /// All who can go on as they should, for a while in which no time passes.
    Calm,
}
