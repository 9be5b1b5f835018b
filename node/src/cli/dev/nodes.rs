//! All nodes of a development cluster.

use super::folder::Folder;
use super::node::Node;
use super::plan::Plan;
use crate::cli::{Failure, health};
use futures::future::{join_all, select_all};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a cluster on a busy machine may take to form.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two questions whether a node is ready.
const PAUSE: Duration = Duration::from_millis(100);

/// The running nodes.
#[derive(Debug)]
pub(super) struct Nodes(Vec<Node>);

impl Nodes {
    /// Starts all nodes of the plan.
    pub(super) fn start(folder: &Folder, plan: &Plan) -> Result<Self, Failure> {
        let nodes = (1..=plan.nodes.len()).map(|number| Node::start(folder, plan, number));
        Ok(Self(nodes.collect::<Result<_, _>>()?))
    }

    /// Waits until the nodes that formed the cluster are ready. Those that joined it later are not waited for:
    /// a node of a running cluster signs only when its key has been published for a minute.
    ///
    /// # Errors
    /// A node that ends instead, with the last line of its log; or why one is still not ready in the end.
    pub(super) async fn ready(&mut self, plan: &Plan) -> Result<(), Failure> {
        let spinner = spinner();
        let deadline = Instant::now() + PATIENCE;
        for number in 1..=usize::from(plan.formed_by) {
            while let Err(reason) = health::is_ready(&plan.url(number), None).await {
                self.check()?;
                if Instant::now() > deadline {
                    return Err(Failure::refused(format!("node {number} is not ready: {reason}")));
                }
                spinner.set_message(format!("node {number} of {}: {reason}", plan.formed_by));
                sleep(PAUSE).await;
            }
        }
        spinner.finish_and_clear();
        Ok(())
    }

    fn check(&mut self) -> Result<(), Failure> {
        self.0.iter_mut().try_for_each(Node::check)
    }

    /// Resolves when a node ends, with what happened; with nothing when there is none left.
    pub(super) async fn ended(&mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let (what, at, _) = select_all(self.0.iter_mut().map(|node| Box::pin(node.ended()))).await;
        self.0.remove(at);
        Some(what)
    }

    /// Stops all nodes at once, and waits until none is left.
    pub(super) async fn stop(self) {
        join_all(self.0.into_iter().map(Node::stop)).await;
    }
}

/// One changing line on a terminal; nothing elsewhere.
fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(PAUSE);
    match ProgressStyle::with_template("{spinner} waiting for {wide_msg}") {
        Ok(style) => spinner.with_style(style),
        Err(_) => spinner,
    }
}
