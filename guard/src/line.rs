//! The guard's line to one open response stream.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};

use bytes::Bytes;

use crate::session::Stream;

/// Shared by the session, which speaks, and the body of the response, which obeys. The body holds it; when the body
/// is dropped, the session's weak half knows that the stream is closed.
#[derive(Debug)]
pub(crate) struct Line {
    /// Whether the stream is there for messages of the server's own accord: the answer to a `GET`.
    takes_notices: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    notice: Option<Bytes>,
    closed: bool,
    waker: Option<Waker>,
}

/// What the body is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// End now.
    Close,
    /// Send this between two events.
    Notice(Bytes),
    /// Go on.
    Nothing,
}

impl Line {
    pub(crate) fn new(takes_notices: bool) -> Self {
        Self { takes_notices, state: Mutex::default() }
    }

    /// Puts an event on the stream. A newer one replaces one that was not sent yet.
    pub(crate) fn notice(&self, event: Bytes) {
        self.tell(|state| state.notice = Some(event));
    }

    pub(crate) fn close(&self) {
        self.tell(|state| state.closed = true);
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What there is to do; the task is woken when that changes. A notice is only handed out between two events.
    pub(crate) fn poll(&self, context: &Context<'_>, between_events: bool) -> Signal {
        let mut state = self.lock();
        if state.closed {
            return Signal::Close;
        }
        if let Some(notice) = state.notice.take_if(|_| between_events) {
            return Signal::Notice(notice);
        }
        state.waker = Some(context.waker().clone());
        Signal::Nothing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Weak<Line> {
    fn is_open(&self) -> bool {
        self.strong_count() > 0
    }

    fn takes_notices(&self) -> bool {
        self.upgrade().is_some_and(|line| line.takes_notices)
    }
}
