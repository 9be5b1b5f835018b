//! Keeps the key set and the feed fresh in the background.

use std::sync::Arc;
use std::time::Duration;

use hapi_descriptor::{KeySet, KeySetError, MAX_JWKS_BYTES, Refusal, Typ};
use http::HeaderValue;
use thiserror::Error;
use tokio::select;
use tokio::time::sleep;

use crate::gate::FeedError;
use crate::pause::{backoff, jittered};
use crate::registry::FetchError;
use crate::shared::Shared;

const JWKS_PATH: &str = "/.well-known/jwks.json";

/// How long a key set is taken for fresh: the `max-age` that nodes publish it with. A key that was revoked is gone
/// from it; the feed is quicker.
const KEYS_EVERY: Duration = Duration::from_secs(30);

/// The pause after the first failure; it doubles with each further one.
const KEYS_FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest pause after failures, for the feed: well below the time for which it may be silent, so that a cluster
/// that comes back is noticed in time.
const FEED_LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why an address was of no use.
#[derive(Debug, Error)]
enum RoundError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Keys(#[from] KeySetError),
    #[error("the key set is empty")]
    NoKeys,
    #[error("the message is not text")]
    NotText,
    #[error(transparent)]
    Feed(#[from] FeedError),
}

/// Fetches the key set for ever: when it is old, and when an unknown `kid` asks for it.
pub(crate) async fn keep_keys(shared: Arc<Shared>) {
    let (mut etag, mut failures) = (None, 0);
    loop {
        let fetched = fetch_keys(&shared, &mut etag).await;
        failures = if fetched { 0 } else { failures + 1 };
        shared.keys_were_tried(fetched);
        let pause = if fetched { KEYS_EVERY } else { backoff(KEYS_FIRST_RETRY, failures, KEYS_EVERY) };
        select! {
            () = sleep(jittered(pause)) => {}
            () = shared.keys_wanted() => {}
        }
    }
}

/// Asks one address after the other; whether one had a key set, new or the same.
async fn fetch_keys(shared: &Shared, etag: &mut Option<HeaderValue>) -> bool {
    for position in shared.registry.order() {
        match fetch_keys_from(shared, position, etag).await {
            Ok(()) => return true,
            Err(error) => give_up_on(shared, position, &error),
        }
    }
    false
}

async fn fetch_keys_from(
    shared: &Shared,
    position: usize,
    etag: &mut Option<HeaderValue>,
) -> Result<(), RoundError> {
    let fetched = shared.registry.fetch(position, JWKS_PATH, etag.as_ref(), MAX_JWKS_BYTES).await?;
    let Some(document) = fetched else { return Ok(()) };
    let keys = KeySet::from_jwks(&document.body)?;
    if keys.is_empty() {
        return Err(RoundError::NoKeys);
    }
    if shared.gate.set_keys(keys) {
        tracing::warn!("the key that signed the newest message of the feed is gone: the feed begins anew");
        shared.want_feed();
    }
    *etag = document.etag;
    Ok(())
}

/// Asks for the feed for ever: often while no stream brings its news, else as often as it takes to know that it is
/// fresh, and at once when a stream is lost.
pub(crate) async fn keep_feed(shared: Arc<Shared>) {
    // Without keys no message verifies, and each would ask for keys that are being asked for anyway.
    shared.keys_known().await;
    let every = shared.config.feed_poll;
    let mut failures = 0;
    loop {
        let heard = ask_feed(&shared).await;
        failures = if heard { 0 } else { failures + 1 };
        shared.feed_was_asked(heard);
        let pause = match failures {
            0 => shared.feed_pause(),
            failures => backoff(every, failures, FEED_LONGEST_PAUSE.max(every)),
        };
        select! {
            () = sleep(jittered(pause)) => {}
            () = shared.feed_wanted() => {}
        }
    }
}

async fn ask_feed(shared: &Shared) -> bool {
    for position in shared.registry.order() {
        match ask_feed_from(shared, position).await {
            Ok(()) => return true,
            Err(error) => give_up_on(shared, position, &error),
        }
    }
    false
}

async fn ask_feed_from(shared: &Shared, position: usize) -> Result<(), RoundError> {
    let question = shared.gate.ask(shared.clock.now());
    let path = format!("/v1/revocations?since={}", question.since());
    let fetched = shared.registry.fetch(position, &path, None, Typ::Revocations.max_bytes()).await?;
    let body = fetched.map(|document| document.body).unwrap_or_default();
    let message = std::str::from_utf8(&body).map_err(|_| RoundError::NotText)?.trim();
    let answered = shared.gate.answer(message, &question, shared.clock.now());
    // A node that signs with a key that we do not know yet has published it before.
    if answered == Err(FeedError::Refused(Refusal::UnknownKey)) {
        shared.want_keys();
    }
    Ok(answered?)
}

fn give_up_on(shared: &Shared, position: usize, error: &RoundError) {
    shared.registry.failed(position);
    tracing::debug!(registry = shared.registry.address(position), %error, "trying the next address");
}
