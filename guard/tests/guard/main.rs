//! The guard in front of a real HTTP server, with a registry that signs real key sets and feeds. Only the clock is
//! made up.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod attacks;
mod feed;
mod outage;
mod registry;
mod sessions;
mod stateless;
mod stream;
mod world;
