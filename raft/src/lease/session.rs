//! The granter's side: what a leader must know of the leases it gave, and of those it does not know.

use crate::lease::{
    clock::{Reading, Terms},
    rules::{Mutant, Rules},
};
use hapi_registry_state::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A lease that this session gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Given {
    rho: u64,
    at: Reading,
}

/// Why a request for a lease, or for a seal, is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The session has not committed its opening entry yet.
    NotOpen,
    /// The read index or the entry belongs to another leadership: this session is over.
    Over,
    /// The node is not on the roster, or is draining.
    NotOnRoster,
}

/// How it is known that a node obeys an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Cover {
    /// It said that its issuers see the entry.
    Confirmed,
    /// Every lease that it may have had from before the entry has ended.
    LeaseExpired,
}

/// How, and how soon, one node was covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Covered {
    /// The node.
    pub node: NodeId,
    /// How it is known.
    pub cover: Cover,
    /// Milliseconds since the seal began.
    pub ms: u64,
}

/// A seal on its way: who is to be covered, and who is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seal {
    began: Reading,
    members: BTreeMap<NodeId, Option<Covered>>,
}

/// What a leader remembers while it leads: made anew each time this process begins to lead, and bound to the
/// leadership that it saw then. What comes under another one, an index or an entry, is not this session's: a
/// watch may skip from leader over follower to leader, and a deposed leader knows no lease of its successor.
///
/// `L` identifies a leadership: the term and the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Session<L> {
    rules: Rules,
    terms: Terms,
    me: NodeId,
    leadership: L,
    began: Reading,
    opened: bool,
    floor: u64,
    given: BTreeMap<NodeId, Vec<Given>>,
    seals: BTreeMap<u64, Seal>,
}

impl<L: Copy + Eq> Session<L> {
    /// Begins at `now`, which was read after this process was seen to lead under `leadership`: what earlier
    /// sessions granted was asked for before.
    pub(crate) fn new(rules: Rules, terms: Terms, me: NodeId, leadership: L, now: Reading) -> Self {
        let (given, seals) = (BTreeMap::new(), BTreeMap::new());
        Self { rules, terms, me, leadership, began: now, opened: false, floor: 0, given, seals }
    }

    /// The opening entry is committed, at `index` and under `leadership`. It is sealed like a deny-type
    /// write: seals are cumulative, so that whatever an earlier session left unsealed is sealed with it.
    pub(crate) fn open(
        &mut self,
        leadership: L,
        index: u64,
        roster: impl IntoIterator<Item = NodeId>,
        now: Reading,
    ) -> Result<(), Denied> {
        self.bind(self.of_entry(leadership))?;
        self.opened = true;
        self.seal(leadership, index, roster, now)
    }

    /// Whether the opening entry is committed.
    pub(crate) fn is_open(&self) -> bool {
        self.opened
    }

    /// Thresholds are at or above this index.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The indexes of the seals under way, rising.
    pub(crate) fn pending(&self) -> impl Iterator<Item = u64> {
        self.seals.keys().copied()
    }

    /// The leadership that this session is bound to.
    pub(crate) fn leadership(&self) -> L {
        self.leadership
    }

    fn bind(&self, leadership: L) -> Result<(), Denied> {
        if leadership == self.leadership { Ok(()) } else { Err(Denied::Over) }
    }

    /// The leadership of an entry, unless sessions do not look at it.
    fn of_entry(&self, leadership: L) -> L {
        if self.rules.hold(Mutant::ForeignSeal) { leadership } else { self.leadership }
    }

    fn require_open(&self, leadership: L) -> Result<(), Denied> {
        self.bind(leadership)?;
        if self.opened { Ok(()) } else { Err(Denied::NotOpen) }
    }

    /// Grants `node` a lease and yields its threshold. `read_index` comes from a round with a quorum, under
    /// `leadership`, that began after the request had arrived; `on_roster` is the leader's present word.
    ///
    /// The grant is in the table before it is answered: the caller holds one lock around this and
    /// [`Self::seal`].
    pub(crate) fn grant(
        &mut self,
        node: NodeId,
        leadership: L,
        read_index: u64,
        on_roster: bool,
        now: Reading,
    ) -> Result<u64, Denied> {
        self.require_open(leadership)?;
        if !on_roster {
            return Err(Denied::NotOnRoster);
        }
        let floor = if self.rules.hold(Mutant::NoFloor) { self.floor } else { 0 };
        let rho = read_index.max(floor);
        let wait = self.wait();
        let given = self.given.entry(node).or_default();
        // What has ended holds nothing up, and of two with one threshold the later ends later.
        given.retain(|old| old.rho != rho && now.shortest_since(&old.at) < wait);
        given.push(Given { rho, at: now });
        Ok(rho)
    }

    /// Begins, or joins, the seal of `index`, which is committed under `leadership`, or is at or below an index
    /// that is: a later session then gives thresholds above it. Covered must be all of the `roster` at or after
    /// that index, and every node that holds a lease of this session.
    pub(crate) fn seal(
        &mut self,
        leadership: L,
        index: u64,
        roster: impl IntoIterator<Item = NodeId>,
        now: Reading,
    ) -> Result<(), Denied> {
        self.require_open(self.of_entry(leadership))?;
        self.floor = self.floor.max(index);
        // Whose grants have all ended holds nothing up, unless the roster names it.
        let wait = self.wait();
        self.given.retain(|_, given| given.iter().any(|given| now.shortest_since(&given.at) < wait));
        let holders = self.given.keys().copied();
        let members: BTreeSet<NodeId> = roster.into_iter().chain(holders).chain([self.me]).collect();
        let seal = self.seals.entry(index).or_insert_with(|| Seal { began: now, members: BTreeMap::new() });
        for member in members {
            seal.members.entry(member).or_insert(None);
        }
        Ok(())
    }

    /// The issuers of `node` see every entry up to `applied`.
    pub(crate) fn confirm(&mut self, node: NodeId, applied: u64, now: &Reading) {
        for seal in self.seals.range_mut(..=applied).map(|(_, seal)| seal) {
            if let Some(covered) = seal.members.get_mut(&node) {
                covered.get_or_insert_with(|| covered_at(node, Cover::Confirmed, &seal.began, now));
            }
        }
    }

    /// The highest index of a seal that waits for `node`.
    pub(crate) fn wanted_of(&self, node: NodeId) -> Option<u64> {
        let waits = |seal: &Seal| seal.members.get(&node).is_some_and(Option::is_none);
        self.seals.iter().rev().find(|(_, seal)| waits(seal)).map(|(index, _)| *index)
    }

    /// The nodes that some seal waits for.
    pub(crate) fn awaited(&self) -> BTreeSet<NodeId> {
        let open = |seal: &Seal| {
            let waits = seal.members.iter().filter(|(_, covered)| covered.is_none());
            waits.map(|(node, _)| *node).collect::<Vec<_>>()
        };
        self.seals.values().flat_map(open).collect()
    }

    /// Of each node the youngest lease that it may still hold at `now`: how long ago it was granted, and its threshold.
    pub(crate) fn held(&self, now: &Reading) -> impl Iterator<Item = (NodeId, (Duration, u64))> {
        let wait = self.wait();
        self.given.iter().filter_map(move |(node, given)| {
            let ages = given.iter().map(|given| (now.shortest_since(&given.at), given.rho));
            let youngest = ages.min_by_key(|(age, _)| *age).filter(|(age, _)| *age < wait);
            youngest.map(|held| (*node, held))
        })
    }

    /// Whom the seal that covers `index` has to cover, each with how it was. Nobody if no such seal is under way.
    pub(crate) fn standing(&self, index: u64) -> BTreeMap<NodeId, Option<Covered>> {
        self.seals.range(index..).next().map(|(_, seal)| seal.members.clone()).unwrap_or_default()
    }

    /// Takes out the seals that are complete at `now`, with how each node was covered.
    pub(crate) fn settle(&mut self, now: &Reading) -> Vec<(u64, Vec<Covered>)> {
        self.cover_expired(now);
        let majority = !self.rules.hold(Mutant::MajorityConfirms);
        let at_commit = !self.rules.hold(Mutant::AcknowledgedAtCommit);
        let is_complete = |_: &u64, seal: &mut Seal| {
            let covered = seal.members.values().flatten().count();
            covered == seal.members.len() || (majority && covered * 2 > seal.members.len()) || at_commit
        };
        let complete: Vec<_> = self.seals.extract_if(.., is_complete).collect();
        let receipt = |seal: Seal| seal.members.into_values().flatten().collect();
        complete.into_iter().map(|(index, seal)| (index, receipt(seal))).collect()
    }

    /// Covers every node whose leases from before an entry have all ended. Never the leader itself: it can
    /// only confirm.
    fn cover_expired(&mut self, now: &Reading) {
        for (index, seal) in &mut self.seals {
            let open = seal.members.iter_mut().filter(|(_, covered)| covered.is_none());
            for (node, covered) in open.filter(|(node, _)| **node != self.me) {
                let given = self.given.get(node).map_or(&[][..], Vec::as_slice);
                if left(self.rules, &self.terms, &self.began, given, *index, now).is_zero() {
                    *covered = Some(covered_at(*node, Cover::LeaseExpired, &seal.began, now));
                }
            }
        }
    }

    /// How long it takes, by the granter's clocks, until time alone covers one node more. `None` while no
    /// seal waits for a node that time can cover.
    pub(crate) fn next_expiry(&self, now: &Reading) -> Option<Duration> {
        let waits = self.seals.iter().flat_map(|(index, seal)| {
            let open = seal.members.iter().filter(|(node, covered)| covered.is_none() && **node != self.me);
            open.map(|(node, _)| {
                let given = self.given.get(node).map_or(&[][..], Vec::as_slice);
                left(self.rules, &self.terms, &self.began, given, *index, now)
            })
        });
        waits.min()
    }

    fn wait(&self) -> Duration {
        wait(self.rules, &self.terms)
    }
}

fn wait(rules: Rules, terms: &Terms) -> Duration {
    if rules.hold(Mutant::NoDriftMargin) { terms.wait } else { terms.duration }
}

/// How much longer a node may hold a lease from before the entry at `index`: of an earlier session, until W
/// after this one began; of this one, until W after each grant whose threshold is below the entry.
fn left(
    rules: Rules,
    terms: &Terms,
    began: &Reading,
    given: &[Given],
    index: u64,
    now: &Reading,
) -> Duration {
    let remaining = |since: &Reading| wait(rules, terms).saturating_sub(now.shortest_since(since));
    let unknown = if rules.hold(Mutant::NoWaitAfterStart) { remaining(began) } else { Duration::ZERO };
    let known = given.iter().filter(|given| given.rho < index).map(|given| remaining(&given.at));
    known.fold(unknown, Duration::max)
}

fn covered_at(node: NodeId, cover: Cover, began: &Reading, now: &Reading) -> Covered {
    let ms = u64::try_from(now.shortest_since(began).as_millis()).unwrap_or(u64::MAX);
    Covered { node, cover, ms }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use hapi_registry_state::Timestamp;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);
    /// Just after D and W for a lease of three seconds.
    const AFTER_W: u64 = 3_667;

    fn at(ms: u64) -> Reading {
        let time = Duration::from_millis(ms);
        Reading { boot: time, raw: time, wall: Timestamp(ms * 1_000) }
    }

    /// A session of A that began at 0, opened at index 10 with all confirmed.
    fn open() -> Session<u64> {
        let mut session = begun();
        session.open(1, 10, [A, B, C], at(0)).unwrap();
        for node in [A, B, C] {
            session.confirm(node, 10, &at(0));
        }
        assert_eq!(session.settle(&at(0)).len(), 1);
        session
    }

    fn begun() -> Session<u64> {
        Session::new(Rules::default(), Terms::new(Duration::from_secs(3)), A, 1, at(0))
    }

    fn covers(receipts: Vec<(u64, Vec<Covered>)>) -> Vec<(u64, Vec<(NodeId, Cover)>)> {
        let short = |nodes: Vec<Covered>| nodes.iter().map(|covered| (covered.node, covered.cover)).collect();
        receipts.into_iter().map(|(index, nodes)| (index, short(nodes))).collect()
    }

    #[test]
    fn no_grant_comes_before_the_opening_entry_or_under_another_leadership() {
        let mut session = begun();
        assert_eq!(session.grant(B, 1, 10, true, at(1)), Err(Denied::NotOpen));
        assert_eq!(session.open(2, 10, [A], at(1)), Err(Denied::Over), "elected anew since it began");
        session.open(1, 10, [A], at(1)).unwrap();
        assert_eq!(session.grant(B, 2, 10, true, at(1)), Err(Denied::Over));
        assert_eq!(session.grant(B, 1, 10, false, at(1)), Err(Denied::NotOnRoster));
        assert_eq!(session.grant(B, 1, 10, true, at(1)), Ok(10));
    }

    #[test]
    fn thresholds_follow_the_read_index_and_the_floor() {
        let mut session = open();
        assert_eq!(session.grant(B, 1, 4, true, at(1)), Ok(10), "the opening entry is the floor");
        assert_eq!(session.grant(B, 1, 14, true, at(2)), Ok(14));
        session.seal(1, 20, [A, B, C], at(3)).unwrap();
        assert_eq!(session.grant(B, 1, 14, true, at(4)), Ok(20));
    }

    #[test]
    fn no_seal_begins_before_the_opening_entry_or_under_another_leadership() {
        let mut session = begun();
        assert_eq!(session.seal(1, 9, [A], at(1)), Err(Denied::NotOpen));
        session.open(1, 10, [A], at(1)).unwrap();
        assert_eq!(
            session.seal(2, 11, [A], at(1)),
            Err(Denied::Over),
            "the successor's grants are not known"
        );
        assert_eq!(session.wanted_of(A), Some(10));
    }

    #[test]
    fn a_seal_waits_for_every_node_of_the_roster_and_of_the_table() {
        let mut session = open();
        session.grant(C, 1, 10, true, at(1)).unwrap();
        // C has left the roster since.
        session.seal(1, 20, [A, B], at(2)).unwrap();
        assert_eq!(session.awaited(), BTreeSet::from([A, B, C]));
        session.confirm(A, 20, &at(3));
        session.confirm(B, 25, &at(3));
        session.confirm(C, 19, &at(3));
        assert!(session.settle(&at(3)).is_empty());
        session.confirm(C, 20, &at(4));
        let all = vec![(A, Cover::Confirmed), (B, Cover::Confirmed), (C, Cover::Confirmed)];
        assert_eq!(covers(session.settle(&at(4))), [(20, all)]);
        assert!(session.settle(&at(4)).is_empty(), "a seal is complete once");
    }

    #[test]
    fn until_a_session_knows_all_leases_time_covers_nobody() {
        let mut session = begun();
        session.open(1, 10, [A, B], at(0)).unwrap();
        session.confirm(A, 10, &at(1));
        assert!(session.settle(&at(AFTER_W - 1)).is_empty());
        assert_eq!(session.next_expiry(&at(3_000)).unwrap().as_millis(), 666);
        let covered = covers(session.settle(&at(AFTER_W)));
        assert_eq!(covered, [(10, vec![(A, Cover::Confirmed), (B, Cover::LeaseExpired)])]);
    }

    #[test]
    fn a_lease_from_before_the_entry_holds_the_seal_up_and_a_later_one_does_not() {
        let mut session = open();
        session.grant(B, 1, 10, true, at(10_000)).unwrap();
        session.seal(1, 20, [A, B, C], at(10_500)).unwrap();
        session.grant(B, 1, 19, true, at(11_000)).unwrap();
        session.confirm(A, 20, &at(11_000));
        assert!(session.settle(&at(10_000 + AFTER_W - 1)).is_empty());
        let covered = covers(session.settle(&at(10_000 + AFTER_W)));
        let nodes = vec![(A, Cover::Confirmed), (B, Cover::LeaseExpired), (C, Cover::LeaseExpired)];
        assert_eq!(covered, [(20, nodes)]);
    }

    #[test]
    fn each_of_several_leases_from_before_the_entry_counts() {
        let mut session = open();
        session.grant(B, 1, 10, true, at(10_000)).unwrap();
        session.grant(B, 1, 12, true, at(10_800)).unwrap();
        session.seal(1, 20, [A, B], at(11_000)).unwrap();
        session.confirm(A, 20, &at(11_000));
        assert!(session.settle(&at(10_000 + AFTER_W)).is_empty());
        assert_eq!(session.settle(&at(10_800 + AFTER_W)).len(), 1);
    }

    #[test]
    fn who_watches_sees_the_youngest_leases_and_whom_a_seal_waits_for() {
        let mut session = open();
        session.grant(B, 1, 10, true, at(100)).unwrap();
        session.grant(B, 1, 12, true, at(200)).unwrap();
        let held = |ms| session.held(&at(ms)).collect::<Vec<_>>();
        assert_eq!(held(300), [(B, (Duration::from_millis(100), 12))]);
        assert_eq!(held(200 + AFTER_W), []);
        session.seal(1, 20, [A, B], at(400)).unwrap();
        session.confirm(A, 20, &at(405));
        let covered = Covered { node: A, cover: Cover::Confirmed, ms: 5 };
        assert_eq!(session.standing(20), BTreeMap::from([(A, Some(covered)), (B, None)]));
        assert_eq!(session.standing(19), session.standing(20), "a later seal covers it");
        assert_eq!(session.standing(21), BTreeMap::new());
    }

    #[test]
    fn the_leader_itself_is_covered_by_its_own_word_only() {
        let mut session = open();
        session.seal(1, 20, [A], at(100)).unwrap();
        assert!(session.settle(&at(1_000_000)).is_empty());
        assert_eq!(session.next_expiry(&at(1_000_000)), None);
        session.confirm(A, 20, &at(1_000_000));
        assert_eq!(session.settle(&at(1_000_000)).len(), 1);
    }

    #[test]
    fn one_confirmation_serves_every_seal_at_or_below_it() {
        let mut session = open();
        session.seal(1, 20, [A, B], at(100)).unwrap();
        session.seal(1, 21, [A, B], at(101)).unwrap();
        assert_eq!(session.wanted_of(B), Some(21));
        session.confirm(A, 21, &at(102));
        session.confirm(B, 20, &at(102));
        assert_eq!(session.settle(&at(102)).iter().map(|(index, _)| *index).collect::<Vec<_>>(), [20]);
        assert_eq!(session.wanted_of(B), Some(21));
        session.confirm(B, 21, &at(103));
        assert_eq!(session.settle(&at(103)).len(), 1);
        assert_eq!(session.wanted_of(B), None);
    }

    #[test]
    fn the_table_keeps_one_grant_a_threshold_and_none_that_has_ended() {
        let mut session = open();
        for ms in 0..1_000 {
            session.grant(B, 1, 10, true, at(ms)).unwrap();
        }
        assert_eq!(session.given[&B].len(), 1);
        session.grant(B, 1, 11, true, at(1_000)).unwrap();
        assert_eq!(session.given[&B].len(), 2);
        session.grant(B, 1, 12, true, at(1_000 + AFTER_W)).unwrap();
        assert_eq!(session.given[&B].len(), 1);
    }
}
