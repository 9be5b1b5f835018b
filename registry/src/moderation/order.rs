//! Acts of moderators, and what comes of them.

use super::{Act, Moderation, Standing, Subject, Target};
use crate::{Outcome, Principal, Registry, Rejection, Right, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest reason, in bytes.
const MAX_REASON: usize = 1_000;
/// The longest case reference, in bytes.
const MAX_CASE: usize = 200;

/// What a moderator wants done, to what, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What is done.
    pub act: Act,
    /// To what.
    pub target: Target,
    /// Why; shown to whoever is refused because of it.
    pub reason: String,
    /// The moderator's own reference.
    pub case: Option<String>,
    /// When a suspension or a quarantine lifts itself.
    pub expires_at: Option<Timestamp>,
}

pub(super) fn check_reason(reason: &str) -> Result<(), Rejection> {
    if reason.trim().is_empty() || reason.len() > MAX_REASON {
        return Err(Rejection::Invalid(format!("a reason of 1 to {MAX_REASON} bytes is needed")));
    }
    Ok(())
}

/// What came of an act for one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moderated {
    /// Done as asked.
    Done,
    /// It stood so already.
    Unchanged {
        /// The index of the entry that made it so.
        since: u64,
    },
}

impl From<Moderated> for Outcome {
    fn from(moderated: Moderated) -> Self {
        match moderated {
            Moderated::Done => Self::Done,
            Moderated::Unchanged { since } => Self::Unchanged { since },
        }
    }
}

impl Order {
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Rejection> {
        let wrong = |text: String| Err(Rejection::Invalid(text));
        check_reason(&self.reason)?;
        if self.case.as_ref().is_some_and(|case| case.len() > MAX_CASE) {
            return wrong(format!("a case reference has at most {MAX_CASE} bytes"));
        }
        match self.expires_at {
            Some(_) if !self.act.may_end() => wrong(format!(
                "`expires_at` goes with suspend and quarantine, not with {}",
                self.act.as_str()
            )),
            Some(end) if end <= now => wrong(format!("`expires_at` lies in the past: it is {now} now")),
            _ => Ok(()),
        }
    }
}

impl Registry {
    pub(crate) fn moderate(&mut self, by: &Principal, order: &Order) -> Result<Outcome, Rejection> {
        self.require(by, Right::Moderate)?;
        order.check(self.at)?;
        let subjects = self.fitting(&order.target)?;
        if self.needs_second(order, &subjects) {
            return self.ask(by, order, subjects);
        }
        self.carry_out(order, subjects)
    }

    /// Does what is ordered to the subjects that its target stands for.
    pub(super) fn carry_out(&mut self, order: &Order, subjects: Vec<Subject>) -> Result<Outcome, Rejection> {
        match &order.target {
            Target::One(subject) => self.moderate_one(order, subject).map(Outcome::from),
            _ => Ok(self.moderate_each(order, subjects)),
        }
    }

    /// Each on its own, as if it had been named alone: what cannot be for one is no reason to spare the others.
    fn moderate_each(&mut self, order: &Order, subjects: Vec<Subject>) -> Outcome {
        let one = |subject| {
            let moderated = self.moderate_one(order, &subject);
            (subject, moderated)
        };
        Outcome::Moderated(subjects.into_iter().map(one).collect())
    }

    pub(super) fn moderate_one(&mut self, order: &Order, subject: &Subject) -> Result<Moderated, Rejection> {
        self.require_subject(subject, order.act)?;
        let old = self.moderation(subject);
        let new = self.judged(order, old, self.stands(subject))?;
        if let Some(old) = old.filter(|old| old.says_the_same(&new)) {
            return Ok(Moderated::Unchanged { since: old.index });
        }
        self.put_moderation(subject.clone(), new);
        if order.act.denies() {
            self.take_from(order.act, subject);
        }
        Ok(Moderated::Done)
    }

    /// What the record says after an act.
    fn judged(
        &self,
        order: &Order,
        old: Option<&Moderation>,
        stands: Standing,
    ) -> Result<Moderation, Rejection> {
        let standing = stands.after(order.act)?;
        let verified = match order.act {
            Act::Verify => Some(true),
            Act::Unverify => Some(false),
            _ => old.and_then(|record| record.verified),
        };
        let (at, index) = (self.at, self.applied);
        // Vouching for what is suspended must not overwrite why it is suspended, nor until when.
        let vouches = matches!(order.act, Act::Verify | Act::Unverify);
        if let Some(old) = old.filter(|_| vouches && standing != Standing::None) {
            return Ok(Moderation { verified, at, index, ..old.clone() });
        }
        let (reason, case, expires_at) = (order.reason.clone(), order.case.clone(), order.expires_at);
        Ok(Moderation { standing, verified, reason, case, at, index, expires_at })
    }

    /// A namespace may be moderated before anything is in it; everything else must exist.
    fn require_subject(&self, subject: &Subject, act: Act) -> Result<(), Rejection> {
        let exists = match subject {
            Subject::Namespace(_) => true,
            Subject::Server(name) => self.servers.contains_key(name),
            Subject::Version(name, version) => {
                self.servers.get(name).is_some_and(|server| server.versions.contains_key(version))
            }
            Subject::Client(id) => self.clients.contains_key(id),
            Subject::Tenant(id) => self.tenants.contains_key(id),
            Subject::Token(id) => self.tokens.contains_key(id),
            Subject::Key(kid) => self.keys.contains_key(kid),
            Subject::Node(node) => self.roster.contains_key(node),
        };
        if !exists {
            return Err(Rejection::SubjectNotFound(subject.clone()));
        }
        if !subject.takes(act) {
            return Err(Rejection::ActNotApplicable(act, subject.kind().into()));
        }
        self.require_another_operator(subject, act)
    }
}

impl Moderation {
    /// Whether nothing would come of replacing one by the other. An act without an end makes an end go away.
    fn says_the_same(&self, other: &Self) -> bool {
        (self.standing, self.verified, self.expires_at) == (other.standing, other.verified, other.expires_at)
    }
}
