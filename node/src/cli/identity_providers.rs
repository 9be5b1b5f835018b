//! `identity-providers`: whose tokens (OIDC) make callers.

use super::percent::encode;
use super::publish;
use super::seal::{Follow, covers};
use super::{Failure, Remote, table};
use hapi_client::Method;
use hapi_registry_state::IdentityProviderId;
use serde_json::Value;
use std::path::PathBuf;

const COLUMNS: &[table::Column] = &[
    ("ID", "/id"),
    ("ISSUER", "/issuer"),
    ("AUDIENCE", "/audience"),
    ("CLIENTS", "/clients"),
    ("TENANT", "/tenant"),
];

/// Believe identity providers: their tokens (OIDC) then make callers, as what claims say.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry identity-providers put corp --file corp.json
      People and agents of the company call with the tokens that it gives them.")]
pub(crate) enum IdentityProviders {
    /// Believe a provider, or change what its tokens make of their bearers, with an operator token.
    ///
    /// Whoever was admitted by former settings is not any more, and descriptors of the clients that it spoke for end.
    #[command(after_help = "Example:
  hapi-registry identity-providers put corp --file corp.json
      With, in corp.json:
      {\"issuer\": \"https://login.example.com/realms/corp\", \"audience\": \"hapi-registry\",
       \"rules\": [{\"claim\": \"/realm_access/roles\", \"value\": \"mcp-agent\", \"role\": \"client\"},
                 {\"claim\": \"groups\", \"value\": \"security\", \"role\": \"moderator\"}],
       \"client_claim\": \"azp\", \"clients\": [\"corp-*\"], \"tenant\": \"corp\"}")]
    Put(Put),
    /// List the providers that are believed.
    #[command(after_help = "Example:
  hapi-registry identity-providers list
      One line for each.")]
    List(List),
    /// Show a provider, and what its tokens make of their bearers.
    #[command(after_help = "Example:
  hapi-registry identity-providers show corp > corp.json
      What `put` takes, with the id and the index of the act that made it so.")]
    Show(One),
    /// Believe a provider no more, with an operator token.
    #[command(after_help = "Example:
  hapi-registry identity-providers remove corp
      Its tokens open nothing from now on, on every node.")]
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// The provider's id, as it stands in the audit chain
    id: IdentityProviderId,
    /// The file that describes it
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The provider's id
    id: IdentityProviderId,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// The provider's id
    id: IdentityProviderId,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

impl IdentityProviders {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Put(put) => put.run().await,
            Self::List(List { remote }) => {
                remote.session()?.list("/v1/identity-providers", "identity_providers", COLUMNS).await
            }
            Self::Show(One { id, remote }) => {
                let session = remote.session()?;
                let answer = session.get(&path(&id)).await?;
                session.show(&answer, |answer| format!("{answer:#}"))
            }
            Self::Remove(Remove { id, follow, remote }) => {
                let session = remote.session()?;
                let answer = follow.write(&session, Method::DELETE, &path(&id), None).await?;
                session.show(&answer, |receipt| format!("{id} is believed no more{}", covers(receipt)))
            }
        }
    }
}

impl Put {
    async fn run(self) -> Result<(), Failure> {
        let Self { id, file, follow, remote } = self;
        let mut body: Value = publish::read_json(&file)?;
        // As `show` gives it.
        if let Some(body) = body.as_object_mut() {
            body.remove("id");
            body.remove("index");
        }
        let session = remote.session()?;
        let answer = follow.write(&session, Method::PUT, &path(&id), Some(body)).await?;
        session.show(&answer, |_| format!("tokens of {id} are believed"))
    }
}

fn path(id: &IdentityProviderId) -> String {
    format!("/v1/identity-providers/{}", encode(id.as_str()))
}
