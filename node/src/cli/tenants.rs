//! `tenants`: which servers a company's clients may reach.

use super::percent::encode;
use super::seal::Follow;
use super::{Failure, Remote, table};
use hapi_client::Method;
use serde_json::{Value, json};

const COLUMNS: &[table::Column] = &[
    ("ID", "/id"),
    ("ALLOW", "/allow"),
    ("BLOCK", "/block"),
    ("REQUIRE VERIFIED", "/require_verified"),
    ("STRICT", "/strict"),
    ("CONNECTS PER MINUTE", "/connects_per_minute"),
    ("PRIVATE NAMESPACES", "/private_namespaces"),
];

/// Set and list the policies of tenants.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry tenants put acme --allow 'ai.acme/*' --block 'ai.acme/legacy-*'
      Clients of acme reach these servers and no others.")]
pub(crate) enum Tenants {
    /// Register a tenant, or replace its whole policy, with an operator token.
    #[command(after_help = "Example:
  hapi-registry tenants put acme --block 'com.example.games/*' --require-verified
      Clients of acme reach every verified server but these.")]
    Put(Put),
    /// List the tenants and their policies.
    #[command(after_help = "Example:
  hapi-registry tenants list
      One line for each tenant.")]
    List(List),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// The tenant's id
    id: String,
    /// Servers that may be reached; may be repeated; without any, all
    #[arg(long, value_name = "GLOB")]
    allow: Vec<String>,
    /// Servers that may not be reached, whatever is allowed; may be repeated
    #[arg(long, value_name = "GLOB")]
    block: Vec<String>,
    /// Only verified servers may be reached
    #[arg(long)]
    require_verified: bool,
    /// A quorum confirms every connect of its clients: no lease is relied on, and each takes a round trip more
    #[arg(long)]
    strict: bool,
    /// How many connects all its clients together may ask for in a minute, over the whole cluster; 0: any number;
    /// without it, as the settings say
    #[arg(long, value_name = "NUMBER")]
    connects_per_minute: Option<u32>,
    /// A private namespace that its clients see; may be repeated
    #[arg(long = "private-namespace", value_name = "NAMESPACE")]
    private_namespaces: Vec<String>,
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

impl Tenants {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Put(put) => put.run().await,
            Self::List(List { remote }) => remote.session()?.list("/v1/tenants", "tenants", COLUMNS).await,
        }
    }
}

impl Put {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let path = format!("/v1/tenants/{}", encode(&self.id));
        let answer = self.follow.write(&session, Method::PUT, &path, Some(self.body())).await?;
        session.show(&answer, |_| format!("tenant {} is set", self.id))
    }

    /// An absent allow list allows everything; an empty one would allow nothing.
    fn body(&self) -> Value {
        let mut body = json!({
            "block": self.block,
            "require_verified": self.require_verified,
            "private_namespaces": self.private_namespaces,
        });
        if !self.allow.is_empty() {
            body["allow"] = json!(self.allow);
        }
        if self.strict {
            body["strict"] = json!(true);
        }
        if let Some(connects) = self.connects_per_minute {
            body["connects_per_minute"] = json!(connects);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        put: Put,
    }

    fn body(line: &str) -> Value {
        Line::try_parse_from(line.split(' ')).unwrap().put.body()
    }

    #[test]
    fn a_budget_that_is_not_named_is_left_to_the_settings_and_0_is_none() {
        assert_eq!(body("put acme").get("connects_per_minute"), None);
        assert_eq!(body("put acme --connects-per-minute 0")["connects_per_minute"], 0);
        assert_eq!(body("put acme --connects-per-minute 600")["connects_per_minute"], 600);
    }
}
