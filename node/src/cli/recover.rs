//! `recover`: a new cluster out of what one node has left, after the majority was lost.

use super::{Failure, restore::Anew};
use crate::clock::SystemEnvironment;
use std::path::PathBuf;

/// Make a new cluster out of the folder of one node, after a majority of the voters was lost for good.
///
/// The last resort: with a majority of the voters left, or with any of them that comes back, nothing is lost and this is
/// not needed. A node knows what it has received. What the cluster acknowledged without this node, the last moments
/// before the loss or more if it lagged, is lost: publications, and suspensions and revocations too. So choose the
/// survivor whose `doctor --data-dir` shows the highest last index. Everything else is as after `restore`: another
/// cluster with other keys and another secret, which issues nothing until `restore confirm`. The old folder stays as it
/// is; no node may run in it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry recover --from /var/lib/hapi --data-dir /var/lib/hapi-new --secret-file new-secret \\
      --majority-is-lost --accept-lost-writes
      Then as after `restore`.")]
pub(crate) struct Recover {
    /// The data folder of the survivor, in which no node runs
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The data folder to be made: empty, or not there
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Yes: a majority of the voters is lost for good, and none of the lost nodes will be started again
    #[arg(long)]
    majority_is_lost: bool,
    /// Yes: what was acknowledged without this node is lost, suspensions and revocations too
    #[arg(long)]
    accept_lost_writes: bool,
    #[command(flatten)]
    anew: Anew,
}

impl Recover {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.check_flags()?;
        let from = self.from;
        let make = async |restoring: hapi_raft::Restoring<'_>| {
            hapi_raft::recover(&from, restoring, &SystemEnvironment).await
        };
        self.anew.make(&self.data_dir, make).await
    }

    /// Both are needed: one says what has happened, the other what it costs.
    fn check_flags(&self) -> Result<(), Failure> {
        let missing: Vec<&str> = [
            (self.majority_is_lost, "--majority-is-lost"),
            (self.accept_lost_writes, "--accept-lost-writes"),
        ]
        .into_iter()
        .filter_map(|(given, flag)| (!given).then_some(flag))
        .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "without {}, nothing is done: what the lost nodes had acknowledged and this one has not received is gone \
             afterwards, suspensions and revocations included",
            missing.join(" and ")
        ))
        .hint("bring a majority of the voters back if there is any way: then nothing is lost"))
    }
}
