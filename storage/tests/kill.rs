//! `kill -9` at random moments: whatever was acknowledged is there afterwards.
//!
//! The test starts itself again as a child that writes and says on its standard output what was
//! acknowledged. The parent kills it, opens the folder, and compares. `HAPI_KILLS` sets the number
//! of kills, `HAPI_KILL_SEED` the seed of a run to repeat.
//!
//! It is a test binary of its own because a fork briefly holds every lock of its parent.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should panic, and says where it is"
)]

#[path = "storage/support.rs"]
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
mod support;

use std::{
    collections::{BTreeMap, VecDeque},
    env, fmt,
    io::{BufRead, BufReader, Write, stdout},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hapi_storage::{Storage, snapshot_name};
use openraft::{
    entry::RaftEntry,
    storage::{RaftLogReader, RaftLogStorage},
    vote::RaftLeaderId,
};

use self::support::{
    Flushed, Types, begin_append, data, entries, entry, log_id, open, open_uncached, snapshot, vote,
};

const FOLDER: &str = "HAPI_KILL_FOLDER";
const SEED: &str = "HAPI_KILL_SEED";
const KILLS: &str = "HAPI_KILLS";
/// Every so many kills, the child begins with an empty folder.
const KILLS_PER_FOLDER: u64 = 25;

/// What the child says. A line may be said before or after the deed; the names tell.
#[derive(Clone, Copy, Debug)]
enum Said {
    Appended { index: u64, term: u64 },
    Voted { term: u64 },
    Truncating { after: u64 },
    Purging { upto: u64 },
    Purged { upto: u64 },
    Put { number: u64 },
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appended { index, term } => write!(f, "@ appended {index} {term}"),
            Self::Voted { term } => write!(f, "@ voted {term} 0"),
            Self::Truncating { after } => write!(f, "@ truncating {after} 0"),
            Self::Purging { upto } => write!(f, "@ purging {upto} 0"),
            Self::Purged { upto } => write!(f, "@ purged {upto} 0"),
            Self::Put { number } => write!(f, "@ put {number} 0"),
        }
    }
}

impl Said {
    /// Reads a line; `None` for the test harness's own lines and for one cut off by the kill.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.strip_prefix("@ ")?.strip_suffix('\n')?.split(' ').collect();
        let [word, first, second] = words[..] else { return None };
        let (first, second) = (first.parse().ok()?, second.parse().ok()?);
        match word {
            "appended" => Some(Self::Appended { index: first, term: second }),
            "voted" => Some(Self::Voted { term: first }),
            "truncating" => Some(Self::Truncating { after: first }),
            "purging" => Some(Self::Purging { upto: first }),
            "purged" => Some(Self::Purged { upto: first }),
            "put" => Some(Self::Put { number: first }),
            _ => None,
        }
    }
}

/// What must be there.
#[derive(Debug, Default)]
struct Promised {
    /// Acknowledged entries and their terms.
    log: BTreeMap<u64, u64>,
    term: u64,
    purged: Option<u64>,
    number: u64,
}

impl Promised {
    fn hear(&mut self, said: Said) {
        match said {
            Said::Appended { index, term } => {
                // An acknowledged entry is the end of everything acknowledged before it.
                self.log.insert(index, term);
            }
            Said::Voted { term } => self.term = term,
            Said::Truncating { after } => self.log.retain(|index, _| *index <= after),
            Said::Purging { upto } => self.log.retain(|index, _| *index > upto),
            Said::Purged { upto } => self.purged = Some(upto),
            Said::Put { number } => self.number = number,
        }
    }
}

/// A small seeded generator (SplitMix64), so that a failure can be run again.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

struct Child {
    storage: Storage<Types>,
    chance: Chance,
    next: u64,
    first: u64,
    term: u64,
    number: u64,
    waiting: VecDeque<(Flushed, u64, u64)>,
}

impl Child {
    async fn start(folder: &Path, seed: u64) -> Self {
        let mut storage = open(folder);
        let state = storage.log.get_log_state().await.unwrap();
        let next = state.last_log_id.map_or(0, |id| id.index + 1);
        let first = state.last_purged_log_id.map_or(0, |id| id.index + 1);
        let term = term_of(&mut storage).await;
        let number = number_of(&storage);
        Self { storage, chance: Chance::new(seed), next, first, term, number, waiting: VecDeque::new() }
    }

    async fn run(&mut self) {
        self.vote().await;
        loop {
            match self.chance.below(100) {
                0..70 => self.append().await,
                70..80 => self.settle().await,
                80..85 => self.vote().await,
                85..90 => self.truncate().await,
                90..95 => self.purge().await,
                _ => self.put().await,
            }
        }
    }

    /// Appends without waiting, so that several operations share an fsync.
    async fn append(&mut self) {
        let count = 1 + self.chance.below(8);
        let flushed =
            begin_append(&mut self.storage.log, entries(self.term, self.next..self.next + count)).await;
        self.waiting.push_back((flushed.unwrap(), self.next, count));
        self.next += count;
        self.storage.log.save_committed(Some(log_id(self.term, self.next - 1))).await.unwrap();
    }

    async fn settle(&mut self) {
        while let Some((flushed, first, count)) = self.waiting.pop_front() {
            flushed.await.unwrap().unwrap();
            (first..first + count).for_each(|index| say(Said::Appended { index, term: self.term }));
        }
    }

    async fn vote(&mut self) {
        self.settle().await;
        self.term += 1;
        self.storage.log.save_vote(&vote(self.term)).await.unwrap();
        say(Said::Voted { term: self.term });
    }

    async fn truncate(&mut self) {
        let back = 1 + self.chance.below(30);
        if self.next < self.first + back + 1 {
            return;
        }
        // Queued right behind the appends, so that one fsync may cover both.
        let after = self.next - 1 - back;
        let kept = self.storage.log.try_get_log_entries(after..=after).await.unwrap()[0].log_id();
        say(Said::Truncating { after });
        self.storage.log.truncate_after(Some(kept)).await.unwrap();
        self.next = after + 1;
        self.waiting.clear();
        self.vote().await;
    }

    async fn purge(&mut self) {
        if self.next < self.first + 40 {
            return;
        }
        self.settle().await;
        let upto = self.first + self.chance.below(self.next - self.first - 10);
        let id = self.storage.log.try_get_log_entries(upto..=upto).await.unwrap()[0].log_id();
        snapshot(&self.storage, &snapshot_name(id.leader_id.term, upto), &[b"state"]);
        say(Said::Purging { upto });
        self.storage.log.purge(id).await.unwrap();
        say(Said::Purged { upto });
        self.storage.snapshots.prune(2).unwrap();
        self.first = upto + 1;
    }

    async fn put(&mut self) {
        self.number += 1;
        self.storage.meta.put("number", self.number.to_le_bytes().to_vec()).await.unwrap();
        say(Said::Put { number: self.number });
    }
}

async fn term_of(storage: &mut Storage<Types>) -> u64 {
    storage.log.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id.term())
}

fn number_of(storage: &Storage<Types>) -> u64 {
    storage.meta.get("number").unwrap().map_or(0, |number| u64::from_le_bytes(number.try_into().unwrap()))
}

fn say(said: Said) {
    let mut out = stdout().lock();
    writeln!(out, "{said}").and_then(|()| out.flush()).unwrap();
}

#[test]
#[ignore = "the child of the kill test"]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let seed = env::var(SEED).unwrap().parse().unwrap();
    block_on_runtime(async { Child::start(Path::new(&folder), seed).await.run().await });
}

fn block_on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Lets a child write until it has said `lines` things, kills it, and hears all that it said.
fn write_and_kill(folder: &Path, seed: u64, promised: &mut Promised) -> usize {
    let mut chance = Chance::new(seed);
    let (lines, pause) = (chance.below(400), Duration::from_micros(chance.below(3000)));
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut heard = 0;
    let mut line = String::new();
    let mut killed = false;
    while output.read_line(&mut line).unwrap() > 0 {
        if let Some(said) = Said::parse(&line) {
            promised.hear(said);
            heard += 1;
        }
        line.clear();
        if heard as u64 > lines && !killed {
            // The moment is random, so nothing is waited for here.
            thread::sleep(pause);
            child.kill().unwrap();
            killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(killed, "the child ended by itself: {status}");
    heard
}

async fn compare(folder: &Path, promised: &mut Promised) {
    let mut storage = open_uncached(folder);
    let found = storage.log.try_get_log_entries(..).await.unwrap();
    let terms: BTreeMap<u64, u64> =
        found.iter().map(|entry| (entry.index(), entry.log_id().leader_id.term)).collect();
    for entry_found in &found {
        let id = entry_found.log_id();
        assert_eq!(*entry_found, entry(id.leader_id.term, id.index, &data(id.leader_id.term, id.index)));
    }
    for (index, term) in &promised.log {
        assert_eq!(terms.get(index), Some(term), "entry {index} was acknowledged in term {term}");
    }
    let purged = storage.log.get_log_state().await.unwrap().last_purged_log_id.map(|id| id.index);
    assert!(purged >= promised.purged, "purged up to {purged:?}");
    let (term, number) = (term_of(&mut storage).await, number_of(&storage));
    assert!(term >= promised.term, "vote of term {term}");
    assert!(number >= promised.number, "number {number}");
    // Whatever was read now stays: the store has made it durable before showing it.
    *promised = Promised { log: terms, term, purged, number };
    storage.close().await;
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let kills: u64 = env::var(KILLS).map_or(100, |kills| kills.parse().unwrap());
    let random = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    let seed: u64 = env::var(SEED).map_or_else(|_| random(), |seed| seed.parse().unwrap());
    let started = Instant::now();
    let mut dir = tempfile::tempdir().unwrap();
    let mut promised = Promised::default();
    let mut heard = 0;
    for kill in 0..kills {
        if kill % KILLS_PER_FOLDER == 0 {
            (dir, promised) = (tempfile::tempdir().unwrap(), Promised::default());
        }
        println!("seed {} (kill {kill} of {SEED}={seed})", seed + kill);
        heard += write_and_kill(dir.path(), seed + kill, &mut promised);
        block_on_runtime(compare(dir.path(), &mut promised));
    }
    println!("{kills} kills, {heard} acknowledgements, {:?}", started.elapsed());
    assert!(heard as u64 > kills);
}
