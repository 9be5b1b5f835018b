//! The receipt of a write.

use super::Written;
use hapi_raft::Covered;
use hapi_registry_state::Outcome;
use serde::Serialize;
use utoipa::ToSchema;

/// Says that an act is done. One that denies something binds every node by then: each has confirmed that its
/// issuers see it, or its leases from before have run out.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipt {
    /// The index of the entry.
    pub(crate) index: u64,
    /// Whether no node issues against the act any more.
    pub(crate) sealed: bool,
    /// Whether everything stood as asked before; `index` is then the act that made it so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unchanged: bool,
    /// How each node was covered: empty if nothing had to be sealed, or if that is not known any more.
    pub(crate) nodes: Vec<ShownCover>,
}

/// How one node was covered.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownCover {
    /// The node's id, 16 hexadecimal digits.
    pub(crate) node: String,
    /// `confirmed` or `lease_expired`.
    pub(crate) cover: &'static str,
    /// Milliseconds from the commit.
    pub(crate) ms: u64,
}

impl Receipt {
    pub(crate) fn sealed(index: u64, nodes: &[Covered]) -> Self {
        Self { index, sealed: true, unchanged: false, nodes: nodes.iter().map(shape).collect() }
    }
}

impl From<Written> for Receipt {
    fn from(written: Written) -> Self {
        let receipt = Self::sealed(written.index, &written.nodes);
        let (index, since) = match written.outcome {
            Outcome::Repeated { index, since } => (index, since),
            outcome => (written.index, outcome.since()),
        };
        Self { index: since.unwrap_or(index), unchanged: since.is_some(), ..receipt }
    }
}

fn shape(covered: &Covered) -> ShownCover {
    ShownCover { node: covered.node.to_string(), cover: covered.cover.name(), ms: covered.ms }
}
