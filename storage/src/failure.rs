//! The end of a store: why it stopped, for everyone who wants to know.

use std::sync::Arc;

use tokio::sync::watch;

use crate::StorageError;

/// Tells whether and why storage has stopped for good.
#[derive(Clone, Debug)]
pub struct Failure(watch::Receiver<Option<Arc<str>>>);

impl Failure {
    /// The reason, if storage has stopped.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Waits until storage stops, and tells why. Never returns when it is closed in good order.
    pub async fn wait(&self) -> Arc<str> {
        let mut reason = self.0.clone();
        loop {
            if let Some(reason) = self.reason() {
                return reason;
            }
            if reason.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The side that declares the end.
#[derive(Debug)]
pub(crate) struct Breaker(watch::Sender<Option<Arc<str>>>);

impl Breaker {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn watch(&self) -> Failure {
        Failure(self.0.subscribe())
    }

    /// Stops storage; the first reason stays. Gives the error that everyone gets from now on.
    pub(crate) fn trip(&self, reason: &str) -> StorageError {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                // Whoever owns the store says so with its last words: here it would be said twice.
                tracing::debug!(reason, "storage stops");
                *current = Some(reason.into());
            }
            first
        });
        StorageError::Stopped { reason: self.0.borrow().clone().unwrap_or_else(|| reason.into()) }
    }

    /// Fails once storage has stopped.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match &*self.0.borrow() {
            None => Ok(()),
            Some(reason) => Err(StorageError::Stopped { reason: reason.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays() {
        let breaker = Breaker::new();
        let failure = breaker.watch();
        assert!(breaker.check().is_ok() && failure.reason().is_none());
        breaker.trip("first");
        breaker.trip("second");
        assert_eq!(&*failure.wait().await, "first");
        assert!(matches!(breaker.check(), Err(StorageError::Stopped { reason }) if &*reason == "first"));
    }
}
