//! The gate that an MCP server puts in front of itself.
//!
//! A registry that is a Connect Authority says *whether* a client may connect; the MCP server is where that word is
//! kept. [`Guard`] is a tower layer that does so: it demands a Connect Descriptor in the header `MCP-Connect` (or as
//! the bearer token), verifies it offline, and hands what it says to the server as the request extension
//! [`Verified`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Extension, Router, routing::{get, post}};
//! use hapi_guard::{Config, Guard, Verified};
//!
//! async fn mcp(Extension(verified): Extension<Verified>) -> String {
//!     format!("Welcome, {}!", verified.claims.client.id)
//! }
//!
//! let registries = ["https://a.registry.example", "https://b.registry.example"];
//! let endpoint = "https://weather.example/mcp";
//! let guard = Guard::start(Config::new("https://registry.example", "ai.acme/weather", endpoint, registries))?;
//! let metadata = guard.protected_resource().clone();
//! let app: Router = Router::new()
//!     .route("/mcp", post(mcp))
//!     .layer(guard.layer())
//!     .route(&metadata.path().to_owned(), get(async move || metadata.response().map(axum::body::Body::new)));
//! # Ok(())
//! # }
//! ```
//!
//! - Any service over [`http`] will do: a router of axum, or rmcp's `StreamableHttpService`.
//! - [`Mode::Stateless`] checks every request (MCP 2026-07-28). [`Mode::Sessions`] binds a session to the descriptor
//!   that it was opened with (2025-06-18, 2025-11-25): 20 s before its end the client is asked to renew it, by the
//!   header `MCP-Connect-Refresh` and by `notifications/connect/refresh_required` on the session's open stream. It
//!   does so with a fresh descriptor in `MCP-Connect` or in a message `notifications/connect/refresh`; without one
//!   the session ends 5 s after the descriptor, and its streams with it.
//! - Keys and revocations are fetched in the background, from any of several addresses: revocations as a stream brings
//!   them, and by asking, which alone proves that the feed is fresh. A registry that is down breaks nothing before its
//!   time, unless [`FeedPolicy::Strict`] says that a silent feed lets nobody in.
//! - Streams of events end with their session. Those of requests without one end when their descriptor is revoked, and
//!   after its end only while the feed is silent: as long as it speaks, it vouches for them.
//! - What is kept is bounded: keys, floors, answers, events, sessions (also of each client), streams, remembered
//!   descriptors.
//! - [`Gate`] is the decision alone, without clock and network.
//!
//! # What a client is told
//!
//! Refusals are `application/problem+json` (RFC 9457) with a `code`, and say no more than that.
//!
//! | status | `code` | what the client does |
//! |---|---|---|
//! | 401 | `descriptor_missing`, `descriptor_invalid`, `descriptor_expired` | gets a descriptor; `WWW-Authenticate` names the metadata (RFC 9728) |
//! | 403 | `descriptor_wrong_audience`, `descriptor_revoked` | stops |
//! | 403 | `session_mismatch` | sends descriptors of its own in its own session |
//! | 404 | `session_ended` | initializes a new session, if it may |
//! | 503 | `revocations_stale`, `keys_unavailable`, `too_many_sessions`, `too_many_streams` | comes back after `Retry-After` |

mod cache;
mod clock;
mod config;
mod denial;
mod event_stream;
mod events;
mod feed;
mod gate;
mod guard;
mod layer;
mod line;
mod lone;
mod metrics;
mod passage;
mod pause;
mod presented;
mod refetch;
mod refresher;
mod registry;
mod request_body;
mod resource;
mod response_body;
mod session;
mod shared;
mod shares;
mod subscription;
#[cfg(test)]
mod testing;
mod tls;

pub use cache::Verified;
pub use clock::{Clock, Moment, SystemClock};
pub use config::{
    Config, ConfigError, FEED_POLL, FEED_STALE_AFTER, FeedPolicy, MAX_CACHED, MAX_SESSIONS,
    MAX_SESSIONS_PER_CLIENT, Mode,
};
pub use denial::Denial;
pub use feed::Question;
pub use gate::{FeedError, Gate};
pub use guard::Guard;
pub use layer::{GuardLayer, GuardService};
pub use metrics::Snapshot;
pub use request_body::RequestBody;
pub use resource::ProtectedResource;
pub use response_body::GuardBody;
pub use session::{EndReason, REFRESH_NOTICE_SECONDS};
