//! Webhooks: who is told of what is done, and up to where that has come.
//!
//! The leader tells them, and says now and then in the log how far it has come; whoever leads next goes on there. What was
//! told since is told again, under the same id.

use crate::{Event, Glob, Outcome, Principal, Registry, Rejection, Right, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most webhooks: each is a task of the leader, and a label of its metrics.
const MAX_WEBHOOKS: usize = 16;

/// The longest URL, in bytes, and the most globs of each list.
const MAX_URL: usize = 2_000;
const MAX_GLOBS: usize = 100;

/// What an operator says of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSettings {
    /// Where it is told.
    pub url: String,
    /// Which acts; without any, all.
    pub acts: Vec<Glob>,
    /// Acts on which kinds of subject; without any, on all.
    pub kinds: Vec<Glob>,
    /// Whether it is told at all now.
    pub active: bool,
}

impl WebhookSettings {
    /// Whether it is told of an event.
    pub fn wants(&self, event: &Event<'_>) -> bool {
        let listed =
            |globs: &[Glob], word: &str| globs.is_empty() || globs.iter().any(|glob| glob.matches(word));
        listed(&self.acts, &event.record.act) && listed(&self.kinds, event.kind())
    }

    fn check(&self) -> Result<(), Rejection> {
        let invalid = |text: String| Err(Rejection::Invalid(text));
        if self.url.is_empty() || self.url.len() > MAX_URL {
            return invalid(format!("the URL of a webhook has 1 to {MAX_URL} characters"));
        }
        if self.acts.len().max(self.kinds.len()) > MAX_GLOBS {
            return invalid(format!("each list of a webhook has at most {MAX_GLOBS} globs"));
        }
        Ok(())
    }
}

/// Somebody who is told of what is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// What an operator says of it.
    pub settings: WebhookSettings,
    /// All that it wants up to this index has been taken.
    pub delivered: u64,
    /// Since when the next event has not been taken, if that was so for long.
    pub failing_since: Option<Timestamp>,
    /// The index of the entry that made these settings.
    pub index: u64,
}

impl Registry {
    pub(crate) fn create_webhook(
        &mut self,
        by: &Principal,
        id: &WebhookId,
        settings: &WebhookSettings,
        since: Option<u64>,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        settings.check()?;
        if self.webhooks.contains_key(id) {
            return Err(Rejection::WebhookExists(id.clone()));
        }
        if self.webhooks.len() >= MAX_WEBHOOKS {
            return Err(Rejection::Invalid(format!("there are at most {MAX_WEBHOOKS} webhooks")));
        }
        let delivered = self.place(since)?.unwrap_or(self.applied);
        self.put_webhook(id, settings, delivered);
        Ok(Outcome::Done)
    }

    pub(crate) fn change_webhook(
        &mut self,
        by: &Principal,
        id: &WebhookId,
        settings: &WebhookSettings,
        skip_to: Option<u64>,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        settings.check()?;
        let former = self.known_webhook(id)?;
        let delivered = self.place(skip_to)?.unwrap_or(former.delivered);
        if former.settings == *settings && former.delivered == delivered {
            return Ok(Outcome::Unchanged { since: former.index });
        }
        self.put_webhook(id, settings, delivered);
        Ok(Outcome::Done)
    }

    pub(crate) fn remove_webhook(&mut self, by: &Principal, id: &WebhookId) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        match self.webhooks.remove(id) {
            Some(_) => Ok(Outcome::Done),
            None => Err(Rejection::WebhookNotFound(id.clone())),
        }
    }

    /// How far the leader has come by the settings of the entry `of`, and whether it gets no further.
    pub(crate) fn webhook_delivered(
        &mut self,
        by: &Principal,
        id: &WebhookId,
        of: u64,
        to: u64,
        failing: bool,
    ) -> Result<Outcome, Rejection> {
        self.require_system(by)?;
        let webhook = self.known_webhook(id)?;
        if webhook.index != of {
            return Err(Rejection::WebhookNotFound(id.clone()));
        }
        if !(webhook.delivered..self.applied).contains(&to) {
            return Err(Rejection::Invalid(format!(
                "index {to} is not between what was delivered and this entry"
            )));
        }
        let failing_since = failing.then(|| webhook.failing_since.unwrap_or(self.at));
        self.webhooks.insert(id.clone(), Arc::new(Webhook { delivered: to, failing_since, ..webhook }));
        Ok(Outcome::Done)
    }

    fn put_webhook(&mut self, id: &WebhookId, settings: &WebhookSettings, delivered: u64) {
        let (settings, index) = (settings.clone(), self.applied);
        let webhook = Webhook { settings, delivered, failing_since: None, index };
        self.webhooks.insert(id.clone(), Arc::new(webhook));
    }

    fn known_webhook(&self, id: &WebhookId) -> Result<Webhook, Rejection> {
        self.webhook(id).cloned().ok_or_else(|| Rejection::WebhookNotFound(id.clone()))
    }

    /// Somewhere in the log, so far.
    fn place(&self, index: Option<u64>) -> Result<Option<u64>, Rejection> {
        match index.filter(|index| *index > self.applied) {
            Some(index) => Err(Rejection::Invalid(format!("the log has not come to index {index} yet"))),
            None => Ok(index),
        }
    }

    /// The webhook with this id.
    pub fn webhook(&self, id: &WebhookId) -> Option<&Webhook> {
        self.webhooks.get(id).map(|webhook| &**webhook)
    }

    /// All webhooks, by id.
    pub fn webhooks(&self) -> impl Iterator<Item = (&WebhookId, &Webhook)> {
        self.webhooks.iter().map(|(id, webhook)| (id, &**webhook))
    }
}
