//! The receipt of a deny-type write.

use serde::Serialize;
use utoipa::ToSchema;

/// Says that an act binds every node.
///
/// A node decides a connect only after a majority has told it how far the log reaches. A committed act is
/// therefore seen by every decision that begins after it, on any node, and the commit is the seal.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipt {
    /// The index of the entry.
    pub(crate) index: u64,
    /// Whether no node issues against the act any more.
    pub(crate) sealed: bool,
    /// Whether everything stood as asked before; `index` is then the act that made it so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unchanged: bool,
}

impl Receipt {
    pub(crate) fn committed(index: u64) -> Self {
        Self { index, sealed: true, unchanged: false }
    }

    pub(crate) fn unchanged(since: u64) -> Self {
        Self { unchanged: true, ..Self::committed(since) }
    }
}
