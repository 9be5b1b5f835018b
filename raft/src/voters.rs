//! Who is to vote. A pure rule, so that it can be read, and tested, as a table.

use std::collections::BTreeSet;

/// So many voters are left at least when nobody takes the place of a dead one: fewer survive no loss.
const FEWEST_VOTERS: usize = 3;

/// What a leader knows of the voters, and of those that might become voters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    /// All voters, the leader too.
    pub(crate) voters: BTreeSet<u64>,
    /// The voters that answered just now, and the leader.
    pub(crate) healthy: BTreeSet<u64>,
    /// The voters that have not answered for so long that they are given up.
    pub(crate) dead: BTreeSet<u64>,
    /// The learners that have kept up for long enough, and do so now.
    pub(crate) ready: BTreeSet<u64>,
}

/// A change of the voters, made as one: with joint consensus no moment has other voters than those before or
/// those after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The learners that become voters.
    pub(crate) promoted: BTreeSet<u64>,
    /// The voters that become learners.
    pub(crate) demoted: BTreeSet<u64>,
}

impl Census {
    /// The change that is due, by the first rule that fits:
    ///
    /// 1. While no majority of the voters is healthy: none. It could not be committed, and whoever does not hear
    ///    the others must not judge them.
    /// 2. A ready learner takes the place of a dead voter; one at a time.
    /// 3. Without such a learner dead voters lose their votes, as many as leave an odd number of voters, and
    ///    three at least: two of five do, and one of four; one of five and one of three stay.
    /// 4. Without dead voters ready learners become voters while there are fewer than `most`.
    ///
    /// Whatever is due, a majority of the voters afterwards is healthy: only healthy ones come, only dead ones go.
    pub(crate) fn due(&self, most: usize) -> Option<Change> {
        if !is_majority(self.healthy.len(), self.voters.len()) {
            return None;
        }
        let (up, down) = match (self.dead.len(), self.ready.len()) {
            (0, ready) => (promotions(self.voters.len(), ready, most), 0),
            (dead, 0) => (0, demotions(self.voters.len(), dead)),
            _ => (1, 1),
        };
        let first = |nodes: &BTreeSet<u64>, count| nodes.iter().copied().take(count).collect();
        let change = Change { promoted: first(&self.ready, up), demoted: first(&self.dead, down) };
        (up + down > 0).then_some(change)
    }
}

fn is_majority(part: usize, all: usize) -> bool {
    part * 2 > all
}

/// How many learners become voters. The number of voters stays odd or becomes so: an even number survives no
/// more losses than the odd one below it.
fn promotions(voters: usize, ready: usize, most: usize) -> usize {
    let room = most.saturating_sub(voters).min(ready);
    if (voters + room).is_multiple_of(2) { room.saturating_sub(1) } else { room }
}

/// How many dead voters lose their votes though nobody takes their places. A dead voter beside an even number
/// of others costs nothing: without it the majority would be as large.
fn demotions(voters: usize, dead: usize) -> usize {
    let leaves_enough = |count: &usize| {
        let left = voters.saturating_sub(*count);
        left >= FEWEST_VOTERS && !left.is_multiple_of(2)
    };
    (1..=dead).rev().find(leaves_enough).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    /// Voters from 1, of which the last are dead and those before them silent; ready learners from 101.
    fn census(voters: u64, silent: u64, dead: u64, ready: u64) -> Census {
        Census {
            voters: (1..=voters).collect(),
            healthy: (1..=voters - silent - dead).collect(),
            dead: (voters - dead + 1..=voters).collect(),
            ready: (101..=100 + ready).collect(),
        }
    }

    /// How many come and go.
    fn due(census: &Census, most: usize) -> (usize, usize) {
        let change = census.due(most);
        change.map_or((0, 0), |change| (change.promoted.len(), change.demoted.len()))
    }

    #[test]
    fn promotions_keep_the_number_of_voters_odd_and_within_its_bound() {
        // voters, ready learners, the most voters, voters afterwards
        let cases = [
            (1, 0, 5, 1),
            (1, 1, 5, 1),
            (1, 2, 5, 3),
            (1, 3, 5, 3),
            (1, 4, 5, 5),
            (1, 9, 5, 5),
            (2, 0, 5, 2),
            (2, 1, 5, 3),
            (2, 2, 5, 3),
            (2, 3, 5, 5),
            (3, 1, 5, 3),
            (3, 2, 5, 5),
            (3, 9, 5, 5),
            (4, 1, 5, 5),
            (5, 3, 5, 5),
            (7, 2, 5, 7),
            (1, 9, 1, 1),
            (1, 9, 3, 3),
            (3, 2, 3, 3),
            (5, 9, 9, 9),
            (3, 5, 7, 7),
        ];
        for (voters, ready, most, after) in cases {
            let (up, down) = due(&census(voters, 0, 0, ready), most);
            let case = format!("{voters} voters, {ready} ready, at most {most}");
            assert_eq!((voters as usize + up, down), (after, 0), "{case}");
        }
    }

    #[test]
    fn a_dead_voter_is_replaced_or_dropped_only_by_a_healthy_majority_and_to_an_odd_number() {
        // voters, of them silent, of them dead, ready learners, (promoted, demoted)
        let cases = [
            // A learner takes the place.
            (3, 0, 1, 1, (1, 1)),
            (3, 0, 1, 9, (1, 1)),
            (5, 0, 1, 1, (1, 1)),
            (5, 0, 2, 2, (1, 1)),
            (5, 1, 1, 1, (1, 1)),
            (4, 0, 1, 1, (1, 1)),
            // Nobody is there to take it.
            (3, 0, 1, 0, (0, 0)),
            (4, 0, 1, 0, (0, 1)),
            (5, 0, 1, 0, (0, 0)),
            (5, 0, 2, 0, (0, 2)),
            (6, 0, 1, 0, (0, 1)),
            (6, 0, 2, 0, (0, 1)),
            (7, 0, 1, 0, (0, 0)),
            (7, 0, 2, 0, (0, 2)),
            (7, 0, 3, 0, (0, 2)),
            // No majority is healthy.
            (1, 0, 1, 1, (0, 0)),
            (2, 0, 1, 1, (0, 0)),
            (3, 0, 2, 1, (0, 0)),
            (3, 0, 2, 9, (0, 0)),
            (3, 1, 1, 1, (0, 0)),
            (4, 0, 2, 2, (0, 0)),
            (4, 1, 1, 0, (0, 0)),
            (5, 0, 3, 3, (0, 0)),
            (5, 1, 2, 0, (0, 0)),
            (5, 3, 0, 9, (0, 0)),
            // Silence that is not long enough takes no vote.
            (3, 1, 0, 1, (0, 0)),
            (5, 2, 0, 0, (0, 0)),
        ];
        for (voters, silent, dead, ready, expected) in cases {
            let case = format!("{voters} voters, {silent} silent, {dead} dead, {ready} ready");
            assert_eq!(due(&census(voters, silent, dead, ready), 5), expected, "{case}");
        }
    }

    #[test]
    fn after_every_change_a_majority_is_healthy_and_no_more_losses_are_fatal_than_before() {
        let spare = |healthy: usize, voters: usize| healthy as i64 - (voters / 2 + 1) as i64;
        let mut changes = 0;
        for voters in 1..=9 {
            for (silent, dead) in (0..=voters).flat_map(|dead| (0..=voters - dead).map(move |s| (s, dead))) {
                for (ready, most) in (0..=4).flat_map(|ready| [1, 3, 5, 7, 9].map(|most| (ready, most))) {
                    let before = census(voters, silent, dead, ready);
                    let Some(change) = before.due(most) else { continue };
                    changes += 1;
                    let left: BTreeSet<u64> = before.voters.difference(&change.demoted).copied().collect();
                    let after = left.len() + change.promoted.len();
                    let healthy = before.healthy.len() + change.promoted.len();
                    let case = format!("{before:?}, at most {most}: {change:?}");
                    assert!(is_majority(healthy, after), "{case}");
                    assert!(change.demoted.is_subset(&before.dead), "{case}");
                    assert!(
                        spare(healthy, after) >= spare(before.healthy.len(), before.voters.len()),
                        "{case}"
                    );
                    assert!(change.demoted.is_empty() || after >= FEWEST_VOTERS, "{case}");
                }
            }
        }
        assert!(changes > 100, "{changes} changes are too few to prove anything");
    }
}
