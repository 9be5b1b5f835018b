//! One node as a process of its own.

use crate::{Binary, Door, PATIENCE, Site, Spent};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

/// What a node is started with.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Which build of the program.
    pub binary: Binary,
    /// Its data.
    pub folder: &'a Path,
    /// The file with the cluster secret.
    pub secret: &'a Path,
    /// Where others may be found.
    pub join: &'a [String],
    /// Further settings, as `HAPI_*` variables.
    pub settings: &'a [(String, String)],
    /// A network of its own; without one it is on loopback.
    pub site: Option<&'a Site>,
    /// The words of a command that runs it as another user or elsewhere, if it is not run as we are.
    pub under: &'a [String],
}

/// Where a node listens.
#[derive(Clone, Debug)]
struct Addresses {
    http: String,
    peer: String,
}

/// A running node. It ends when this is dropped, and also when this process dies: its standard input
/// then closes, which it watches.
#[derive(Debug)]
pub struct Node {
    child: Child,
    folder: PathBuf,
    addresses: Addresses,
    log: Log,
    reader: Option<JoinHandle<()>>,
}

/// The lines that a node has written, shared with the thread that reads them.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

impl Node {
    /// Starts a node on the data in `folder` and waits until it listens.
    ///
    /// # Panics
    /// With the node's own log, when it does not come up.
    pub fn start(folder: &Path, secret: &Path, join: &[String], settings: &[(String, String)]) -> Self {
        Self::try_start(folder, secret, join, settings).unwrap_or_else(|log| panic!("a node ended:\n{log}"))
    }

    /// Starts a node, or yields the log of one that ended before it listened.
    pub fn try_start(
        folder: &Path,
        secret: &Path,
        join: &[String],
        settings: &[(String, String)],
    ) -> Result<Self, String> {
        Self::try_launch(Launch {
            binary: Binary::Plain,
            folder,
            secret,
            join,
            settings,
            site: None,
            under: &[],
        })
    }

    /// Starts a node with all that can be chosen, or yields the log of one that ended before it listened.
    pub fn try_launch(launch: Launch<'_>) -> Result<Self, String> {
        let mut command = serve(launch);
        let program = launch.binary.path().display();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let (log, listening, reader) = watch(child.stderr.take().expect("stderr is a pipe"));
        match listening.recv_timeout(PATIENCE) {
            Ok(addresses) => {
                Ok(Self { child, folder: launch.folder.into(), addresses, log, reader: Some(reader) })
            }
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                let _ = reader.join();
                Err(text_of(&log))
            }
        }
    }

    /// The base URL of its public API.
    pub fn http(&self) -> &str {
        &self.addresses.http
    }

    /// Where its peer plane listens, `host:port`.
    pub fn peer(&self) -> &str {
        &self.addresses.peer
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its public API, entered without a token.
    pub fn door(&self) -> Door {
        Door::new(self.http(), None)
    }

    /// What it has cost this machine so far.
    pub fn spent(&self) -> Spent {
        Spent::by(self.child.id())
    }

    /// What the kernel says of it: `/proc/PID/status`.
    ///
    /// # Panics
    /// When it has ended.
    pub fn proc_status(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        text_of(&self.log)
    }

    /// Its log, which stays when the node is gone.
    pub(crate) fn shared_log(&self) -> Log {
        self.log.clone()
    }

    /// SIGKILL: no last words, no clean-up. What it had written before is in its log when this returns.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.take().map(JoinHandle::join);
    }

    /// SIGTERM, and its exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().unwrap_or_else(|error| panic!("a child cannot be waited for: {error}"))
    }

    /// SIGHUP: it reads the cluster secret again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Waits until it ends by itself; how it did, and its log.
    pub fn wait(mut self) -> (ExitStatus, String) {
        // Waiting would close it, and the node end for that reason.
        let _leash = self.child.stdin.take();
        let status =
            self.child.wait().unwrap_or_else(|error| panic!("a child cannot be waited for: {error}"));
        let _ = self.reader.take().map(JoinHandle::join);
        (status, self.log())
    }

    /// SIGSTOP: it stands still until [`Node::resume`]; it does so when this returns.
    ///
    /// # Panics
    /// When it does not: then the fault was not installed.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let asked = Instant::now();
        while !self.is_stopped() {
            assert!(asked.elapsed() < PATIENCE, "a process did not stop");
            thread::yield_now();
        }
    }

    /// Whether all its threads stand still.
    fn is_stopped(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the node is our child");
        let state = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // `pid (name) state …`: the name may hold anything, brackets too.
        let stopped = |stat: &str| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'));
        tasks.flatten().map(state).all(|stat| stopped(&stat))
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("a signal was not delivered: {error}"));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the node in {}:\n{}", self.folder.display(), self.log());
        }
    }
}

fn serve(launch: Launch<'_>) -> Command {
    let Launch { binary, folder, secret, join, settings, site, under } = launch;
    let mut command = binary.command(site, under);
    let address = site.map_or("127.0.0.1".into(), |site| site.address().to_string());
    command
        .arg("serve")
        .arg("--exit-with-stdin")
        .env("HAPI_DATA_DIR", folder)
        .env("HAPI_CLUSTER_SECRET_FILE", secret)
        .env("HAPI_HTTP_LISTEN", format!("{address}:0"))
        .env("HAPI_PEER_LISTEN", format!("{address}:0"))
        .env("HAPI_LOG_FORMAT", "json")
        .env(
            "HAPI_LOG_LEVEL",
            "info,openraft=warn,openraft::core::raft_core=off,openraft::storage=off,sled=off",
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if !join.is_empty() {
        command.env("HAPI_CLUSTER_JOIN", join.join(","));
    }
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

/// Keeps a node's log, and passes on the addresses that it names first of all.
fn watch(stderr: ChildStderr) -> (Log, mpsc::Receiver<Addresses>, JoinHandle<()>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (found, listening) = mpsc::channel();
    let kept = log.clone();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(addresses) = addresses(&line) {
                // The receiver is gone once it has what it waited for.
                let _ = found.send(addresses);
            }
            kept.lock().expect("no holder panics").push(line);
        }
    });
    (log, listening, reader)
}

fn addresses(line: &str) -> Option<Addresses> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    if fields["message"] != "listening" {
        return None;
    }
    let http = fields["http"].as_str()?.to_owned();
    Some(Addresses { http, peer: fields["peer"].as_str()?.to_owned() })
}

fn text_of(log: &Mutex<Vec<String>>) -> String {
    log.lock().expect("no holder panics").join("\n")
}
