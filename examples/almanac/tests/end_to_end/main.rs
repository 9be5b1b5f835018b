//! A registry cluster, MCP servers behind guards and MCP clients on the official SDKs for Rust and Python, all of them
//! processes of their own; no MCP traffic passes through the registry.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod cut_off;
mod health;
mod hostile;
mod lifetimes;
mod opening;
mod outage;
mod rust_client;
mod server;
mod world;
