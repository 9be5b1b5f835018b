//! What is remembered between runs: how many nodes, on which ports, and whether the catalog is there.

use super::folder::Folder;
use super::ports::{self, Ports};
use crate::cli::Failure;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Nodes unless said otherwise: the fewest that survive the loss of one.
const NODES: u16 = 3;

/// A development cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The nodes.
    pub(super) nodes: Vec<Ports>,
    /// How many of them formed the cluster; later ones join it.
    pub(super) formed_by: u16,
    /// The port of the almanac, the MCP server of the walk-through.
    pub(super) almanac: u16,
    /// Whether tokens and catalog have been made.
    pub(super) seeded: bool,
}

impl Plan {
    /// The plan of the folder, made or grown as needed, and saved.
    ///
    /// # Errors
    /// A cluster does not shrink by starting fewer nodes: the missing ones would still count for the
    /// majority.
    pub(super) fn of(folder: &Folder, wanted: Option<u16>, port_base: u16) -> Result<Self, Failure> {
        let kept = Self::load(folder)?;
        let have = kept.as_ref().map_or(0, |plan| plan.nodes.len());
        let count = wanted.map_or(if have == 0 { usize::from(NODES) } else { have }, usize::from);
        if count < have {
            return Err(Failure::usage(format!(
                "this cluster has {have} nodes, and cannot run with only {count}"
            ))
            .hint("use --fresh to begin anew, or another --dir"));
        }
        let (almanac, nodes) = choose(port_base, have + 1..=count)?;
        let mut plan =
            kept.unwrap_or(Self { nodes: Vec::new(), formed_by: count as u16, almanac, seeded: false });
        plan.nodes.extend(nodes);
        plan.save(folder)?;
        Ok(plan)
    }

    fn load(folder: &Folder) -> Result<Option<Self>, Failure> {
        let path = folder.plan();
        if !path.exists() {
            return Ok(None);
        }
        let text =
            std::fs::read(&path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let plan = serde_json::from_slice(&text);
        plan.map(Some).map_err(|error| {
            Failure::usage(format!("{}: {error}", path.display())).hint("use --fresh to begin anew")
        })
    }

    /// Writes it down, whole or not at all.
    pub(super) fn save(&self, folder: &Folder) -> Result<(), Failure> {
        let (path, beside) = (folder.plan(), folder.plan().with_extension("new"));
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::other)
            .and_then(|text| std::fs::write(&beside, text))
            .and_then(|()| std::fs::rename(&beside, &path));
        written.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    }

    /// The base URLs of all nodes.
    pub(super) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Ports::url).collect()
    }

    /// The endpoint of the almanac.
    pub(super) fn almanac_url(&self) -> String {
        format!("http://{}{}", ports::loopback(self.almanac), hapi_almanac::MCP_PATH)
    }

    /// The base URL of a node, counted from 1; with fewer nodes the count goes round.
    pub(super) fn url(&self, number: usize) -> String {
        self.nodes[(number - 1) % self.nodes.len()].url()
    }
}

/// The port of the almanac, and those of the nodes with these numbers.
fn choose(base: u16, numbers: RangeInclusive<usize>) -> Result<(u16, Vec<Ports>), Failure> {
    if base > 0 {
        let nodes = numbers.map(|number| ports::above(base, number)).collect::<Result<_, _>>()?;
        return Ok((ports::almanac_above(base)?, nodes));
    }
    let mut free = ports::any_free(1 + 2 * numbers.count())?.into_iter();
    let almanac = free.next().unwrap_or_default();
    let nodes = std::iter::from_fn(|| Some(Ports { http: free.next()?, peer: free.next()? }));
    Ok((almanac, nodes.collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_plan_is_kept_and_grows_but_never_shrinks() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).unwrap();
        let first = Plan::of(&folder, None, 0).unwrap();
        assert_eq!((first.nodes.len(), first.formed_by, first.seeded), (3, 3, false));
        assert_eq!(Plan::of(&folder, None, 7400).unwrap(), first);
        let grown = Plan::of(&folder, Some(5), 0).unwrap();
        assert_eq!((&grown.nodes[..3], grown.formed_by), (&first.nodes[..], 3));
        assert_eq!(Plan::of(&folder, None, 0).unwrap().nodes.len(), 5);
        assert!(Plan::of(&folder, Some(3), 0).is_err());
    }

    #[test]
    fn nodes_are_counted_round() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).unwrap();
        let plan = Plan::of(&folder, Some(1), 7400).unwrap();
        assert_eq!(
            (plan.url(1), plan.url(3)),
            ("http://127.0.0.1:7401".into(), "http://127.0.0.1:7401".into())
        );
    }
}
