//! `dev` prints lines to try; they do what it says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::command;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

/// What stands above a printed line, and what its output must contain.
const PROMISES: [(&str, &[&str]); 11] = [
    ("Search the catalog.", &["example.hapi/almanac", "\"connectable\":true"]),
    ("The same as a table.", &["example.hapi/almanac"]),
    ("Ask node 1 whether this client may connect.", &["\"descriptor\":\"eyJ", "\n200"]),
    ("Verify a descriptor of node 1 with the keys that node 2 publishes.", &["valid"]),
    (
        "Take a descriptor to the MCP server itself, which asks nobody, and call a tool.",
        &["\"phase\":\"full moon\"", "\"asked_by\":\"demo\"", "\n200"],
    ),
    ("Suspend the server on node 2.", &["suspend: done at index"]),
    ("Ask node 3.", &["\"code\":\"server_revoked\"", "\n403"]),
    (
        "Call the tool with the descriptor that is still out: within a second the server refuses it.",
        &["\"code\":\"descriptor_revoked\"", "\n403"],
    ),
    ("Reinstate it on node 1.", &["reinstate: done at index"]),
    ("Ask node 3 again.", &["\"descriptor\":\"eyJ", "\n200"]),
    ("Look at the cluster.", &["leader"]),
];

/// A running `dev`, and what it has printed up to the last line to try.
struct Dev {
    child: Child,
    printed: String,
}

impl Dev {
    fn start(folder: &Path) -> Self {
        let mut command = command();
        command.args(["dev", "--port-base", "0", "--dir"]).arg(folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            printed += &(line.unwrap() + "\n");
            let last = PROMISES[PROMISES.len() - 1].0;
            if printed.contains(last) && printed.split(last).nth(1).unwrap().contains("# →") {
                return Self { child, printed };
            }
        }
        panic!("dev ended with {:?} after:\n{printed}", child.wait());
    }

    /// The lines to try, each with the sentence above it.
    fn lines(&self) -> Vec<(&str, &str)> {
        let printed: Vec<_> = self.printed.lines().collect();
        printed
            .windows(2)
            .filter_map(|pair| pair[1].strip_prefix("  $ ").map(|line| (pair[0], line)))
            .collect()
    }

    fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

fn sh(line: &str) -> Output {
    Command::new("sh").args(["-c", line]).output().unwrap()
}

fn walk(dev: &Dev) {
    let lines = dev.lines();
    let headings: Vec<_> = lines.iter().map(|(heading, _)| *heading).collect();
    assert_eq!(headings, PROMISES.map(|(heading, _)| heading));
    for ((heading, line), (_, promised)) in lines.into_iter().zip(PROMISES) {
        let output = sh(line);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{heading}\n{line}\n{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for part in promised {
            assert!(said.contains(part), "{heading}: `{part}` is missing in:\n{said}");
        }
    }
}

/// The ports of the nodes, as the ready line names them.
fn ports(dev: &Dev) -> Vec<String> {
    let ready = dev.printed.lines().find(|line| line.starts_with("The cluster is ready")).unwrap();
    ready.split_whitespace().filter_map(|word| word.strip_prefix("http://")).map(str::to_owned).collect()
}

#[test]
fn the_printed_walk_through_works_and_works_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let tokens = folder.path().join("tokens.env");
    assert_eq!(fs::metadata(&tokens).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(dev.printed.contains("hapi_operator_"), "tokens are shown once");
    walk(&dev);
    let nodes = ports(&dev);
    assert_eq!(nodes.len(), 3);
    assert!(dev.stop().success());
    for node in &nodes {
        assert!(TcpStream::connect(node).is_err(), "a node outlived dev");
    }
    let again = Dev::start(folder.path());
    assert!(!again.printed.contains("hapi_operator_"), "tokens are shown once only");
    walk(&again);
    assert!(again.stop().success());
}

#[test]
fn no_node_outlives_a_dev_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(folder.path());
    let nodes = ports(&dev);
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    let deadline = std::time::Instant::now() + hapi_cluster_tests::PATIENCE;
    while nodes.iter().any(|node| TcpStream::connect(node).is_ok()) {
        assert!(std::time::Instant::now() < deadline, "a node outlived its parent");
        std::thread::yield_now();
    }
}
