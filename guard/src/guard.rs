//! The guard: one per MCP server.

use std::fmt;
use std::sync::Arc;

use tokio::task::{AbortHandle, spawn};

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError};
use crate::gate::Gate;
use crate::layer::GuardLayer;
use crate::metrics::Snapshot;
use crate::refresher::{keep_feed, keep_keys};
use crate::resource::ProtectedResource;
use crate::shared::{Shared, keep_order};
use crate::subscription::keep_subscription;

/// The guard of one MCP server. Cheap to clone; clones and layers share keys, feed, cache and sessions.
///
/// What runs in the background stops when the last clone, layer and service is dropped.
#[derive(Clone)]
pub struct Guard(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    background: Vec<AbortHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.background.iter().for_each(AbortHandle::abort);
    }
}

impl Guard {
    /// Sets a guard up, and begins to fetch keys and revocations in the background. It does not wait for them: the
    /// requests that come before are refused.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], when something given cannot be used.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(config: Config) -> Result<Self, ConfigError> {
        Self::start_with(config, Arc::new(SystemClock::default()))
    }

    /// Like [`Guard::start`], with another clock.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], when something given cannot be used.
    pub fn start_with(config: Config, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let shared = Arc::new(Shared::new(config, clock)?);
        let background = vec![
            spawn(keep_keys(Arc::clone(&shared))).abort_handle(),
            spawn(keep_feed(Arc::clone(&shared))).abort_handle(),
            spawn(keep_subscription(Arc::clone(&shared))).abort_handle(),
            spawn(keep_order(Arc::clone(&shared))).abort_handle(),
        ];
        Ok(Self(Arc::new(Running { shared, background })))
    }

    /// Waits until keys are known and, in strict mode, the feed was heard: until a good descriptor would come in. For
    /// servers that want to begin to listen then.
    pub async fn ready(&self) {
        self.shared().ready().await;
    }

    /// The layer to put in front of the MCP endpoint. CORS and the metadata of RFC 9728 belong outside of it.
    pub fn layer(&self) -> GuardLayer {
        GuardLayer::new(self.clone())
    }

    /// The metadata of RFC 9728, to be served outside of the guard.
    pub fn protected_resource(&self) -> &ProtectedResource {
        &self.shared().resource
    }

    /// The decision alone, as the background keeps it fresh.
    pub fn gate(&self) -> &Gate {
        &self.shared().gate
    }

    /// What the guard has done so far.
    pub fn metrics(&self) -> Snapshot {
        self.shared().snapshot()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("config", &self.shared().config).finish_non_exhaustive()
    }
}
