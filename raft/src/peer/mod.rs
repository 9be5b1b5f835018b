//! The peer plane: how nodes talk to each other, over mutual TLS and HTTP/2.

pub(crate) mod answer;
pub(crate) mod dial;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod pool;
pub(crate) mod resolve;
pub(crate) mod route;
pub(crate) mod server;
