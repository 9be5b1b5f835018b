//! `namespaces`: who sees the servers of a namespace.

use super::percent::encode;
use super::seal::Follow;
use super::{Failure, Remote};
use hapi_client::Method;
use hapi_registry_state::Namespace;
use serde_json::json;

/// Make a namespace private or public, with an operator token.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry namespaces private com.example
      Only tenants that list com.example, and those who govern, see its servers.")]
pub(crate) enum Namespaces {
    /// Let only those tenants see and reach it that list it: `tenants put --private-namespace`.
    #[command(after_help = "Example:
  hapi-registry namespaces private com.example
      Only tenants that list com.example, and those who govern, see its servers.")]
    Private(On),
    /// Let everybody see it who may read the catalog.
    #[command(after_help = "Example:
  hapi-registry namespaces public com.example
      Its servers are in everybody's catalog.")]
    Public(On),
}

#[derive(Debug, clap::Args)]
pub(crate) struct On {
    /// The namespace: what stands before the slash in the names of its servers
    namespace: Namespace,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

impl Namespaces {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Private(on) => on.put(true).await,
            Self::Public(on) => on.put(false).await,
        }
    }
}

impl On {
    async fn put(self, private: bool) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let path = format!("/v1/namespaces/{}", encode(self.namespace.as_ref()));
        let body = json!({ "private": private });
        let answer = self.follow.write(&session, Method::PUT, &path, Some(body)).await?;
        let kind = if private { "private" } else { "public" };
        session.show(&answer, |_| format!("namespace {} is {kind}", self.namespace))
    }
}
