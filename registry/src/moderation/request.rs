//! The rule of two persons: what one moderator asks for, another one confirms.
//!
//! It guards against one moderator, or one stolen token: not against operators, who make tokens and set the rule.
//! Denying for now never needs a second person; what undoes a denial does, by whatever way, and what cannot be undone.

use super::{Act, Moderation, Order, Standing, Subject, Target};
use crate::{Outcome, Principal, Registry, Rejection, Right, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long a request waits, in seconds by the time of the log.
const LIFE: u64 = 86_400;

/// The most requests that wait at a time.
const MAX_REQUESTS: usize = 1_000;

/// What a moderator has asked for, and nobody else has confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActRequest {
    /// What is to be done.
    pub order: Order,
    /// To whom: what fitted when it was asked for, each with the index of its record then, 0 if it had none.
    pub subjects: Vec<(Subject, u64)>,
    /// Who asked.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// From when on it counts no more.
    pub expires_at: Timestamp,
}

impl Registry {
    /// Whether somebody else has to confirm it.
    pub(super) fn needs_second(&self, order: &Order, subjects: &[Subject]) -> bool {
        self.rules.two_person
            && subjects.iter().any(|subject| self.undoes(order, subject) || order.is_final())
    }

    /// Whether it may lift what is denied, now or sooner than it was to end. A new version that nobody has looked at
    /// was denied by nobody: approving it undoes nothing.
    fn undoes(&self, order: &Order, subject: &Subject) -> bool {
        let Some(record) = self.moderation(subject).filter(|record| record.standing != Standing::None) else {
            return false;
        };
        match order.act {
            Act::Reinstate => true,
            Act::Approve => !self.came_in_with(record),
            act => act.may_end() && order.expires_at.is_some_and(|end| record.lasts_beyond(end)),
        }
    }

    /// Whether the record was made by the entry that brought the version in.
    fn came_in_with(&self, record: &Moderation) -> bool {
        let audited = self.audit_record(record.index);
        audited.is_some_and(|audited| matches!(audited.act.as_str(), "publish" | "import" | "mirror"))
    }

    /// Notes what is asked for, if it is something that could be done.
    pub(super) fn ask(
        &mut self,
        by: &Principal,
        order: &Order,
        subjects: Vec<Subject>,
    ) -> Result<Outcome, Rejection> {
        let outcome = self.clone().carry_out(order, subjects.clone())?;
        if !outcome.changed() {
            return Ok(outcome);
        }
        let same = |request: &ActRequest| {
            (request.order.act, &request.order.target, request.order.expires_at)
                == (order.act, &order.target, order.expires_at)
        };
        let twin = self.act_requests().find(|(_, request)| same(request) && self.still_counts(request));
        if let Some((id, _)) = twin {
            return Err(Rejection::AlreadyAsked(id));
        }
        if self.act_requests().count() >= MAX_REQUESTS {
            return Err(Rejection::Invalid(format!("{MAX_REQUESTS} acts wait to be confirmed already")));
        }
        let index = |subject: &Subject| self.moderation(subject).map_or(0, |record| record.index);
        let request = ActRequest {
            order: order.clone(),
            subjects: subjects.into_iter().map(|subject| (subject.clone(), index(&subject))).collect(),
            by: by.clone(),
            at: self.at,
            expires_at: self.at.plus_seconds(LIFE),
        };
        self.forget_act_requests();
        self.act_requests.insert(self.applied, Arc::new(request));
        Ok(Outcome::Asked)
    }

    /// Does what somebody else has asked for.
    pub(crate) fn confirm_act(&mut self, by: &Principal, id: u64) -> Result<Outcome, Rejection> {
        self.require(by, Right::Moderate)?;
        let request = self.act_request(id).cloned().ok_or(Rejection::RequestNotFound(id))?;
        if is_same_person(by, &request.by) {
            return Err(Rejection::SamePerson(id));
        }
        if !self.still_counts(&request) {
            return Err(Rejection::RequesterGone(id));
        }
        request.order.check(self.at)?;
        let outcome = self.carry_out_asked(&request)?;
        if outcome.changed() {
            self.act_requests.remove(&id);
        }
        Ok(outcome)
    }

    /// What a stolen token asked for before it was stopped is nobody's word.
    fn still_counts(&self, request: &ActRequest) -> bool {
        match &request.by {
            Principal::Token(token) => self.live_token(token).is_some(),
            // Its token ends long before the request does; what it said counts as long as its provider does.
            Principal::Oidc(grant) => {
                self.identity_provider(&grant.provider).is_some_and(|provider| provider.index == grant.of)
            }
            _ => true,
        }
    }

    fn carry_out_asked(&mut self, request: &ActRequest) -> Result<Outcome, Rejection> {
        let ActRequest { order, subjects, .. } = request;
        let changed = |registry: &Self, subject: &Subject, index: u64| {
            // What is denied for ever may have been denied for now meanwhile: that is what one does first.
            !order.is_final() && registry.moderation(subject).map_or(0, |record| record.index) != index
        };
        if let (Target::One(_), [(subject, index)]) = (&order.target, &**subjects) {
            if changed(self, subject, *index) {
                return Err(Rejection::ModerationChanged(subject.clone()));
            }
            return self.carry_out(order, vec![subject.clone()]);
        }
        let one = |(subject, index): &(Subject, u64)| {
            let moderated = match changed(self, subject, *index) {
                true => Err(Rejection::ModerationChanged(subject.clone())),
                false => self.moderate_one(order, subject),
            };
            (subject.clone(), moderated)
        };
        Ok(Outcome::Moderated(subjects.iter().map(one).collect()))
    }

    /// Takes a request off: somebody else's is rejected, one's own withdrawn.
    pub(crate) fn reject_act(&mut self, by: &Principal, id: u64, reason: &str) -> Result<Outcome, Rejection> {
        self.require(by, Right::Moderate)?;
        super::order::check_reason(reason)?;
        if self.act_request(id).is_none() {
            return Err(Rejection::RequestNotFound(id));
        }
        self.act_requests.remove(&id);
        Ok(Outcome::Done)
    }

    fn forget_act_requests(&mut self) {
        while let Some((id, request)) = self.act_requests.get_min().cloned() {
            if self.at < request.expires_at {
                return;
            }
            self.act_requests.remove(&id);
        }
    }

    /// What waits to be confirmed, the oldest first.
    pub fn act_requests(&self) -> impl Iterator<Item = (u64, &ActRequest)> {
        let waiting = self.act_requests.iter().filter(|(_, request)| self.at < request.expires_at);
        waiting.map(|(id, request)| (*id, &**request))
    }

    /// The request that was made by the entry of this index, if it still waits.
    pub fn act_request(&self, id: u64) -> Option<&ActRequest> {
        self.act_requests.get(&id).map(|request| &**request).filter(|request| self.at < request.expires_at)
    }
}

impl Order {
    /// Whether nothing undoes it.
    fn is_final(&self) -> bool {
        self.act == Act::Revoke
    }
}

impl Moderation {
    fn lasts_beyond(&self, end: Timestamp) -> bool {
        self.expires_at.is_none_or(|own| own > end)
    }
}

/// Tokens say nothing of who bears them, so that two of them are two persons. Whoever proves itself otherwise is one
/// under whichever proof.
fn is_same_person(one: &Principal, other: &Principal) -> bool {
    one.to_string() == other.to_string()
}
