//! What a campaign has shown.

use crate::{Cluster, Denial, History, Issued, Request, Seal, Verdict, judge, ms_between, untrue};
use std::collections::{BTreeMap, BTreeSet};

/// The record of a campaign, and the judgement.
#[derive(Debug)]
pub struct Report {
    /// All that clients saw.
    pub requests: Vec<Request>,
    /// All that nodes with true clocks logged.
    pub issued: Vec<Issued>,
    /// The denials.
    pub denials: Vec<Denial>,
    /// Whether the promise was kept.
    pub verdict: Verdict,
}

pub(super) fn judged(
    cluster: &Cluster,
    requests: Vec<Request>,
    denials: Vec<Denial>,
    distrusted: &BTreeSet<usize>,
    has_killed: bool,
) -> Report {
    let trusted = || (0..cluster.size()).filter(|place| !distrusted.contains(place));
    let issued: Vec<_> = trusted().flat_map(|place| Issued::read(&cluster.data(place))).collect();
    let seals: Vec<_> = trusted().flat_map(|place| Seal::all(&cluster.log_lines(place))).collect();
    if distrusted.is_empty() {
        assert_true(&requests, &issued, has_killed);
    }
    let history = History { requests: &requests, issued: &issued, seals: &seals, denials: &denials };
    let verdict = judge(history);
    let report = Report { verdict, requests, issued, denials };
    report.tell();
    report
}

/// A killed process may take the last lines of its log along, but what stands there must be true.
fn assert_true(requests: &[Request], issued: &[Issued], has_killed: bool) {
    let untrue = untrue(requests, issued);
    let wrong = untrue.iter().find(|(_, line)| line.is_some() || !has_killed);
    assert_eq!(wrong, None, "one of {} descriptors that no issuance log tells rightly", untrue.len());
}

impl Report {
    fn tell(&self) {
        let mut codes = BTreeMap::<_, usize>::new();
        for request in &self.requests {
            *codes.entry((request.status, &*request.code)).or_default() += 1;
        }
        let slowest = self.requests.iter().map(|request| ms_between(request.start, request.end));
        let Verdict { violations, crossed, sealed, issued, closest_ms } = &self.verdict;
        eprintln!("{} denials, {crossed} crossed by requests, {sealed} with their seal", self.denials.len());
        eprintln!("{issued} descriptors logged, the closest {closest_ms:?} ms before a seal");
        eprintln!("answers {codes:?}, the slowest {:?} ms", slowest.reduce(f64::max));
        eprintln!("violations: {}", violations.len());
    }

    /// Checks that the promise was kept in every trial and tried in nearly all, and that the seals of all are
    /// in the logs.
    ///
    /// # Panics
    /// When it was not.
    pub fn assert_kept(&self) {
        let denials = self.denials.len();
        self.verdict.assert_kept((denials * 4).div_ceil(5));
        assert_eq!(self.verdict.sealed, denials, "each acknowledgement has its `sealed` line");
    }
}
