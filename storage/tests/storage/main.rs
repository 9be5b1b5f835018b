//! Tests of the store through its public doors.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should panic, and says where it is"
)]

mod log;
mod model;
mod recovery;
mod snapshots;
mod suite;
mod support;
mod throughput;
