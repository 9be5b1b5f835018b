//! No late descriptor: once a deny-type write is acknowledged, no node issues what it forbids.
//!
//! Judged twice. By clients: no descriptor for a request that began after the acknowledgement had arrived. By
//! the nodes' own logs: no issue instant after the seal that covers the write, not even for a request that
//! was under way. Both in one clock, `CLOCK_BOOTTIME` of one machine.

use crate::{Issued, Request, Seal, ms_between};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

/// What a write forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Descriptors for this server.
    Server(Arc<str>),
    /// Descriptors for this client; one whose only token was revoked, too.
    Client(Arc<str>),
    /// Descriptors signed with any of these keys of a node.
    Keys {
        /// The node's place: its clients are the ones that may be given such.
        place: usize,
        /// The keys.
        kids: Vec<Box<str>>,
    },
}

impl Subject {
    /// Whether the request is one that the subject is about.
    fn is_asked_by(&self, request: &Request) -> bool {
        match self {
            Self::Server(server) => request.server == *server,
            Self::Client(client) => request.client == *client,
            Self::Keys { place, .. } => request.place == *place,
        }
    }

    /// Whether its answer is one that the denial forbids. A node without a key of its own may still hand over
    /// to one that has.
    fn is_given_to(&self, request: &Request) -> bool {
        match (self, &request.given) {
            (Self::Keys { kids, .. }, Some(given)) => request.is_given() && kids.contains(&given.kid),
            _ => request.is_given() && self.is_asked_by(request),
        }
    }

    fn is_of(&self, issued: &Issued) -> bool {
        match self {
            Self::Server(server) => *issued.server == **server,
            Self::Client(client) => *issued.client == **client,
            Self::Keys { kids, .. } => kids.contains(&issued.kid),
        }
    }
}

/// A deny-type write, from its acknowledgement until it was taken back.
#[derive(Clone, Debug)]
pub struct Denial {
    /// What happened around it, for people.
    pub story: String,
    /// What it forbids.
    pub subject: Subject,
    /// Its entry.
    pub index: u64,
    /// When the acknowledgement had arrived here. Never before it was given.
    pub acked_at: u64,
    /// When it began to be taken back: what clients get from then on proves nothing.
    pub until: Option<u64>,
    /// The entry that took it back: a state at or after it allows.
    pub lifted: Option<u64>,
}

/// All that was seen.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// By clients.
    pub requests: &'a [Request],
    /// By the nodes whose clocks tell the truth.
    pub issued: &'a [Issued],
    /// By the leaders whose clocks tell the truth.
    pub seals: &'a [Seal],
    /// What was forbidden.
    pub denials: &'a [Denial],
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A client was given a descriptor that it had asked for after the acknowledgement.
    Given {
        /// Of the denial.
        story: String,
        /// The client's record.
        request: Request,
        /// How long after the acknowledgement it began.
        after_ns: u64,
    },
    /// A node issued after the seal.
    Late {
        /// Of the denial.
        story: String,
        /// The node's record.
        issued: Issued,
        /// How long after the seal it was issued.
        after_ns: u64,
    },
    /// A node issued by a state that forbids it.
    Forbidden {
        /// Of the denial.
        story: String,
        /// The node's record.
        issued: Issued,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given { story, request, after_ns } => {
                let after = *after_ns as f64 / 1e6;
                write!(f, "{story}: asked {after:.3} ms after the acknowledgement and given: {request:?}")
            }
            Self::Late { story, issued, after_ns } => {
                write!(f, "{story}: issued {:.3} ms after the seal: {issued:?}", *after_ns as f64 / 1e6)
            }
            Self::Forbidden { story, issued } => {
                write!(f, "{story}: issued by a state that forbids: {issued:?}")
            }
        }
    }
}

/// What a history says.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What was not kept.
    pub violations: Vec<Violation>,
    /// How many denials had a request for their subject under way when they were acknowledged. The others
    /// prove nothing.
    pub crossed: usize,
    /// How many denials had their seal in a leader's log.
    pub sealed: usize,
    /// How many descriptors were held against the seals.
    pub issued: usize,
    /// The shortest time between the last issue instant and the seal of any denial, in milliseconds: how
    /// closely the promise was tried.
    pub closest_ms: Option<f64>,
}

/// Judges a history.
pub fn judge(history: History<'_>) -> Verdict {
    let mut verdict = Verdict { issued: history.issued.len(), ..Verdict::default() };
    for denial in history.denials {
        let seal = seal_of(denial, history.seals);
        verdict.sealed += usize::from(seal.is_some());
        verdict.crossed += usize::from(is_crossed(denial, history.requests));
        verdict.violations.extend(given(denial, history.requests));
        let sealed_at = seal.map_or(denial.acked_at, |seal| seal.acked_at.min(denial.acked_at));
        verdict.violations.extend(late(denial, sealed_at, history.issued));
        let before = last_before(denial, sealed_at, history.issued).map(|at| ms_between(at, sealed_at));
        verdict.closest_ms = [verdict.closest_ms, before].into_iter().flatten().reduce(f64::min);
    }
    verdict
}

/// The first seal, of any leader, that covers the entry. Later ones cover it again and mean nothing more.
fn seal_of<'a>(denial: &Denial, seals: &'a [Seal]) -> Option<&'a Seal> {
    seals.iter().filter(|seal| seal.index >= denial.index).min_by_key(|seal| seal.acked_at)
}

/// Whether a request for the subject was under way when the acknowledgement arrived.
fn is_crossed(denial: &Denial, requests: &[Request]) -> bool {
    let acked_at = denial.acked_at;
    let is_under_way = |request: &Request| request.start < acked_at && acked_at < request.end;
    requests.iter().any(|request| is_under_way(request) && denial.subject.is_asked_by(request))
}

/// A request that ends after the denial began to be taken back may have been decided after that, too: the
/// logs tell.
fn given<'a>(denial: &'a Denial, requests: &'a [Request]) -> impl Iterator<Item = Violation> + 'a {
    let is_within = |request: &&Request| {
        request.start > denial.acked_at && denial.until.is_none_or(|until| request.end < until)
    };
    let given = requests.iter().filter(|request| denial.subject.is_given_to(request));
    given.filter(is_within).map(|request| Violation::Given {
        story: denial.story.clone(),
        request: request.clone(),
        after_ns: request.start - denial.acked_at,
    })
}

/// States from the denial on forbid, until the entry that lifts it: issuing by one is wrong at any time.
/// States before it allow, until the seal. States after it allow again.
fn late<'a>(
    denial: &'a Denial,
    sealed_at: u64,
    issued: &'a [Issued],
) -> impl Iterator<Item = Violation> + 'a {
    issued.iter().filter(|issued| denial.subject.is_of(issued)).filter_map(move |issued| {
        let (story, is_before) = (denial.story.clone(), issued.index < denial.index);
        let is_lifted = denial.lifted.is_some_and(|lifted| issued.index >= lifted);
        match (is_before, is_lifted) {
            (_, true) => None,
            (false, false) => Some(Violation::Forbidden { story, issued: issued.clone() }),
            (true, false) => issued
                .at
                .checked_sub(sealed_at)
                .filter(|after| *after > 0)
                .map(|after_ns| Violation::Late { story, issued: issued.clone(), after_ns }),
        }
    })
}

fn last_before(denial: &Denial, sealed_at: u64, issued: &[Issued]) -> Option<u64> {
    let of_subject = issued.iter().filter(|issued| denial.subject.is_of(issued));
    of_subject.map(|issued| issued.at).filter(|at| *at <= sealed_at).max()
}

/// Checks that the nodes' logs can be believed: each descriptor that a client holds stands in one of them,
/// issued while that client's request was under way. Yields those that do not, with what the log says.
pub fn untrue<'a>(requests: &'a [Request], issued: &'a [Issued]) -> Vec<(&'a Request, Option<&'a Issued>)> {
    let lines: HashMap<&str, &Issued> = issued.iter().map(|issued| (&*issued.jti, issued)).collect();
    let line = |request: &Request| lines.get(&*request.given.as_ref()?.jti).copied();
    let is_true = |request: &Request, line: &Issued| (request.start..=request.end).contains(&line.at);
    let given = requests.iter().filter(|request| request.is_given()).map(|request| (request, line(request)));
    given.filter(|(request, line)| !line.is_some_and(|line| is_true(request, line))).collect()
}

impl Verdict {
    /// Checks that the promise was kept, and that it was tried.
    ///
    /// # Panics
    /// With the violations, or when fewer than `least` denials were crossed by requests.
    pub fn assert_kept(&self, least: usize) {
        let shown: Vec<_> = self.violations.iter().take(5).map(ToString::to_string).collect();
        let count = self.violations.len();
        assert!(shown.is_empty(), "{count} violations, the first of them:\n{}", shown.join("\n"));
        assert!(self.crossed >= least, "only {} of at least {least} denials prove anything", self.crossed);
    }

    /// The stories of the denials that were violated.
    pub fn violated(&self) -> BTreeSet<&str> {
        self.violations.iter().map(Violation::story).collect()
    }
}

impl Violation {
    fn story(&self) -> &str {
        match self {
            Self::Given { story, .. } | Self::Late { story, .. } | Self::Forbidden { story, .. } => story,
        }
    }
}

#[cfg(test)]
mod tests;
