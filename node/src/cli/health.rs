//! `health`: is the local node ready? For container health checks.

use super::{Failure, remote, say};
use hapi_client::Method;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Health checks come every few seconds: one that hangs longer than this has failed.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Rest between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Ask the local node whether it is ready, and exit with 0 or not with 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry health --url http://127.0.0.1:8080 --wait 30
      Prints `ready` as soon as it is, or why it is not after half a minute.")]
pub(crate) struct Health {
    /// The base URL of the node
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An authority in PEM that the node's certificate may be of, beside the public ones
    #[arg(long, value_name = "FILE", env = "HAPI_CA")]
    ca: Option<PathBuf>,
    /// Look again for up to so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

impl Health {
    /// Everything but ready is 1: container engines know no other exit code.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let end = Instant::now() + Duration::from_secs(self.wait);
        loop {
            match is_ready(&self.url, self.ca.as_deref()).await {
                Ok(()) => return say("ready"),
                Err(_) if Instant::now() < end => sleep(LOOK).await,
                Err(reason) => return Err(Failure::refused(format!("not ready: {reason}"))),
            }
        }
    }
}

/// Whether the node at `url` is ready; else why not.
pub(super) async fn is_ready(url: &str, ca: Option<&Path>) -> Result<(), String> {
    let builder = remote::trusting(ca).map_err(|failure| failure.message)?;
    let client = builder.nodes([url]).timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
    match client.request(Method::GET, "/readyz", None).await {
        Ok(_) => Ok(()),
        Err(hapi_client::ApiError::Refused(problem)) => {
            Err(problem.body["reason"].as_str().unwrap_or(&problem.detail).to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}
