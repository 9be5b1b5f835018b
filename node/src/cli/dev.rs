//! `dev`: a whole cluster on this machine, with a catalog and a walk-through.

mod almanac;
mod folder;
mod node;
mod nodes;
mod plan;
mod ports;
mod seed;
mod tokens;
mod walk;

use super::serve::shutdown;
use super::{Failure, output, say};
use almanac::Almanac;
use folder::Folder;
use nodes::Nodes;
use plan::Plan;
use std::path::PathBuf;

/// Start a cluster of three nodes on this machine, with tokens, a sample catalog, an MCP server and a walk-through.
///
/// Everything is kept in one folder, and found again by the next `dev`. The nodes and the MCP server listen on
/// loopback only, and stop with this command, however it ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry dev --port-base 0
      Three nodes on free ports; prints lines to copy: search, connect, verify, call a tool, suspend, reinstate.")]
pub(crate) struct Dev {
    /// Forget what earlier runs have left in the folder
    #[arg(long)]
    fresh: bool,
    /// The folder for data, logs and tokens
    #[arg(long, value_name = "DIR", default_value = "./.hapi-dev")]
    dir: PathBuf,
    /// The ports: this number and 1, 2, 3 for HTTP, 11, 12, 13 for peers, and 30 for the MCP server; 0 for any
    /// free ones. A folder that exists already keeps its ports
    #[arg(long, value_name = "PORT", default_value_t = 7400)]
    port_base: u16,
    /// How many nodes; more than the folder has, and the cluster grows [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: Option<u16>,
}

impl Dev {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut stop = std::pin::pin!(shutdown::requested(false)?);
        let folder = Folder::open(&self.dir, self.fresh)?;
        let mut plan = Plan::of(&folder, self.nodes, self.port_base)?;
        ports::check(&plan)?;
        let mut nodes = Nodes::start(&folder, &plan)?;
        let lived = tokio::select! {
            lived = live(&folder, &mut plan, &mut nodes) => lived,
            () = &mut stop => Ok(()),
        };
        output::note("stopping the nodes");
        nodes.stop().await;
        lived
    }
}

/// Brings the cluster up, shows the way round, and returns only when no node is left.
async fn live(folder: &Folder, plan: &mut Plan, nodes: &mut Nodes) -> Result<(), Failure> {
    nodes.ready(plan).await?;
    if !plan.seeded {
        say(&seed::seed(folder, plan).await?.introduce(folder))?;
        plan.seeded = true;
        plan.save(folder)?;
    }
    let _almanac = Almanac::open(plan).await?;
    say(&walk::text(folder, plan)?)?;
    while let Some(ended) = nodes.ended().await {
        output::note(&format!("{ended}; the others go on, and the next `dev` starts it again"));
    }
    Err(Failure::refused("no node is left").hint(format!("their logs are in {}", folder.root().display())))
}
