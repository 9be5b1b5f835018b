//! Talks to a cluster of registry nodes as if it were one.
//!
//! Give it the addresses of several nodes and a client credential. [`Client::connect`] asks for leave to
//! connect to an MCP server, and gives back a [`Boarding`] whose descriptor it has verified itself:
//!
//! - It fails over to the next node at once, when one cannot be reached or says that it may not decide now.
//! - It keeps a retry budget per server: at most [`MAX_TRIES`] without success in [`BUDGET_WINDOW`], over all
//!   calls.
//! - It obeys hard stops: after `server_revoked` and its like it asks no more, until [`Client::forget`].
//! - It waits as long as a rate limit says: until then it asks for no server.
//! - It trusts no answer: signature, issuer, audience, times and server are checked against the cluster's key
//!   set.
//!
//! [`Client::open`] does so for a session: the leave is renewed in the background, until a hard stop or the end of the
//! last descriptor ends it.
//!
//! [`Client::request`] is a plain door to the rest of the API, with the same fail-over where repeating is
//! harmless.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hapi_client::{Client, ConnectRequest};
//!
//! let client = Client::builder()
//!     .nodes(["https://a.registry.example", "https://b.registry.example", "https://c.registry.example"])
//!     .credential("hapi_client_…")
//!     .build()?;
//! let boarding = client.connect(&ConnectRequest::new("ai.acme/payments")).await?;
//! // Send `MCP-Connect: <boarding.descriptor>` with every request to `boarding.endpoint`.
//! # Ok(())
//! # }
//! ```

mod api;
mod authority;
mod boarding;
mod budget;
mod builder;
mod client;
mod connect;
mod download;
mod extras;
mod history;
mod keys;
mod nodes;
mod pause;
mod problem;
mod session;
mod tls;
mod transport;

pub use api::ApiError;
pub use boarding::{Boarding, REFRESH_BEFORE_SECONDS};
pub use budget::{BUDGET_WINDOW, MAX_TRIES};
pub use builder::{BuildError, Builder};
pub use client::Client;
pub use connect::{ConnectError, ConnectRequest};
pub use download::Download;
pub use extras::Extras;
pub use problem::{DEFAULT_RETRY_AFTER, HARD_STOPS, Problem};
pub use reqwest::Method;
pub use rustls::Error as TlsError;
pub use session::{Session, SessionEnd};
pub use tls::tls_config;
pub use transport::MAX_ANSWER_BYTES;
