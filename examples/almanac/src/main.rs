//! `hapi-almanac`: the example as a program.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use hapi_almanac::{MCP_PATH, app};
use hapi_guard::{Config, ConfigError, FeedPolicy, Guard, Mode};
use thiserror::Error;
use tokio::net::TcpListener;

/// An MCP server with two tools behind a guard: `day_length` and `moon_phase`.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7430")]
    listen: SocketAddr,
    /// The URL of this server as it stands in the catalog; its path is `/mcp` [default: where it listens]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The name of this server in the catalog
    #[arg(long, default_value = "example.hapi/almanac")]
    server: String,
    /// The registry's issuer
    #[arg(long, default_value = "http://127.0.0.1:7401")]
    issuer: String,
    /// The address of a registry node; may be repeated
    #[arg(long = "registry", value_name = "URL", default_value = "http://127.0.0.1:7401")]
    registries: Vec<String>,
    /// What a silent revocation feed means
    #[arg(long, value_enum, default_value_t = Feed::Strict)]
    feed: Feed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Feed {
    /// Nobody comes in
    Strict,
    /// Descriptors count until their end
    BestEffort,
}

#[derive(Debug, Error)]
enum Failure {
    #[error("the guard: {0}")]
    Guard(#[from] ConfigError),
    #[error("{address}: {error}")]
    Listen { address: SocketAddr, error: std::io::Error },
    #[error("serving: {0}")]
    Serve(std::io::Error),
}

impl Args {
    fn guard(self, address: SocketAddr) -> Config {
        let feed = match self.feed {
            Feed::Strict => FeedPolicy::strict(),
            Feed::BestEffort => FeedPolicy::BestEffort,
        };
        // Sessions for older clients; requests of MCP 2026-07-28 belong to none and are checked one by one.
        let mode = Mode::sessions();
        let endpoint = self.endpoint.unwrap_or_else(|| format!("http://{address}{MCP_PATH}"));
        Config { feed, mode, ..Config::new(self.issuer, self.server, endpoint, self.registries) }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> Result<(), Failure> {
    let wanted = args.listen;
    let listen = |error| Failure::Listen { address: wanted, error };
    let listener = TcpListener::bind(wanted).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let guard = Guard::start(args.guard(address))?;
    tracing::info!(%address, metadata = guard.protected_resource().url(), "listening");
    axum::serve(listener, app(&guard)).await.map_err(Failure::Serve)
}
