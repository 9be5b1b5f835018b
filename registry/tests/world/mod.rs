//! What every test of the state machine needs: documents, tokens and keys, the same in every run.

mod document;
mod identity;

pub(crate) use document::{Draft, document};
pub(crate) use identity::{presented, public_key};
