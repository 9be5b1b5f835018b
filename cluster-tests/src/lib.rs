//! Real node processes, driven through public doors only.
//!
//! The vocabulary is small: start, kill, stop, pause, resume, restart, and *wait until* with a reason. Ports
//! are always 0; nothing sleeps for a fixed time; whatever was started ends with the test, even if the test
//! itself is killed.

#![allow(clippy::expect_used, reason = "all of this runs in tests, which stop at the first surprise")]

mod binary;
mod catalog;
mod cluster;
mod door;
mod fixtures;
mod node;
mod wait;

pub use binary::{binary, command};
pub use catalog::{document, placeholder_document, publish_all};
pub use cluster::{Cluster, Options};
pub use door::{Answer, Door};
pub use fixtures::{fixtures, real_entries};
pub use node::Node;
pub use wait::{PATIENCE, wait_until};
