//! The revocation feed of this node: what is dead before its time, signed over and over.
//!
//! One task signs, and everybody who asks gets what it signed last: however many there are, they cause no signature.
//! A message is a word on what this node knows, so it is given like a descriptor: signed under a lease that was
//! captured before, and thrown away unless that lease still holds afterwards. A node that may not decide says
//! nothing, and its silence is what guards go by.

mod edition;

pub(crate) use edition::Edition;

use crate::issue::{Desk, MOST_DENIALS};
use edition::Content;
use hapi_raft::{Permit, Replica, Verdict};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

/// The rest between two messages while nothing changes. Silence of a few seconds means something to guards, so it is
/// well below one.
const CALM: Duration = Duration::from_millis(800);

/// The least rest between two messages, however much changes.
const BUSY: Duration = Duration::from_millis(200);

/// How often a node that may not speak looks whether it may.
const LOOK: Duration = Duration::from_millis(100);

/// The longest that somebody waits for a message with what was denied before it asked.
const WAIT: Duration = Duration::from_millis(600);

/// A message that is older is nobody's latest word: whoever signs stands still.
const STALE: Duration = Duration::from_secs(2);

/// What was said last.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// Nothing: this node may not decide.
    Nothing,
    /// This.
    Edition(Arc<Edition>),
    /// The last word: the process ends.
    Closed,
}

/// The messages of this node.
pub(crate) struct Feed {
    newest: watch::Sender<Said>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { newest: watch::Sender::new(Said::Nothing) }
    }
}

impl Feed {
    /// Signs until the feed is closed.
    pub(crate) async fn keep(&self, replica: &Replica, desk: &Desk) {
        let mut content = Content::default();
        loop {
            let begun = Instant::now();
            let edition = sign(replica, desk, &mut content).await.map(Arc::new);
            if !self.say(edition.clone()) {
                return;
            }
            match edition {
                Some(edition) => rest(replica, &edition, begun).await,
                None => sleep(LOOK).await,
            }
        }
    }

    /// `false` once the feed is closed.
    fn say(&self, edition: Option<Arc<Edition>>) -> bool {
        let mut is_open = true;
        self.newest.send_if_modified(|said| {
            is_open = !matches!(said, Said::Closed);
            if is_open {
                *said = edition.map_or(Said::Nothing, Said::Edition);
            }
            is_open
        });
        is_open
    }

    /// Ends all streams, so that a process that is to stop waits for none of them.
    pub(crate) fn close(&self) {
        self.newest.send_replace(Said::Closed);
    }

    /// All further messages, for a stream.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Said> {
        self.newest.subscribe()
    }

    /// The newest message, with all that was denied here before the call. `None` while this node may not speak.
    pub(crate) async fn current(&self, replica: &Replica) -> Option<Arc<Edition>> {
        replica.permit()?;
        let denied = replica.state().denied();
        let holds_it = |said: &Said| match said {
            Said::Edition(edition) => edition.denied >= denied && edition.signed_at.elapsed() < STALE,
            Said::Nothing | Said::Closed => false,
        };
        let mut newest = self.newest.subscribe();
        let said = timeout(WAIT, newest.wait_for(holds_it)).await.ok()?.ok()?.clone();
        match said {
            Said::Edition(edition) => Some(edition),
            Said::Nothing | Said::Closed => None,
        }
    }
}

/// Rests until something is denied, or until it is time for a sign of life.
async fn rest(replica: &Replica, edition: &Edition, begun: Instant) {
    sleep_until(begun + BUSY).await;
    while replica.state().denied() <= edition.denied {
        let left = (begun + CALM).saturating_duration_since(Instant::now());
        if left.is_zero() || !replica.wait_applied(replica.state().applied() + 1, left).await {
            return;
        }
    }
}

/// The order is the guarantee, as for a descriptor: the lease is captured, then the state is loaded; what is signed is
/// read from that state, and goes out only if the captured lease is valid afterwards.
async fn sign(replica: &Replica, desk: &Desk, content: &mut Content) -> Option<Edition> {
    let mut permit = replica.permit()?;
    for _ in 0..MOST_DENIALS {
        let edition = edition(replica, desk, &permit, content)?;
        // Strict mode trusts no clock: a majority says, after the signing, that nothing is missing.
        if is_strict(desk, &permit) {
            timeout(STALE, replica.read_index()).await.ok()?.ok()?;
        }
        match replica.release(&mut permit) {
            Verdict::Issue { .. } => return Some(edition),
            Verdict::Withhold => return None,
            Verdict::DecideAgain => {}
        }
    }
    None
}

fn edition(replica: &Replica, desk: &Desk, permit: &Permit, content: &mut Content) -> Option<Edition> {
    let (state, node) = (permit.state(), replica.node_id());
    let (_, signer) = desk.signing.signer(state, node).filter(|_| state.is_active_member(node))?;
    content.read(state, &desk.issuer);
    content.sign(&signer, &desk.issuer, state.applied(), permit.wall().seconds())
}

fn is_strict(desk: &Desk, permit: &Permit) -> bool {
    permit.state().settings().strict || desk.distrusts_clock.load(Ordering::Relaxed)
}
