//! The way of events to one webhook, as long as this node leads and nobody changes it.

use super::Webhooks;
use crate::{clock, events::ShownEvent, outbound::OutboundError};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hapi_raft::{Replica, Role};
use hapi_registry_state::{Command, Principal, Registry, Webhook, WebhookId};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use url::Url;

/// How far it has come is written down after so many events, and after this time.
const NOTE_EVENTS: u64 = 100;
const NOTE_AFTER: Duration = Duration::from_secs(1);

/// Rest after the first failure, which doubles with each, and the longest.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(600);

/// An event that was not taken for so long marks its webhook as failing. The alert goes by the same time.
const FAILING_AFTER: Duration = Duration::from_secs(900);

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("this node has no key that signs")]
    NoKey,
    #[error("the URL or a header cannot be written")]
    Unwritable,
}

pub(super) struct Courier {
    webhooks: Arc<Webhooks>,
    replica: Replica,
    id: WebhookId,
    /// By which settings it goes.
    of: u64,
    /// All that is wanted up to here has been taken.
    taken: u64,
    /// The same, and what came behind it is not wanted.
    looked: u64,
    /// What the log says of `taken`, and since when it is behind.
    noted: u64,
    behind: u64,
    last_note: Instant,
    /// When the present event was first tried in vain, and how often.
    since: Option<Instant>,
    failures: u32,
}

impl Courier {
    pub(super) fn new(webhooks: Arc<Webhooks>, replica: Replica, id: WebhookId, of: u64) -> Self {
        let last_note = Instant::now();
        let (taken, looked, noted, behind, failures) = (0, 0, 0, 0, 0);
        Self { webhooks, replica, id, of, taken, looked, noted, behind, last_note, since: None, failures }
    }

    pub(super) async fn run(mut self) {
        // What an earlier leader wrote last may not be applied here yet.
        if self.replica.read_index().await.is_err() {
            return;
        }
        let Some(webhook) = self.webhook(&self.replica.state()) else { return };
        (self.taken, self.looked, self.noted) = (webhook.delivered, webhook.delivered, webhook.delivered);
        // Whoever leads no more is told to stop within a second, and need not tell another event.
        while self.replica.status().role == Role::Leader {
            let state = self.replica.state();
            let Some(webhook) = self.webhook(&state) else { return };
            match self.next(&state, &webhook) {
                Some(event) => self.tell(&state, &webhook, &event).await,
                None => self.idle(&webhook).await,
            }
        }
    }

    /// What the state says of this webhook, unless somebody has changed it.
    fn webhook(&self, state: &Registry) -> Option<Webhook> {
        state.webhook(&self.id).filter(|webhook| webhook.index == self.of && webhook.settings.active).cloned()
    }

    fn next(&mut self, state: &Registry, webhook: &Webhook) -> Option<ShownEvent> {
        let wanted = state.events_after(self.looked).find(|event| webhook.settings.wants(event));
        if wanted.is_none() {
            self.looked = self.looked.max(state.applied());
        }
        wanted.map(|event| ShownEvent::new(&event))
    }

    /// Nothing is to be told: what was taken is written down, and the next entry waited for.
    async fn idle(&mut self, webhook: &Webhook) {
        self.webhooks.counters.waiting(&self.id, None);
        if self.behind > 0 && self.last_note.elapsed() >= NOTE_AFTER {
            self.note(webhook, false).await;
        }
        let _ = self.replica.wait_applied(self.looked + 1, NOTE_AFTER).await;
    }

    async fn tell(&mut self, state: &Registry, webhook: &Webhook, event: &ShownEvent) {
        self.webhooks.counters.waiting(&self.id, Some(event.instant));
        match self.send(state, webhook, event).await {
            Ok(()) => {
                self.taken(event.index);
                let is_due = self.behind >= NOTE_EVENTS || self.last_note.elapsed() >= NOTE_AFTER;
                if is_due {
                    self.note(webhook, false).await;
                }
            }
            Err(error) => self.failed(webhook, event.index, &error).await,
        }
    }

    fn taken(&mut self, index: u64) {
        (self.taken, self.looked, self.since, self.failures) = (index, index, None, 0);
        self.behind += 1;
        self.webhooks.counters.delivered(&self.id);
        let success = Some(clock::now());
        self.webhooks.change(&self.id, |seen| {
            (seen.last_success, seen.error, seen.failures) = (success, None, 0);
        });
    }

    async fn failed(&mut self, webhook: &Webhook, index: u64, error: &DeliveryError) {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.failures = self.failures.saturating_add(1);
        self.webhooks.counters.failed(&self.id);
        let failures = self.failures;
        self.webhooks
            .change(&self.id, |seen| (seen.error, seen.failures) = (Some(error.to_string()), failures));
        tracing::debug!(webhook = %self.id, index, failures, %error, "an event was not taken");
        let is_failing = since.elapsed() >= FAILING_AFTER && webhook.failing_since.is_none();
        if is_failing {
            tracing::warn!(webhook = %self.id, index, %error, "a webhook has long not taken an event");
        }
        // However long it rests, what was taken before is written down in time.
        if is_failing || self.behind > 0 {
            self.note(webhook, is_failing || webhook.failing_since.is_some()).await;
        }
        sleep(jittered(rest_after(failures))).await;
    }

    /// Writes down how far it has come. What is not written is only told again.
    async fn note(&mut self, webhook: &Webhook, failing: bool) {
        self.last_note = Instant::now();
        if self.taken == self.noted && failing == webhook.failing_since.is_some() {
            return;
        }
        let (id, of, to) = (self.id.clone(), self.of, self.taken);
        let command = Command::WebhookDelivered { id, of, to, failing };
        match self.replica.propose(Principal::System, command).await {
            Ok(_) => (self.noted, self.behind) = (to, 0),
            Err(error) => {
                tracing::debug!(webhook = %self.id, %error, "how far a webhook has come was not written");
            }
        }
    }

    async fn send(
        &self,
        state: &Registry,
        webhook: &Webhook,
        event: &ShownEvent,
    ) -> Result<(), DeliveryError> {
        let node = self.replica.node_id();
        let (_, signer) = self.webhooks.signing.signer(state, node).ok_or(DeliveryError::NoKey)?;
        let url: Url = webhook.settings.url.parse().map_err(|_| DeliveryError::Unwritable)?;
        let id = format!("evt_{}_{}", state.incarnation(), event.index);
        let seconds = clock::now().seconds();
        let body = json!({
            "type": format!("{}.{}", event.kind, event.act), "timestamp": event.at, "data": event,
        });
        let body = body.to_string();
        let signature = signer.sign_webhook(&id, seconds, &body);
        let headers = headers(&id, seconds, &signature, signer.kid()).ok_or(DeliveryError::Unwritable)?;
        let status = self.webhooks.outbound.post(url, headers, body).await?;
        if status.is_success() { Ok(()) } else { Err(DeliveryError::Status(status)) }
    }
}

fn headers(id: &str, seconds: u64, signature: &str, kid: &str) -> Option<HeaderMap> {
    let values = [
        ("webhook-id", id),
        ("webhook-timestamp", &seconds.to_string()),
        ("webhook-signature", signature),
        ("webhook-key-id", kid),
    ];
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in values {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).ok()?);
    }
    Some(headers)
}

fn rest_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    FIRST_REST.saturating_mul(doubled).min(LONGEST_REST)
}

/// Between a half and the whole: many that wait for one receiver must not come at once.
fn jittered(rest: Duration) -> Duration {
    let [chance, ..] = clock::random_name();
    rest.mul_f64(0.5 + 0.5 * f64::from(chance) / 255.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn the_rest_doubles_up_to_the_longest_and_varies() {
        let rests = [1, 2, 3, 14, 15, 1_000].map(|failures| rest_after(failures).as_millis());
        assert_eq!(rests, [50, 100, 200, 409_600, 600_000, 600_000]);
        let rests = std::iter::repeat_with(|| jittered(Duration::from_secs(100))).take(1_000);
        assert!(rests.map(|rest| rest.as_secs()).all(|rest| (50..=100).contains(&rest)));
    }

    #[test]
    fn every_header_of_a_delivery_can_be_written() {
        let headers = headers("evt_1_7", 1_800_000_000, "v1a,AAA=", "kid").unwrap();
        assert_eq!(headers["webhook-id"], "evt_1_7");
        assert_eq!(headers["webhook-timestamp"], "1800000000");
        assert_eq!(headers.len(), 5);
    }
}
