//! Events as the API and webhooks tell them, and the streams that are open.

use crate::api::ShownSubject;
use hapi_registry_state::{Event, Registry, Timestamp};
use prometheus::{IntCounter, IntGauge, core::Collector};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use utoipa::ToSchema;

/// The most streams at a time. Each reads the state as fast as it is read itself, and holds a connection for good.
const MOST_STREAMS: usize = 256;

/// What was done by one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ShownEvent {
    /// The place in the log, which no other event has: go on from there.
    pub(crate) index: u64,
    pub(crate) at: String,
    /// The same instant.
    #[serde(skip)]
    pub(crate) instant: Timestamp,
    /// What the subject is: `server`, `servers`, `version`, `versions`, `namespace`, `client`, `tenant`, `token`, `key`, `node`,
    /// `mirror`, `webhook`, `settings` or `cluster`.
    pub(crate) kind: &'static str,
    /// To what it was done, as in the audit.
    subject: String,
    /// What was done, as in the audit.
    pub(crate) act: String,
    actor: String,
    reason: String,
    /// What became of each version, where the act was for many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ShownChange>,
    /// What came of each subject, where one act was for several: an act of moderation on a glob, or what is known of
    /// servers' health (`down`, `up`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subjects: Vec<ShownSubject>,
}

/// What became of one version of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct ShownChange {
    /// `version/NAMESPACE/NAME@VERSION`.
    subject: String,
    /// `added`, `updated` or `deleted`.
    change: &'static str,
}

impl ShownEvent {
    pub(crate) fn new(event: &Event<'_>) -> Self {
        let record = event.record;
        let changes = event.changes.iter().map(|change| ShownChange {
            subject: format!("version/{}@{}", change.name, change.version),
            change: change.what.as_str(),
        });
        Self {
            index: record.index,
            at: record.at.to_string(),
            instant: record.at,
            kind: event.kind(),
            subject: record.subject.clone(),
            act: record.act.clone(),
            actor: record.actor.clone(),
            reason: record.reason.clone(),
            changes: changes.collect(),
            subjects: record.subjects.iter().map(ShownSubject::from).collect(),
        }
    }
}

/// At most `limit` events behind `since`, and from where to go on: all up to there was looked at.
pub(crate) fn page(state: &Registry, since: u64, limit: usize) -> (Vec<ShownEvent>, u64) {
    let events: Vec<_> = state.events_after(since).take(limit).map(|event| ShownEvent::new(&event)).collect();
    let next = match events.last() {
        Some(last) if events.len() == limit => last.index,
        // A reader that has seen more than this node knows keeps its place.
        _ => state.applied().max(since),
    };
    (events, next)
}

/// The streams that are open, and what `/metrics` shows of them.
pub(crate) struct EventStreams {
    places: Arc<Semaphore>,
    closed: watch::Sender<bool>,
    open: IntGauge,
    refused: IntCounter,
    sent: IntCounter,
}

/// A place among the streams, until it is dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    open: IntGauge,
    sent: IntCounter,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Place {
    pub(crate) fn count_sent(&self) {
        self.sent.inc();
    }
}

impl EventStreams {
    pub(crate) fn new() -> prometheus::Result<Self> {
        Ok(Self {
            places: Arc::new(Semaphore::new(MOST_STREAMS)),
            closed: watch::Sender::new(false),
            open: IntGauge::new("hapi_event_streams", "Streams of events that are open.")?,
            refused: IntCounter::new(
                "hapi_event_streams_refused_total",
                "Streams of events that this node had no place for.",
            )?,
            sent: IntCounter::new("hapi_events_sent_total", "Events that were sent over streams.")?,
        })
    }

    /// To be registered where `/metrics` is made.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.open.clone()), Box::new(self.refused.clone()), Box::new(self.sent.clone())]
    }

    /// A place for a stream; none if all are taken.
    pub(crate) fn enter(&self) -> Option<Place> {
        let Ok(permit) = self.places.clone().try_acquire_owned() else {
            self.refused.inc();
            return None;
        };
        self.open.inc();
        Some(Place { _permit: permit, open: self.open.clone(), sent: self.sent.clone() })
    }

    /// Ends all streams, and whoever waits for an event: the process is to stop.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Tells when they end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_knows_more_than_there_is_keeps_its_place() {
        assert_eq!(page(&Registry::default(), 7, 10), (Vec::new(), 7));
    }
}
