//! `health`: is the local node ready? For container health checks.

use super::{Failure, say};
use hapi_client::{Client, Method};
use std::time::Duration;

/// Health checks come every few seconds: one that hangs longer than this has failed.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Ask the local node whether it is ready, and exit with 0 or not with 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry health --url http://127.0.0.1:8080
      Prints `ready`, or why not.")]
pub(crate) struct Health {
    /// The base URL of the node
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
}

impl Health {
    /// Everything but ready is 1: container engines know no other exit code.
    pub(super) async fn run(self) -> Result<(), Failure> {
        match is_ready(&self.url).await {
            Ok(()) => say("ready"),
            Err(reason) => Err(Failure::refused(format!("not ready: {reason}"))),
        }
    }
}

/// Whether the node at `url` is ready; else why not.
pub(super) async fn is_ready(url: &str) -> Result<(), String> {
    let client =
        Client::builder().nodes([url]).timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
    match client.request(Method::GET, "/readyz", None).await {
        Ok(_) => Ok(()),
        Err(hapi_client::ApiError::Refused(problem)) => {
            Err(problem.body["reason"].as_str().unwrap_or(&problem.detail).to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}
