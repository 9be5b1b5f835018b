//! One node as a child process of `dev`.

use super::folder::Folder;
use super::plan::Plan;
use super::ports::loopback;
use crate::cli::Failure;
use crate::clock;
use crate::config::Config;
use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// How long a node may take to hand leadership over and finish its requests, before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// A running node.
#[derive(Debug)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) number: usize,
    child: Child,
    /// Never written to. The node stops when it is closed, and the kernel closes it when `dev` dies.
    _lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Node {
    /// Starts the node of that number, counted from 1.
    pub(super) fn start(folder: &Folder, plan: &Plan, number: usize) -> Result<Self, Failure> {
        let home = folder.node(number);
        let log = home.join("log");
        let trouble =
            |error: std::io::Error| Failure::refused(format!("node {number} cannot be started: {error}"));
        std::fs::create_dir_all(&home).map_err(trouble)?;
        std::fs::write(home.join("config.toml"), config(folder, plan, number)?).map_err(trouble)?;
        let mut child = command(&home.join("config.toml"), &log)
            .and_then(|mut command| command.spawn())
            .map_err(trouble)?;
        let lifeline = child.stdin.take();
        Ok(Self { number, child, _lifeline: lifeline, log })
    }

    /// Resolves when the process has ended.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => self.last_words(status),
            Err(error) => format!("node {} is lost: {error}", self.number),
        }
    }

    /// Whether the process has ended, and how.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(Failure::refused(self.last_words(status))
                    .hint(format!("its log is {}", self.log.display())))
            }
            Err(error) => Err(Failure::refused(format!("node {} is lost: {error}", self.number))),
        }
    }

    /// Asks the process to stop, and waits; one that takes too long is killed.
    pub(super) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            // It may have ended just now.
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    /// How it ended, with the last line of its log: a node that refuses to start says there why.
    fn last_words(&self, status: ExitStatus) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let words = log.lines().rfind(|line| !line.starts_with("hint: ")).unwrap_or_default();
        format!("node {} has ended ({status}), saying: {words}", self.number)
    }
}

/// The node gets its settings from its file alone, and signals from `dev` alone: Ctrl-C in a terminal goes to
/// the whole process group, and would take away the chance to stop in order.
fn command(config: &Path, log: &Path) -> std::io::Result<Command> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--exit-with-stdin", "--config"]).arg(config);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HAPI_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
    Ok(command)
}

fn config(folder: &Folder, plan: &Plan, number: usize) -> Result<String, Failure> {
    let ports = plan.nodes[number - 1];
    let mut config =
        Config { data_dir: folder.node(number).join("data"), issuer: plan.url(1), ..Config::default() };
    config.http.listen = loopback(ports.http);
    config.peer.listen = loopback(ports.peer);
    config.cluster.secret_file = vec![folder.secret(new_secret)?];
    config.cluster.join = plan.nodes.iter().map(|ports| loopback(ports.peer).to_string()).collect();
    config.cluster.bootstrap_expect = Some(plan.formed_by);
    // All of it is on this machine, what it is tried out with too.
    config.outbound.allow_private = true;
    config.to_toml().map_err(|error| Failure::refused(error.to_string()))
}

fn new_secret() -> String {
    let mut bytes = [0; 32];
    clock::fill_random(&mut bytes);
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::config::layers;

    #[test]
    fn every_node_gets_a_valid_configuration_of_the_same_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).unwrap();
        let plan = Plan::of(&folder, Some(2), 7400).unwrap();
        let read = |number| {
            let file = dir.path().join(format!("{number}.toml"));
            std::fs::write(&file, config(&folder, &plan, number).unwrap()).unwrap();
            Config::resolve(&layers(Some(&file), []).unwrap()).unwrap()
        };
        let (one, two) = (read(1), read(2));
        assert_eq!((&one.issuer, &one.cluster), (&two.issuer, &two.cluster));
        assert_eq!(one.cluster.join, ["127.0.0.1:7411", "127.0.0.1:7412"]);
        assert_ne!((one.data_dir, one.http), (two.data_dir, two.http));
        let secret = std::fs::read(&one.cluster.secret_file[0]).unwrap();
        assert!(hapi_raft::ClusterSecret::parse(&secret).is_ok());
    }
}
