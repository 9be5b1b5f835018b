//! What the layer and the background have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hapi_descriptor::{LEEWAY_SECONDS, Refusal};
use http::{HeaderMap, Uri};
use tokio::sync::{Notify, watch};
use tokio::time::{interval, timeout};

use crate::cache::Verified;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, FeedPolicy};
use crate::denial::Denial;
use crate::events;
use crate::gate::{Admitted, Gate};
use crate::line::Line;
use crate::lone::{Lone, MAX_LONE, MAX_LONE_PER_CLIENT};
use crate::metrics::{Gauges, Metrics, Snapshot};
use crate::presented::Presented;
use crate::refetch::{Advice, Refetch};
use crate::registry::Registry;
use crate::resource::ProtectedResource;
use crate::session::{Effect, EndReason, Table};

/// How long a request waits for the key set because of its unknown `kid`.
const KEYS_WAIT: Duration = Duration::from_secs(2);

/// How often sessions and streams are looked at. Their times are whole seconds, and a revocation is to end them well within one.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

pub(crate) type Sessions = Table<Weak<Line>>;

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) gate: Gate,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) resource: ProtectedResource,
    sessions: Mutex<Sessions>,
    lone: Mutex<Lone<Weak<Line>>>,
    refetch: Mutex<Refetch>,
    keys_wanted: Notify,
    feed_wanted: Notify,
    /// Whether a stream brings the news of the feed.
    is_streaming: AtomicBool,
    /// For those who wait for one.
    rounds: watch::Sender<Rounds>,
}

/// How often the background has asked, well or in vain.
#[derive(Debug, Default)]
struct Rounds {
    keys: u64,
    feed: u64,
}

impl Shared {
    pub(crate) fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        config.check()?;
        let audience = config.audience.parse::<Uri>().map_err(|_| ConfigError::Audience)?;
        Ok(Self {
            gate: Gate::new(&config),
            registry: Registry::new(&config)?,
            resource: ProtectedResource::new(&audience, &config.audience, &config.issuer),
            sessions: Mutex::new(Table::new(
                config.mode.max_sessions().unwrap_or(0),
                config.max_sessions_per_client,
            )),
            lone: Mutex::new(Lone::new(MAX_LONE, MAX_LONE_PER_CLIENT)),
            metrics: Metrics::default(),
            refetch: Mutex::default(),
            keys_wanted: Notify::new(),
            feed_wanted: Notify::new(),
            is_streaming: AtomicBool::new(false),
            rounds: watch::Sender::default(),
            config,
            clock,
        })
    }

    pub(crate) fn has_sessions(&self) -> bool {
        self.config.mode.max_sessions().is_some()
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lone(&self) -> MutexGuard<'_, Lone<Weak<Line>>> {
        self.lone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on what a request presents. `None` where nothing is presented and nothing is required.
    pub(crate) async fn admit(&self, headers: &HeaderMap) -> Result<Option<Admitted>, Denial> {
        let required = self.config.descriptor_required;
        match Presented::of(headers) {
            Presented::Nothing if required => Err(Denial::Missing),
            Presented::Nothing => Ok(None),
            Presented::Unreadable => Err(Denial::Refused(Refusal::Parts)),
            Presented::Header(descriptor) => self.check(descriptor).await.map(Some),
            Presented::Bearer(token) => match self.check(token).await {
                // Where none is required, a token that is no descriptor of ours is the user's own affair.
                Err(Denial::Refused(refusal)) if !required && refusal.http_status() == 401 => Ok(None),
                verdict => verdict.map(Some),
            },
        }
    }

    /// Decides on a descriptor now. An unknown key is looked for once.
    pub(crate) async fn check(&self, descriptor: &str) -> Result<Admitted, Denial> {
        match self.gate.admit(descriptor, self.clock.now()) {
            Err(Denial::Refused(Refusal::UnknownKey)) => {
                self.newer_keys().await;
                self.gate.admit(descriptor, self.clock.now())
            }
            verdict => verdict,
        }
    }

    /// Waits for a fetch of the key set, if one may be had now.
    pub(crate) async fn newer_keys(&self) {
        let mut rounds = self.rounds.subscribe();
        let before = rounds.borrow().keys;
        if self.want_keys() != Advice::GiveUp {
            let _ = timeout(KEYS_WAIT, rounds.wait_for(|rounds| rounds.keys > before)).await;
        }
    }

    /// Waits for the first key set.
    pub(crate) async fn keys_known(&self) {
        // It fails only when the sender is gone, and that is here.
        let _ = self.rounds.subscribe().wait_for(|_| !self.gate.keys().is_empty()).await;
    }

    /// Waits until a good descriptor would come in.
    pub(crate) async fn ready(&self) {
        self.keys_known().await;
        let heard = |_: &Rounds| self.gate.feed_age(self.clock.now()).is_some();
        if matches!(self.config.feed, FeedPolicy::Strict { .. }) {
            let _ = self.rounds.subscribe().wait_for(heard).await;
        }
    }

    /// Asks for a fetch of the key set because of an unknown `kid`.
    pub(crate) fn want_keys(&self) -> Advice {
        let advice =
            self.refetch.lock().unwrap_or_else(PoisonError::into_inner).ask(self.clock.now().elapsed);
        if advice == Advice::Fetch {
            self.keys_wanted.notify_one();
        }
        advice
    }

    pub(crate) async fn keys_wanted(&self) {
        self.keys_wanted.notified().await;
    }

    pub(crate) fn keys_were_tried(&self, fetched: bool) {
        if fetched {
            self.metrics.key_fetches.add()
        } else {
            self.metrics.key_failures.add()
        }
        self.refetch.lock().unwrap_or_else(PoisonError::into_inner).done();
        self.rounds.send_modify(|rounds| rounds.keys += 1);
    }

    pub(crate) fn feed_was_asked(&self, heard: bool) {
        if heard {
            self.metrics.feed_messages.add()
        } else {
            self.metrics.feed_failures.add()
        }
        self.rounds.send_modify(|rounds| rounds.feed += 1);
    }

    /// How long to wait until the feed is asked again, after it answered.
    pub(crate) fn feed_pause(&self) -> Duration {
        if self.is_streaming() { self.config.feed_proof() } else { self.config.feed_poll }
    }

    /// Asks for a question to the feed now.
    pub(crate) fn want_feed(&self) {
        self.feed_wanted.notify_one();
    }

    pub(crate) async fn feed_wanted(&self) {
        self.feed_wanted.notified().await;
    }

    pub(crate) fn stream_spoke(&self) {
        self.metrics.stream_messages.add();
        self.is_streaming.store(true, Ordering::Relaxed);
    }

    /// Whether the stream that is left had news.
    pub(crate) fn stream_was_left(&self) -> bool {
        self.metrics.stream_failures.add();
        self.is_streaming.swap(false, Ordering::Relaxed)
    }

    fn is_streaming(&self) -> bool {
        self.is_streaming.load(Ordering::Relaxed)
    }

    /// Ends a session now.
    pub(crate) fn end(&self, id: &str, reason: EndReason) {
        let effect = self.sessions().end(id, reason);
        effect.into_iter().for_each(|effect| self.apply(effect));
    }

    /// Closes a session that its client or its server has ended.
    pub(crate) fn close(&self, id: &str) {
        let streams = self.sessions().close(id);
        self.metrics.sessions_closed.add();
        close_all(&streams);
    }

    /// Ends what is over, and asks for what is due.
    fn sweep(&self) {
        let now = self.clock.now();
        let revoked = |verified: &Verified| self.gate.check_revoked(verified).err();
        let effects = self
            .sessions()
            .tick(now.unix_seconds, |verified| revoked(verified).and_then(EndReason::of_failure));
        effects.into_iter().for_each(|effect| self.apply(effect));
        let over =
            self.lone().tick(|verified| !self.gate.vouches(verified, now) || revoked(verified).is_some());
        over.iter().for_each(|_| self.metrics.streams_ended.add());
        close_all(&over);
    }

    fn apply(&self, effect: Effect<Weak<Line>>) {
        match effect {
            Effect::Notice { stream, exp } => {
                self.metrics.notices.add();
                let event = events::refresh_required(exp, exp + LEEWAY_SECONDS);
                stream.upgrade().into_iter().for_each(|line| line.notice(event.clone()));
            }
            Effect::End { reason, verified, streams } => {
                self.metrics.ended(reason);
                let (client, jti) = (&verified.claims.client.id, verified.claims.jti);
                tracing::info!(reason = reason.as_str(), %client, %jti, "the session was ended");
                close_all(&streams);
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.metrics.snapshot(Gauges {
            sessions: self.sessions().len(),
            lone_streams: self.lone().len(),
            cached: self.gate.cached(),
            keys: self.gate.keys().len(),
            is_streaming: self.is_streaming(),
            feed_age: self.gate.feed_age(self.clock.now()),
        })
    }
}

pub(crate) fn close_all(streams: &[Weak<Line>]) {
    streams.iter().filter_map(Weak::upgrade).for_each(|line| line.close());
}

/// Looks at sessions and streams for ever.
pub(crate) async fn keep_order(shared: Arc<Shared>) {
    let mut ticks = interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        shared.sweep();
    }
}
