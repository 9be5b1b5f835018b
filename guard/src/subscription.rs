//! The subscription to the feed: its news, as they come.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hapi_descriptor::{Refusal, Stale, Typ};
use reqwest::Response;
use thiserror::Error;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout_at};

use crate::event_stream::{Event, EventStream, Oversize};
use crate::gate::FeedError;
use crate::pause::{backoff, jittered};
use crate::registry::FetchError;
use crate::shared::Shared;

/// How long a stream may bring no news. A node speaks at least each second, so that three messages are missing then;
/// comments and old news are none, since a stream that is late is of no more use than a dead one.
const SILENCE: Duration = Duration::from_secs(3);

/// The rest after each message. A node rests longer, so it costs nothing; who sends without a rest is slowed down by
/// it, and cannot keep us verifying signatures.
const REST: Duration = Duration::from_millis(50);

/// The longest pause after no address had a stream to give: it may be of a version that has none, and asking for the
/// feed does meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What an event has beside its message: names of fields and its type.
const FRAMING_BYTES: usize = 1024;

/// The longest event. No more than two of that length may come without news: comments and events that mean nothing
/// here cost reading too.
const MOST_IDLE_BYTES: usize = Typ::Revocations.max_bytes() + FRAMING_BYTES;

/// Why a stream is of no more use.
#[derive(Debug, Error)]
enum StreamError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
    #[error("it brings no news")]
    Silent,
    #[error("it has ended")]
    Ended,
    #[error(transparent)]
    Oversize(#[from] Oversize),
    #[error(transparent)]
    Feed(#[from] FeedError),
}

impl From<Elapsed> for StreamError {
    fn from(_: Elapsed) -> Self {
        Self::Silent
    }
}

/// Listens for ever, to one address at a time.
///
/// It does not say which address is preferred: that is for those who ask, who find out by themselves, and an address
/// without a stream may still answer.
pub(crate) async fn keep_subscription(shared: Arc<Shared>) {
    // Without keys no message verifies.
    shared.keys_known().await;
    let mut failures = 0;
    loop {
        let heard = listen_in_turn(&shared).await;
        failures = if heard { 0 } else { failures + 1 };
        sleep(jittered(backoff(shared.config.feed_poll, failures, LONGEST_PAUSE))).await;
    }
}

/// Listens to one address after the other; whether any of them had news.
async fn listen_in_turn(shared: &Shared) -> bool {
    let mut heard = false;
    for position in shared.registry.order() {
        let Err(error) = listen(shared, position).await;
        heard |= shared.stream_was_left();
        // One that was open may have been on its way with something.
        if !matches!(error, StreamError::Fetch(_)) {
            shared.want_feed();
        }
        tracing::debug!(registry = shared.registry.address(position), %error, "no stream of the feed");
    }
    heard
}

async fn listen(shared: &Shared, position: usize) -> Result<Infallible, StreamError> {
    let path = format!("/v1/revocations/stream?since={}", shared.gate.ask(shared.clock.now()).since());
    let response = shared.registry.open(position, &path).await?;
    Subscription::new(shared, response).follow().await
}

/// One stream.
struct Subscription<'a> {
    shared: &'a Shared,
    response: Response,
    events: EventStream,
    /// How much came since the last news.
    idle_bytes: usize,
    silent_at: Instant,
}

impl<'a> Subscription<'a> {
    fn new(shared: &'a Shared, response: Response) -> Self {
        let events = EventStream::new(MOST_IDLE_BYTES);
        Self { shared, response, events, idle_bytes: 0, silent_at: Instant::now() + SILENCE }
    }

    async fn follow(mut self) -> Result<Infallible, StreamError> {
        loop {
            let chunk =
                timeout_at(self.silent_at, self.response.chunk()).await??.ok_or(StreamError::Ended)?;
            self.idle_bytes += chunk.len();
            if self.idle_bytes > 2 * MOST_IDLE_BYTES {
                return Err(Oversize.into());
            }
            for byte in chunk {
                let Some(event) = self.events.push(byte)? else { continue };
                self.take(&event).await?;
                self.check_silence()?;
            }
            self.check_silence()?;
        }
    }

    async fn take(&mut self, event: &Event) -> Result<(), FeedError> {
        if event.kind == "revocations" {
            self.hear(event.data.trim()).await?;
            sleep(REST).await;
        }
        Ok(())
    }

    /// A time limit lets pass what is there already, so it alone would not end a stream that never pauses.
    fn check_silence(&self) -> Result<(), StreamError> {
        if Instant::now() < self.silent_at { Ok(()) } else { Err(StreamError::Silent) }
    }

    /// Leaves the stream when a message could not be taken over: the next one follows on the last that was *sent*, so
    /// what that one brought would never come. Asking begins where we are.
    async fn hear(&mut self, message: &str) -> Result<(), FeedError> {
        match self.shared.gate.hear(message, self.shared.clock.now()) {
            Ok(()) => {
                self.silent_at = Instant::now() + SILENCE;
                self.idle_bytes = 0;
                self.shared.stream_spoke();
                Ok(())
            }
            // An answer was quicker; what it revokes was taken over.
            Err(FeedError::Stale(Stale::GoesBack)) => Ok(()),
            Err(error) => {
                if error == FeedError::Refused(Refusal::UnknownKey) {
                    self.shared.newer_keys().await;
                }
                Err(error)
            }
        }
    }
}
