//! `load`: a closed loop of requests over many connections, and what came of it.
//!
//! The generator often shares its machine with the nodes that it measures. Whatever it spends is taken from
//! them, so it runs on one thread, sends bytes that were made beforehand, and reads no more of an answer than
//! it needs.

mod connection;
mod report;
mod request;
mod stats;
mod worker;

use crate::cli::{Failure, Output, Remote, say};
use clap::ValueEnum;
use hapi_registry_state::{ServerName, ServerRef};
use indicatif::{ProgressBar, ProgressStyle};
use request::{Source, Target};
use stats::Stats;
use std::time::{Duration, Instant};
use worker::{Budget, Worker};

/// What the requests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Ask for descriptors.
    Connect,
    /// Publish versions that nobody published before.
    Publish,
}

/// Load nodes with requests, and print throughput, answers and latencies.
///
/// Each connection sends its next request when the last one is answered. Connections are spread evenly over
/// the nodes. Latency is from the first byte sent to the last byte received.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry load --node http://n1:8080,http://n2:8080 --connections 64 --server ai.acme/weather
      Ten seconds of connects, half of them on each node.")]
pub(crate) struct Load {
    /// connect needs a client token, publish a publisher token
    #[arg(long, value_enum, default_value = "connect")]
    mode: Mode,
    /// So many connections at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    connections: u32,
    /// Stop after so many seconds [default: 10, unless --requests is given]
    #[arg(long, value_name = "SECONDS", conflicts_with = "requests")]
    duration: Option<u64>,
    /// Stop after so many requests
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// A server to connect to, NAMESPACE/NAME or NAMESPACE/NAME@VERSION; may be repeated. With --mode publish,
    /// the beginning of the names of the servers to publish
    #[arg(long = "server", value_name = "REF", required = true)]
    servers: Vec<ServerRef>,
    /// Where connects are sent
    #[arg(long, default_value = "/v1/connect")]
    path: String,
    /// The same as --output json
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Load {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let token = self.remote.token()?;
        let targets = self.remote.nodes.iter().map(|url| Target::parse(url, token.as_deref()));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        let budget = self.budget();
        let bar = bar(self.requests, self.seconds());
        let started = Instant::now();
        let workers = (0..self.connections).map(|number| {
            let target = targets[number as usize % targets.len()].clone();
            Worker { source: self.source(number, &target), target, budget: budget.clone() }
        });
        let tasks: Vec<_> = workers.map(|worker| tokio::spawn(worker.run())).collect();
        let ticking = tokio::spawn(tick(bar.clone(), budget, self.requests.is_some()));
        let mut stats = Stats::default();
        for task in tasks {
            stats.merge(
                &task.await.map_err(|error| Failure::refused(format!("a connection failed: {error}")))?,
            );
        }
        let elapsed = started.elapsed();
        ticking.abort();
        bar.finish_and_clear();
        self.conclude(&stats, elapsed)
    }

    fn conclude(&self, stats: &Stats, elapsed: Duration) -> Result<(), Failure> {
        let json = self.json || self.remote.output == Output::Json;
        say(&if json {
            format!("{:#}", report::json(stats, elapsed))
        } else {
            report::table(stats, elapsed)
        })?;
        match stats.answers() {
            0 => Err(Failure::unreachable(
                stats.first_error.clone().unwrap_or("no request was answered".into()),
            )),
            _ => Ok(()),
        }
    }

    fn seconds(&self) -> u64 {
        self.duration.unwrap_or(10)
    }

    fn budget(&self) -> Budget {
        match self.requests {
            Some(requests) => Budget::requests(requests),
            None => Budget::until(Instant::now() + Duration::from_secs(self.seconds())),
        }
    }

    fn source(&self, connection: u32, target: &Target) -> Source {
        match self.mode {
            Mode::Connect => Source::connects(target, &self.path, &self.servers, connection),
            Mode::Publish => {
                let names: Vec<&ServerName> = self.servers.iter().map(|server| &server.name).collect();
                Source::publishes(names[connection as usize % names.len()], run_id(), connection)
            }
        }
    }
}

/// Tells the versions of this run from those of any other.
fn run_id() -> u64 {
    static RUN: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *RUN.get_or_init(|| crate::clock::now().seconds())
}

/// A bar on a terminal; nothing elsewhere.
fn bar(requests: Option<u64>, seconds: u64) -> ProgressBar {
    let template = match requests {
        Some(_) => "{bar:40} {pos}/{len} requests, {eta} left",
        None => "{bar:40} {pos}/{len} s, {msg} requests",
    };
    let bar = ProgressBar::new(requests.unwrap_or(seconds));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

async fn tick(bar: ProgressBar, budget: Budget, by_requests: bool) {
    let started = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        if by_requests {
            bar.set_position(budget.sent());
        } else {
            bar.set_position(started.elapsed().as_secs());
            bar.set_message(budget.sent().to_string());
        }
    }
}
