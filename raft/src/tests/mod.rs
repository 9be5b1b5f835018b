//! Several replicas in one process: real TLS, real disks, addresses of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod admission;
mod catching_up;
mod forming;
mod harness;
mod hostile;
mod leasing;
mod membership;
mod replication;
mod routes;
mod secrets;
mod throughput;
