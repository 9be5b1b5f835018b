//! The MCP server of the walk-through: it runs within `dev`, and is governed like any other.

use super::plan::Plan;
use super::ports::loopback;
use crate::cli::{Failure, output, sample};
use hapi_guard::{Config, FeedPolicy, Guard, Mode};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How long a guard may take to learn the keys of nodes that are ready.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running server. It ends when this is dropped.
pub(super) struct Almanac {
    server: AbortHandle,
    _guard: Guard,
}

impl Drop for Almanac {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Almanac {
    /// Listens at the plan's port, behind a guard that has heard of keys and revocations.
    pub(super) async fn open(plan: &Plan) -> Result<Self, Failure> {
        let trouble = |error: std::io::Error| Failure::refused(format!("the almanac cannot listen: {error}"));
        let listener = TcpListener::bind(loopback(plan.almanac)).await.map_err(trouble)?;
        let guard = Guard::start(config(plan)).map_err(|error| Failure::refused(error.to_string()))?;
        timeout(PATIENCE, guard.ready())
            .await
            .map_err(|_| Failure::refused("the almanac's guard hears of no keys or revocations"))?;
        let app = hapi_almanac::app(&guard);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                output::note(&format!("the almanac has ended: {error}"));
            }
        });
        Ok(Self { server: server.abort_handle(), _guard: guard })
    }
}

fn config(plan: &Plan) -> Config {
    let (feed, mode) = (FeedPolicy::strict(), Mode::sessions());
    Config { feed, mode, ..Config::new(plan.url(1), sample::STAR, plan.almanac_url(), plan.urls()) }
}
