//! Lines that are written together, and those who wait for them.

use std::sync::OnceLock;
use tokio::sync::{Notify, futures::Notified};

/// One write to be, shared by all whose lines are in it. A waiter may go away without anybody noticing.
#[derive(Debug, Default)]
pub(super) struct Batch {
    written: OnceLock<bool>,
    waiters: Notify,
}

impl Batch {
    /// Whether the write succeeded; `None` as long as it is still to come.
    pub(super) fn outcome(&self) -> Option<bool> {
        self.written.get().copied()
    }

    /// Tells the outcome to all who wait for it.
    pub(super) fn settle(&self, written: bool) {
        // The first word holds; there is no second one.
        let _ = self.written.set(written);
        self.wake();
    }

    /// Wakes all who wait, so that one of them becomes the writer.
    pub(super) fn wake(&self) {
        self.waiters.notify_waiters();
    }

    /// Ends at the next wake-up after this call, even if it is polled later.
    pub(super) fn woken(&self) -> Notified<'_> {
        self.waiters.notified()
    }

    /// Waits for the outcome.
    pub(super) async fn settled(&self) -> bool {
        loop {
            let woken = self.woken();
            if let Some(written) = self.outcome() {
                return written;
            }
            woken.await;
        }
    }
}
