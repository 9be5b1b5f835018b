//! `hapi-registry`: a distributed MCP registry that is a Connect Authority.
//!
//! One binary: `serve` is a node, `dev` a whole cluster on one machine, the other verbs talk to nodes. This crate is
//! the only one that reads the wall clock, randomness, the environment and configuration files.

/// A decision makes some dozens of small pieces of memory; measured, this is worth a tenth of the throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod api;
mod audit_head;
mod auth;
mod budget;
mod cli;
mod clock;
mod clock_source;
mod config;
mod console;
mod cursor;
mod disk;
mod entries;
mod events;
mod faults;
mod feed;
mod health;
mod identity;
mod issuance_log;
mod issue;
mod lifting;
mod limits;
mod listen;
mod load;
mod metrics;
mod mirror;
mod oidc;
mod outbound;
mod problem;
mod publisher_auth;
mod publisher_token;
mod rankings;
mod rotation;
mod secret_files;
mod serve;
mod signing;
mod token_use;
mod traces;
mod webhooks;

fn main() -> std::process::ExitCode {
    cli::run()
}
