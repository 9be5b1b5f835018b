//! What a process has cost its machine so far.

use std::{fs, iter::Sum, ops::Sub, time::Duration};

/// The kernel shows times in hundredths of a second, whatever its own ticks are.
const TICK: Duration = Duration::from_millis(10);

/// Processor time, and how often threads had to be woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// In user and in kernel mode, by all threads, ended ones too.
    pub cpu: Duration,
    /// How often a thread gave its core away because it had nothing to do. Ended threads are not counted.
    pub sleeps: u64,
    /// The most memory that it had at any time, in bytes. Of several processes, or of a span of time, the largest.
    pub peak_memory: u64,
}

impl Spent {
    /// What the process has spent since it began.
    ///
    /// # Panics
    /// When it has ended.
    pub(crate) fn by(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
        let status = tasks.flatten().map(|task| fs::read_to_string(task.path().join("status")));
        let whole = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
        let sleeps = status.flatten().map(|status| sleeps(&status)).sum();
        Self { cpu: cpu(&stat), sleeps, peak_memory: peak_memory(&whole) }
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            sleeps: self.sleeps.saturating_sub(earlier.sleeps),
            peak_memory: self.peak_memory,
        }
    }
}

impl Sum for Spent {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            cpu: sum.cpu + one.cpu,
            sleeps: sum.sleeps + one.sleeps,
            peak_memory: sum.peak_memory.max(one.peak_memory),
        })
    }
}

/// `pid (name) state …`: the name may hold anything, brackets too. The 12th and 13th fields after it are ticks in user
/// and in kernel mode.
fn cpu(stat: &str) -> Duration {
    let (_, rest) = stat.rsplit_once(") ").expect("the name is in brackets");
    let ticks =
        rest.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().expect("a number of ticks"));
    TICK * ticks.sum::<u32>()
}

fn sleeps(status: &str) -> u64 {
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.map_or(0, |count| count.trim().parse().expect("a number of switches"))
}

/// The kernel shows it in KiB.
fn peak_memory(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "17 (a) b (c) S 1 17 17 0 -1 4194560 900 0 3 0 125 75 0 0 20 0 9 0 12345 1 2 3";
        assert_eq!(cpu(stat), Duration::from_secs(2));
        let status = "Name:\ta\nvoluntary_ctxt_switches:\t41\nnonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(sleeps(status), 41);
        assert_eq!(peak_memory("VmPeak:\t  900 kB\nVmHWM:\t   17 kB\n"), 17 << 10);
        assert!(Spent::by(std::process::id()).peak_memory > 0);
    }

    #[test]
    fn work_is_seen() {
        let pid = std::process::id();
        let before = Spent::by(pid);
        while (Spent::by(pid) - before).cpu < TICK * 3 {}
    }
}
