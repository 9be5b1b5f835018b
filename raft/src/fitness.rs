//! Whether this node may take writes: room on its disk, and a clock that has not been set to another year.
//!
//! A disk that is full stops the database, and with it the node; an entry that is stamped a year ahead makes the whole
//! cluster a year older for good. Neither needs to come about: a node that sees it coming refuses, says so, lets
//! another one lead, goes on serving what needs no write, and takes writes again by itself when the trouble is over.

use crate::{Reading, node::Node};
use hapi_registry_state::{Command, Principal, Status};
use hapi_storage::free_bytes;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

/// How often the disk and the clock are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Rest between two times of letting another node lead: it may be no better off, and each change costs a moment.
const HAND_OVER_REST: Duration = Duration::from_secs(30);

/// How far the wall clock may have moved against the boot clock since the process began. Time services correct
/// seconds, and machines that were frozen catch up with hours; a day and more is a mistake of somebody.
const MOST_JUMP_S: u64 = 86_400;

/// How much room there is for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// Everything is taken.
    #[default]
    Enough,
    /// Below the reserve: only what denies something, and what the cluster needs to go on.
    Short,
    /// Below a quarter of the reserve: nothing, other leaders' entries neither.
    Full,
}

impl Room {
    /// What follows with `free` bytes of a `reserve`. A state is left at a quarter more than it was entered at: a disk
    /// at the edge must not change it with every write.
    fn next(self, free: u64, reserve: u64) -> Self {
        let leave = |at: u64| at.saturating_add(at / 4);
        let full = reserve / 4;
        let full = if self == Self::Full { leave(full) } else { full };
        let short = if self == Self::Enough { reserve } else { leave(reserve) };
        match free {
            free if free < full => Self::Full,
            free if free < short => Self::Short,
            _ => Self::Enough,
        }
    }
}

/// Why a node takes no writes now.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Unfit {
    /// Too little is left on its disk.
    #[error(
        "the disk of node {node:016x} is nearly full: {} are left for {dir}, and it takes writes again from {} on. \
         Free some space there or enlarge it; what denies is taken as long as there is any room",
        mib(*free), mib(*resume)
    )]
    Disk {
        /// The node.
        node: u64,
        /// Its data folder.
        dir: String,
        /// The free space, in bytes.
        free: u64,
        /// With so much free space it takes writes again, in bytes.
        resume: u64,
    },
    /// Its wall clock was set to quite another time.
    #[error(
        "the wall clock of node {node:016x} has jumped {} since it was started: it writes nothing and takes no serving \
         lease. Set the clock right, or restart the node if the new time is right",
        jump(*ahead_s)
    )]
    Clock {
        /// The node.
        node: u64,
        /// By how much it is ahead, in seconds.
        ahead_s: i64,
    },
    /// Some member's program does not know this kind of entry yet.
    #[error("this needs release {0} on every node, and some run an older one: finish the upgrade first")]
    Upgrade(String),
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn jump(ahead_s: i64) -> String {
    let days = (ahead_s.unsigned_abs() + 43_200) / 86_400;
    if ahead_s > 0 { format!("{days} days ahead") } else { format!("{days} days back") }
}

/// The free space of a data folder, as it was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskStatus {
    /// Free bytes.
    pub free: u64,
    /// Below this, writes are refused.
    pub reserve: u64,
    /// What follows from them.
    pub room: Room,
}

/// Keeps an eye on disk and clock.
pub(crate) struct Fitness {
    dir: PathBuf,
    reserve: u64,
    /// The clocks when the process began.
    began: Reading,
    seen: Mutex<Seen>,
    /// Whether it was said that the leader's clock shows another time.
    skew_said: AtomicBool,
}

#[derive(Clone, Copy)]
struct Seen {
    free: u64,
    room: Room,
}

impl Fitness {
    pub(crate) fn new(dir: &Path, reserve: u64, began: Reading) -> Self {
        let seen = Mutex::new(Seen { free: u64::MAX, room: Room::Enough });
        let fitness = Self { dir: dir.to_owned(), reserve, began, seen, skew_said: AtomicBool::new(false) };
        fitness.look();
        fitness
    }

    /// Looks at the disk; the room before and after. Blocks.
    fn look(&self) -> (Room, Room) {
        let free = free_bytes(&self.dir).unwrap_or_else(|error| {
            // Writing will tell what is wrong with the folder; refusing to write for want of knowledge would not.
            tracing::debug!(%error, "the free space is not known");
            u64::MAX
        });
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.room;
        *seen = Seen { free, room: before.next(free, self.reserve) };
        (before, seen.room)
    }

    pub(crate) fn disk(&self) -> DiskStatus {
        let Seen { free, room } = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        DiskStatus { free, reserve: self.reserve, room }
    }

    fn disk_trouble(&self, node: u64) -> Unfit {
        let DiskStatus { free, reserve, .. } = self.disk();
        let dir = self.dir.display().to_string();
        Unfit::Disk { node, dir, free, resume: reserve.saturating_add(reserve / 4) }
    }

    /// By how many seconds the wall clock has been set ahead, or back, if that is out of all reason.
    pub(crate) fn jumped(&self, now: &Reading) -> Option<i64> {
        let ahead_us = now.wall.0.cast_signed().saturating_sub(now.steady_wall(&self.began).0.cast_signed());
        Some(ahead_us / 1_000_000).filter(|ahead_s| ahead_s.unsigned_abs() > MOST_JUMP_S)
    }
}

/// Whether a command is worth the last of the room: what denies, and what the cluster itself needs.
fn is_vital(by: &Principal, command: &Command) -> bool {
    if let Command::Mirror { entries, .. } = command {
        return entries.iter().any(|entry| entry.status == Status::Deleted);
    }
    let is_own = matches!(by, Principal::System | Principal::Node(_));
    (is_own && !matches!(command, Command::NoteTokenUses(_) | Command::NoteHealth(_))) || command.may_deny()
}

/// Whether a command is taken even where nothing else is. Another registry's catalog may have any size, what stays denied for
/// longer harms nobody, and servers' health is advice.
fn is_needed(by: &Principal, command: &Command) -> bool {
    let can_wait = matches!(command, Command::Mirror { .. } | Command::Lift { .. } | Command::NoteHealth(_));
    matches!(by, Principal::System) && !can_wait
}

impl Node {
    /// Why this node, as leader, does not take `command` now.
    pub(crate) fn unfit_for(&self, by: &Principal, command: &Command) -> Result<(), Unfit> {
        self.unfit_clock()?;
        self.unfit_members(by, command)?;
        let admitted = match self.fitness.disk().room {
            Room::Enough => true,
            Room::Short => is_vital(by, command),
            Room::Full => is_needed(by, command),
        };
        if admitted { Ok(()) } else { Err(self.fitness.disk_trouble(self.id)) }
    }

    /// Whether the wall clock is out of all reason.
    pub(crate) fn unfit_clock(&self) -> Result<(), Unfit> {
        match self.fitness.jumped(&self.environment.clocks()) {
            None => Ok(()),
            Some(ahead_s) => Err(Unfit::Clock { node: self.id, ahead_s }),
        }
    }

    /// Why this node takes no ordinary writes now, if it does not.
    pub(crate) fn unfit(&self) -> Option<Unfit> {
        let disk = || (self.fitness.disk().room != Room::Enough).then(|| self.fitness.disk_trouble(self.id));
        self.unfit_clock().err().or_else(disk)
    }

    /// Why this node takes no entries of a leader now.
    pub(crate) fn unfit_to_follow(&self) -> Result<(), Unfit> {
        match self.fitness.disk().room {
            Room::Full => Err(self.fitness.disk_trouble(self.id)),
            Room::Enough | Room::Short => Ok(()),
        }
    }
}

/// Watches disk and clock until the runtime ends; a leader that is unfit lets another node lead.
pub(crate) async fn run(node: Arc<Node>) {
    let (mut jumped, mut handed) = (false, None);
    loop {
        let looking = node.clone();
        if let Ok((before, after)) = spawn_blocking(move || looking.fitness.look()).await {
            node.report_room(before, after);
        }
        let clock = node.unfit_clock();
        node.report_clock(jumped, &clock);
        jumped = clock.is_err();
        let rested = handed.is_none_or(|at: Instant| at.elapsed() >= HAND_OVER_REST);
        if rested && node.leader() == Some(node.id) && node.unfit().is_some() {
            node.hand_over().await;
            handed = Some(Instant::now());
        }
        sleep(LOOK).await;
    }
}

impl Node {
    fn report_room(&self, before: Room, after: Room) {
        match (before, after) {
            (Room::Enough, Room::Enough) => {}
            (_, Room::Enough) => tracing::info!("the disk has room again: this node takes writes"),
            (Room::Enough, _) => tracing::error!("{}", self.fitness.disk_trouble(self.id)),
            _ => {}
        }
    }

    /// Says once, until a lease is granted again, that this node's wall clock is not the leader's.
    pub(crate) fn report_skew(&self, leader: u64, ahead_us: i64) {
        if self.fitness.skew_said.swap(true, Ordering::Relaxed) || self.unfit_clock().is_err() {
            return;
        }
        let seconds = ahead_us.unsigned_abs() / 1_000_000;
        let side = if ahead_us > 0 { "ahead of" } else { "behind" };
        tracing::error!(
            "this node's wall clock is {seconds} s {side} that of the leader {leader:016x}: it takes no serving lease, \
             and hands connects to the leader. Set right whichever is wrong; leases come back by themselves"
        );
    }

    /// The clocks agree: the next difference is news.
    pub(crate) fn forget_skew(&self) {
        self.fitness.skew_said.store(false, Ordering::Relaxed);
    }

    fn report_clock(&self, before: bool, now: &Result<(), Unfit>) {
        match now {
            Err(unfit) if !before => tracing::error!("{unfit}"),
            Ok(()) if before => tracing::info!("the wall clock is right again: this node takes writes"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use hapi_registry_state::{NodeId, Timestamp};

    #[test]
    fn room_is_lost_at_once_and_regained_with_some_distance() {
        use Room::{Enough, Full, Short};
        for (before, free, after) in [
            (Enough, 100, Enough),
            (Enough, 99, Short),
            (Enough, 24, Full),
            (Short, 124, Short),
            (Short, 125, Enough),
            (Short, 25, Short),
            (Short, 24, Full),
            (Full, 30, Full),
            (Full, 31, Short),
            (Full, 125, Enough),
        ] {
            assert_eq!(before.next(free, 100), after, "{before:?} with {free}");
        }
        assert_eq!(Enough.next(0, 0), Enough, "without a reserve nothing is refused");
    }

    #[test]
    fn what_denies_and_what_the_cluster_needs_is_vital() {
        let token = Principal::ClusterSecret;
        assert!(is_vital(&token, &Command::DrainNode(NodeId(1))));
        assert!(!is_vital(&token, &Command::Checkpoint));
        assert!(is_vital(&Principal::System, &Command::SessionOpen { id: 1 }));
        assert!(!is_vital(&Principal::System, &Command::NoteHealth(Vec::new())));
        assert!(!is_needed(&Principal::System, &Command::NoteHealth(Vec::new())));
        assert!(is_vital(&Principal::Node(NodeId(1)), &Command::Checkpoint));
    }

    #[test]
    fn what_a_mirror_takes_over_is_not_worth_the_last_of_the_room() {
        let source = "official".parse().expect("an id");
        let command = Command::Mirror { source, entries: Vec::new(), step: None };
        assert!(!is_vital(&Principal::System, &command));
        assert!(!is_needed(&Principal::System, &command));
        assert!(is_needed(&Principal::System, &Command::SessionOpen { id: 1 }));
    }

    #[test]
    fn a_clock_that_gained_a_year_is_noticed_and_one_that_caught_up_with_a_night_is_not() {
        let at = |boot_s: u64, wall_s: u64| {
            let boot = Duration::from_secs(boot_s);
            Reading { boot, raw: boot, wall: Timestamp(wall_s * 1_000_000) }
        };
        let folder = Path::new("/");
        let fitness = Fitness::new(folder, 0, at(100, 1_000_000));
        let year = 365 * 86_400;
        assert_eq!(fitness.jumped(&at(160, 1_000_060)), None);
        assert_eq!(fitness.jumped(&at(160, 1_000_060 + 8 * 3_600)), None);
        assert_eq!(fitness.jumped(&at(160, 1_000_060 + year)), Some(365 * 86_400));
        assert_eq!(fitness.jumped(&at(160, 60)), Some(-1_000_000));
    }

    #[test]
    fn every_trouble_says_what_to_do() {
        let disk = Unfit::Disk { node: 0xb2, dir: "/data".into(), free: 3 << 20, resume: 80 << 20 };
        assert_eq!(
            disk.to_string(),
            "the disk of node 00000000000000b2 is nearly full: 3 MiB are left for /data, and it takes writes again \
             from 80 MiB on. Free some space there or enlarge it; what denies is taken as long as there is any room"
        );
        let clock = Unfit::Clock { node: 0xb2, ahead_s: 365 * 86_400 };
        assert_eq!(
            clock.to_string(),
            "the wall clock of node 00000000000000b2 has jumped 365 days ahead since it was started: it writes \
             nothing and takes no serving lease. Set the clock right, or restart the node if the new time is right"
        );
    }
}
