//! `bootstrap`: the first operator token of a cluster.

use super::failure::{Exit, Failure};
use super::{new_token, output, say, secret_file};
use crate::secret_files::read_secret;
use hapi_raft::{BootstrapError, ClusterSecret};
use hapi_registry_state::{Outcome, PresentedToken};
use std::path::PathBuf;

/// Make the first operator token of a cluster, by proving that you have the cluster's secret.
///
/// It works once. The token is made here; the cluster learns only its hash. All other tokens are made with
/// it, by `tokens create`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry bootstrap --peer 10.0.0.7:7080 --secret-file /run/secrets/cluster --token-file operator.token
      Writes the token to a new file that only you can read.")]
pub(crate) struct Bootstrap {
    /// The peer address of any node
    #[arg(long, value_name = "HOST:PORT")]
    peer: String,
    /// The file with the cluster secret
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// Write the token to this new file, for its owner only; without this it is printed once
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Bootstrap {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let secret = read_secret(&self.secret_file)?;
        let token = new_token::mint_operator();
        // The file first: a token that the cluster knows and nobody has would lock everybody out.
        if let Some(file) = &self.token_file {
            secret_file::create(file, &token)?;
        }
        match (propose(&secret, &self.peer, &token).await, &self.token_file) {
            (Ok(()), None) => say(&token),
            (Ok(()), Some(file)) => {
                output::note(&format!("the operator token is in {}", file.display()));
                Ok(())
            }
            (Err(unknown @ BootstrapError::Unknown(_)), Some(_)) => Err(Failure::from(unknown)),
            (Err(unknown @ BootstrapError::Unknown(_)), None) => {
                // It may be the only operator token that there will ever be.
                say(&token)?;
                Err(Failure::from(unknown))
            }
            (Err(error), file) => {
                // Surely nothing was done, so the file holds a token of nobody.
                file.as_ref().map(std::fs::remove_file);
                Err(Failure::from(error))
            }
        }
    }
}

/// Makes `token` the first operator token of the cluster that `peer` belongs to.
pub(super) async fn propose(secret: &ClusterSecret, peer: &str, token: &str) -> Result<(), BootstrapError> {
    let refused = |reason: &dyn std::fmt::Display| BootstrapError::Refused(reason.to_string());
    let presented = token.parse::<PresentedToken>().map_err(|error| refused(&error))?;
    match hapi_raft::propose_bootstrap(secret, peer, new_token::bootstrap(presented)).await? {
        Outcome::Rejected(rejection) => Err(refused(&rejection)),
        _ => Ok(()),
    }
}

impl From<BootstrapError> for Failure {
    fn from(error: BootstrapError) -> Self {
        let message = error.to_string();
        match error {
            BootstrapError::Unreachable(_) | BootstrapError::NoLeader => {
                Self::new(Exit::Unreachable, message)
                    .hint("--peer is the peer address of a node, and every node has the same cluster secret")
            }
            BootstrapError::Unknown(_) => {
                Self::refused(message).hint("try the token: `tokens list` succeeds if it was carried out")
            }
            _ => Self::refused(message),
        }
    }
}
