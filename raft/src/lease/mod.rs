//! Serving leases: every node issues from its own memory, and a revocation that was acknowledged holds on
//! all of them.
//!
//! The rules are pure: [`holder`], [`session`] and [`issue`] take messages and clock readings and give
//! answers, without sockets, tasks or clocks; [`board`] orders what issuers see. Around them stand [`seat`]
//! and [`granter`], each one lock, and the drivers: [`renewal`] asks for leases, [`presiding`] opens sessions
//! and grants, [`sealing`] collects confirmations, [`permit`] is what an issuer holds, [`outlook`] what people are shown.
//!
//! Assumption: while a lease is in use, the *rates* of two nodes' clocks differ by less than 10 %. No
//! *values* of clocks are compared, but for a check that refuses leases when they are far apart.

pub(crate) mod board;
pub(crate) mod clock;
pub(crate) mod granter;
pub(crate) mod holder;
pub(crate) mod issue;
#[cfg(test)]
mod model;
pub(crate) mod outlook;
pub(crate) mod permit;
pub(crate) mod presiding;
pub(crate) mod renewal;
pub(crate) mod rules;
pub(crate) mod sealing;
pub(crate) mod seat;
pub(crate) mod session;
