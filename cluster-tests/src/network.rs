//! A network of our own, in which any two nodes can be cut apart in silence.
//!
//! Each node has a network namespace, joined by a bridge in one more. Tests reach every node over that
//! bridge too, and are never cut off. A cut is a packet filter at the receiver: nothing is answered and no
//! connection closes, so that neither side learns of it but by waiting. Everything ends with this process:
//! the namespaces are held open by children that watch their standard input.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

/// How long a probe may take to arrive. It crosses one bridge of this machine.
const PROBE: Duration = Duration::from_millis(100);

/// How often a probe is repeated where it should arrive, before the way counts as cut.
const PROBES: usize = 20;

/// What is set up in each node's namespace: senders in the set are not heard.
const FILTER: &str = "
table ip hapi {
    set silenced { type ipv4_addr; }
    chain heard { type filter hook input priority 0; policy accept; ip saddr @silenced drop; }
}
";

/// Nodes' namespaces and the bridge between them.
#[derive(Debug)]
pub struct Network {
    subnet: u8,
    hub: Holder,
    sites: Vec<(Site, Holder)>,
}

/// Where one node is.
#[derive(Clone, Debug)]
pub struct Site {
    address: Ipv4Addr,
    namespace: PathBuf,
}

impl Site {
    /// The node's address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that runs there. The process is replaced, so that its id is the program's own.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace.display())).arg("--").arg(program);
        command
    }

    /// Runs `act` on a thread that has moved there.
    fn within<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
        let namespace = File::open(&self.namespace).expect("the namespace is held open");
        thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("whoever made the namespace may enter it");
            act()
        })
    }
}

/// A process that does nothing but be in a namespace of its own.
#[derive(Debug)]
struct Holder(Child);

impl Holder {
    /// Makes a namespace and runs `script` in it.
    fn make(script: &str) -> Result<Self, String> {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", &format!("{script} && echo made && exec cat >/dev/null")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare cannot be run: {error}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let _ = BufReader::new(stdout).read_line(&mut line);
        let mut holder = Self(child);
        if line.trim() == "made" { Ok(holder) } else { Err(holder.complaint()) }
    }

    fn complaint(&mut self) -> String {
        let mut text = String::new();
        let _ = self.0.wait();
        let _ = self.0.stderr.take().map(|mut stderr| stderr.read_to_string(&mut text));
        format!("no network namespace: {}", text.trim())
    }

    fn namespace(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }

    /// Runs a program in the namespace, with `input`.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace().display())).arg("--").arg(program).args(arguments);
        run(command, input)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Network {
    /// Makes the bridge and joins this process's own network to it.
    ///
    /// # Errors
    /// What this machine lacks: the right, a program or a part of the kernel.
    pub fn make() -> Result<Self, String> {
        let hub = Holder::make("ip link add bridge type bridge && ip link set bridge up")?;
        let subnet = join_here(&hub)?;
        hub.run("ip", &["link", "set", "here", "master", "bridge", "up"], "")?;
        Ok(Self { subnet, hub, sites: Vec::new() })
    }

    /// Adds a node's namespace.
    pub fn add(&mut self) -> Result<Site, String> {
        let holder = Holder::make("ip link set lo up && nft list tables >/dev/null")?;
        holder.run("nft", &["-f", "-"], FILTER)?;
        let (port, process) = (format!("node{}", self.sites.len()), holder.0.id().to_string());
        let link = ["link", "add", &port, "type", "veth", "peer", "name", "wire", "netns", &process];
        self.hub.run("ip", &link, "")?;
        self.hub.run("ip", &["link", "set", &port, "master", "bridge", "up"], "")?;
        let last = u8::try_from(self.sites.len() + 1).map_err(|_| "too many nodes".to_owned())?;
        let address = Ipv4Addr::new(198, 18, self.subnet, last);
        holder.run("ip", &["address", "add", &format!("{address}/24"), "dev", "wire"], "")?;
        holder.run("ip", &["link", "set", "wire", "up"], "")?;
        let site = Site { address, namespace: holder.namespace() };
        self.sites.push((site.clone(), holder));
        Ok(site)
    }

    /// Where the node at `place` is.
    pub fn site(&self, place: usize) -> &Site {
        &self.sites[place].0
    }

    /// Drops what comes from `from` at `to`, for each pair. It is in force when this returns.
    ///
    /// # Panics
    /// When the filter does not take it.
    pub fn silence(&self, pairs: &[(usize, usize)]) {
        for to in 0..self.sites.len() {
            let from = pairs.iter().filter(|pair| pair.1 == to).map(|pair| self.address(pair.0));
            let from: Vec<_> = from.map(|address| address.to_string()).collect();
            if !from.is_empty() {
                self.filter(to, &format!("add element ip hapi silenced {{ {} }}", from.join(", ")));
            }
        }
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        (0..self.sites.len()).for_each(|place| self.filter(place, "flush set ip hapi silenced"));
    }

    /// Sends datagrams along each pair and checks that they arrive just where they should.
    ///
    /// # Panics
    /// When one does not arrive, or arrives in spite of a cut: then the fault was not installed.
    pub fn probe(&self, pairs: &[(usize, usize)], arrives: bool) {
        let probes: Vec<_> = pairs.iter().map(|pair| (pair, self.send_probe(*pair, arrives))).collect();
        for ((from, to), probe) in probes {
            let arrived = probe.join().expect("a probe ends");
            assert_eq!(arrived, arrives, "whether a packet from node {from} reaches node {to}");
        }
    }

    fn send_probe(&self, (from, to): (usize, usize), patient: bool) -> thread::JoinHandle<bool> {
        let (sender, receiver) = (self.site(from).clone(), self.site(to).clone());
        thread::spawn(move || {
            let bind = |site: &Site| {
                let address = site.address;
                site.within(move || UdpSocket::bind((address, 0)).expect("a port is free")).join()
            };
            let (sender, receiver) = (bind(&sender).expect("it binds"), bind(&receiver).expect("it binds"));
            let address = receiver.local_addr().expect("it is bound");
            receiver.set_read_timeout(Some(PROBE)).expect("not zero");
            // A socket stays in the namespace where it was made, whichever thread uses it.
            (0..if patient { PROBES } else { 1 }).any(|_| {
                let _ = sender.send_to(b"probe", address);
                receiver.recv(&mut [0; 16]).is_ok()
            })
        })
    }

    fn address(&self, place: usize) -> Ipv4Addr {
        self.site(place).address
    }

    fn filter(&self, place: usize, act: &str) {
        let done = self.sites[place].1.run("nft", &["-f", "-"], act);
        done.unwrap_or_else(|error| panic!("the fault was not installed: {act}: {error}"));
    }
}

/// Draws subnets of the range for benchmarks (RFC 2544) until one is free: the name of the interface is
/// its lock.
fn join_here(hub: &Holder) -> Result<u8, String> {
    let process = hub.0.id().to_string();
    let mut last = String::new();
    for _ in 0..16 {
        let subnet: u8 = rand::random();
        let name = format!("hapi{subnet}");
        let here = |arguments: &[&str]| {
            let mut command = Command::new("ip");
            command.args(arguments);
            run(command, "")
        };
        match here(&["link", "add", &name, "type", "veth", "peer", "name", "here", "netns", &process]) {
            Ok(()) => {
                here(&["address", "add", &format!("198.18.{subnet}.254/24"), "dev", &name])?;
                here(&["link", "set", &name, "up"])?;
                return Ok(subnet);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn run(mut command: Command, input: &str) -> Result<(), String> {
    let program = command.get_program().to_owned();
    let said = |error: std::io::Error| format!("{}: {error}", Path::new(&program).display());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(said)?;
    // One that ends without reading says why on stderr.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let Output { status, stderr, .. } = child.wait_with_output().map_err(said)?;
    if status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&stderr).trim().to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_silent_and_has_a_direction() {
        let mut network = match Network::make() {
            Ok(network) => network,
            Err(why) => return eprintln!("SKIPPED: {why}"),
        };
        for _ in 0..3 {
            network.add().expect("one more namespace");
        }
        let all = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
        network.probe(&all, true);
        network.silence(&[(0, 1)]);
        network.probe(&[(0, 1)], false);
        network.probe(&all[1..], true);
        network.silence(&[(1, 0), (2, 0)]);
        network.probe(&[(0, 1), (1, 0), (2, 0)], false);
        network.probe(&[(0, 2), (1, 2), (2, 1)], true);
        network.heal();
        network.probe(&all, true);
    }
}
