//! Issuance, one read or check a step, so that the process may stand still between any two.

use super::{node::Node, oracle::Oracle};
use crate::lease::{
    clock::Reading,
    holder::Lease,
    issue::{Basis, Release},
    rules::Rules,
};

/// How far an issuance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Issue {
    /// The lease is captured.
    Captured(Lease),
    /// The state is loaded, and the lease was good after that.
    Loaded { basis: Basis, state: u64, active: bool },
    /// The decision is taken on that state: yes.
    Decided { basis: Basis, state: u64 },
    /// The descriptor is signed.
    Signed { basis: Basis, decided_on: u64 },
    /// The state is read again. This was the issue instant, if it is released; `forbidden` is what the
    /// oracle says of that.
    Read { basis: Basis, decided_on: u64, state: u64, denied: u64, active: bool, forbidden: Option<u64> },
}

/// The next step of the issuance in `issue`, or the first.
pub(super) fn step(
    node: &Node,
    rules: Rules,
    issue: Option<Issue>,
    ms: u64,
    oracle: &mut Oracle,
) -> Option<Issue> {
    match issue {
        None => node.lease.map(Issue::Captured),
        Some(Issue::Captured(lease)) => load(node, rules, &lease, &node.clocks.read(ms)),
        Some(Issue::Loaded { active: false, .. }) => None,
        Some(Issue::Loaded { basis, state, .. }) => Some(Issue::Decided { basis, state }),
        Some(Issue::Decided { basis, state }) => Some(Issue::Signed { basis, decided_on: state }),
        Some(Issue::Signed { basis, decided_on }) => Some(read(node, basis, decided_on, oracle)),
        Some(read @ Issue::Read { .. }) => check(node, rules, read, &node.clocks.read(ms), oracle),
    }
}

fn load(node: &Node, rules: Rules, lease: &Lease, now: &Reading) -> Option<Issue> {
    let view = &node.view;
    let basis = Basis::capture(rules, lease, now, view.applied, view.denied)?;
    Some(Issue::Loaded { basis, state: view.applied, active: view.is_active(node.me) })
}

fn read(node: &Node, basis: Basis, decided_on: u64, oracle: &Oracle) -> Issue {
    let view = &node.view;
    let forbidden = oracle.forbids(node.me, decided_on);
    let active = view.is_active(node.me);
    Issue::Read { basis, decided_on, state: view.applied, denied: view.denied, active, forbidden }
}

fn check(node: &Node, rules: Rules, issue: Issue, now: &Reading, oracle: &mut Oracle) -> Option<Issue> {
    let Issue::Read { basis, decided_on, state, denied, active, forbidden } = issue else { return None };
    match basis.release(rules, node.lease.as_ref(), now, denied) {
        Release::Now => oracle.release(node.me, decided_on, forbidden),
        Release::Never => oracle.record.figures.withheld += 1,
        Release::DecideAgain => {
            oracle.record.figures.decided_again += 1;
            return active.then(|| Issue::Signed { basis: basis.decided_again(denied), decided_on: state });
        }
    }
    None
}
