//! The client against real HTTP servers on the loopback interface, which answer as they are told.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod api;
mod fail_over;
mod node;
mod refusals;
mod session;
mod tls;
mod verification;
