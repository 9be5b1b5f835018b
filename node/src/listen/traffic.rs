//! What is under way on a connection: who asks for nothing, or does not take what it asked for, is cut off.

use crate::config;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// See [`Traffic::is_idle`].
const GRACE_MS: u64 = 1_000;

/// The requests of one connection whose answers are not sent yet.
pub(super) struct Traffic(Mutex<UnderWay>);

struct UnderWay {
    /// How many requests there were.
    count: u64,
    /// When the last of them began or ended; at first, when the connection began.
    last: Instant,
    /// Since when each waits for its reader; none if it waits for this end.
    waiting: HashMap<u64, Option<Instant>>,
}

impl Traffic {
    pub(super) fn new() -> Arc<Self> {
        let under_way = UnderWay { count: 0, last: Instant::now(), waiting: HashMap::new() };
        Arc::new(Self(Mutex::new(under_way)))
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        // Nothing panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins; it is under way until this is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Exchange {
        let mut under_way = self.lock();
        let number = under_way.count;
        under_way.count += 1;
        under_way.last = Instant::now();
        under_way.waiting.insert(number, None);
        drop(under_way);
        Exchange { traffic: self.clone(), number }
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Whether there has been a request at all.
    pub(super) fn has_begun(&self) -> bool {
        self.lock().count > 0
    }

    /// Whether an answer has waited for its reader for so long.
    pub(super) fn is_stalled(&self, patience: Duration) -> bool {
        self.lock().waiting.values().flatten().any(|since| since.elapsed() >= patience)
    }

    /// Whether nothing has been under way for too long. Who has asked for nothing at all is waited for no longer than for
    /// headers, and a moment: HTTP/1.1 has a timer of its own for these, which is to come first.
    pub(super) fn is_idle(&self, settings: &config::Http) -> bool {
        let under_way = self.lock();
        let has_begun = under_way.count > 0;
        let patience = if has_begun {
            settings.idle_timeout_ms
        } else {
            settings.header_timeout_ms.saturating_add(GRACE_MS)
        };
        under_way.waiting.is_empty() && under_way.last.elapsed() >= Duration::from_millis(patience)
    }
}

/// A request and its answer.
pub(super) struct Exchange {
    traffic: Arc<Traffic>,
    number: u64,
}

impl Exchange {
    /// The answer is there, and waits for its reader.
    pub(super) fn answered(self, body: Body) -> Watched {
        self.note(Some(Instant::now()));
        Watched { body, exchange: self }
    }

    fn note(&self, since: Option<Instant>) {
        self.traffic.lock().waiting.insert(self.number, since);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut under_way = self.traffic.lock();
        under_way.waiting.remove(&self.number);
        under_way.last = Instant::now();
    }
}

/// A body that says for whom it waits.
pub(super) struct Watched {
    body: Body,
    exchange: Exchange,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.exchange.note(polled.is_ready().then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn who_takes_nothing_is_stalled_and_who_waits_for_us_is_not() {
        let traffic = Traffic::new();
        let at_once =
            config::Http { header_timeout_ms: 0, idle_timeout_ms: 0, ..config::Config::default().http };
        assert!(!traffic.is_idle(&at_once) && !traffic.has_begun());
        let exchange = traffic.begin();
        assert!(!traffic.is_stalled(Duration::ZERO) && !traffic.is_idle(&at_once), "the handler runs");
        let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, axum::Error>>();
        let mut body = exchange.answered(Body::from_stream(receiver));
        assert!(traffic.is_stalled(Duration::ZERO), "nobody has taken anything");
        assert!(futures::poll!(body.frame()).is_pending());
        assert!(!traffic.is_stalled(Duration::ZERO), "there is nothing to be taken");
        sender.unbounded_send(Ok(Bytes::from_static(b"a"))).unwrap();
        body.frame().await.unwrap().unwrap();
        assert!(traffic.is_stalled(Duration::ZERO) && !traffic.is_stalled(Duration::from_secs(60)));
        drop(body);
        assert!(traffic.is_quiet() && traffic.is_idle(&at_once) && traffic.has_begun());
    }
}
