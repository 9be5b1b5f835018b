//! Real node processes, driven through public doors only.
//!
//! The vocabulary is small: start, kill, stop, restart, pause, resume, cut, heal, transfer, and *wait until*
//! with a reason. A fault that was not really installed stops the test. Ports are always 0; nothing sleeps
//! for a fixed time, except where a fault's own length is meant; whatever was started ends with the test, even
//! if the test itself is killed.

#![allow(clippy::expect_used, reason = "all of this runs in tests, which stop at the first surprise")]

mod authority;
mod binary;
mod boot_clock;
mod browser;
mod campaign;
mod catalog;
mod cluster;
mod deny;
mod door;
mod fixtures;
mod front_door;
mod issued;
mod metrics;
mod network;
mod no_late_descriptor;
mod node;
mod port;
mod program;
mod publishing;
mod python;
mod python_client;
mod seal;
mod spent;
mod tool_call;
mod turn;
mod visitor;
mod volume;
mod wait;
mod whereabouts;
mod workload;

pub use authority::{Authority, identity};
pub use binary::{Binary, binary, command, command_under, faulty_binary};
pub use boot_clock::{boot_ns, ms_between};
pub use browser::{Browser, keys};
pub use campaign::{Campaign, Fault, Plan, Report};
pub use catalog::{document, entries_like, placeholder_document, publish_all};
pub use cluster::{Cluster, Options};
pub use deny::{Acknowledged, Deny};
pub use door::{Answer, Door};
pub use fixtures::{fixtures, real_entries};
pub use front_door::FrontDoor;
pub use issued::Issued;
pub use metrics::Metrics;
pub use network::{Network, Site};
pub use no_late_descriptor::{Denial, History, Subject, Verdict, Violation, judge, untrue};
pub use node::{Launch, Node};
pub use port::free_port;
pub use program::Program;
pub use publishing::Publishing;
pub use python::{in_repository, python, python_example, python_for, python_script};
pub use python_client::{Proof, PythonClient};
pub use seal::Seal;
pub use spent::Spent;
pub use tool_call::tool_call;
pub use turn::{shared_turn, turn};
pub use visitor::{Seen, Visitor};
pub use volume::Volume;
pub use wait::{PATIENCE, wait_until};
pub use whereabouts::Whereabouts;
pub use workload::{Aim, Given, Lane, Mark, Pace, Paced, Request, Workload, exchange_all};
