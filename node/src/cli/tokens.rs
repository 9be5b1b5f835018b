//! `tokens`: who may call.

use super::percent::encode;
use super::seal::{Follow, covers};
use super::session::Session;
use super::{Failure, Output, Remote, output, secret_file, span, table};
use crate::clock;
use hapi_client::Method;
use hapi_registry_state::{ClientId, Role, Timestamp};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const COLUMNS: &[table::Column] = &[
    ("ID", "/id"),
    ("ROLE", "/role"),
    ("CLIENT", "/client"),
    ("NAMESPACES", "/namespaces"),
    ("CREATED", "/created_at"),
    ("EXPIRES", "/expires_at"),
    ("LAST USED", "/last_used_at"),
    ("STATE", "/state"),
];

const FIELDS: &[table::Column] = &[
    ("id", "/id"),
    ("role", "/role"),
    ("client", "/client"),
    ("namespaces", "/namespaces"),
    ("state", "/state"),
    ("created", "/created_at"),
    ("expires", "/expires_at"),
    ("revoked", "/revoked_at"),
    ("last used", "/last_used_at"),
];

/// Make, list and revoke API tokens.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry tokens create --role client --client billing --tenant acme --expires-in 30d
      A token that lets `billing` connect for 30 days.")]
pub(crate) enum Tokens {
    /// Make a token, with an operator token. Its text is shown this once, and kept nowhere.
    ///
    /// Roles: client (connects), publisher (publishes in its namespaces), moderator (suspends, verifies),
    /// auditor (reads everything), operator (tokens, tenants, settings, members; neither connects nor
    /// moderates).
    #[command(after_help = "Example:
  hapi-registry tokens create --role publisher --namespace 'ai.acme' --out publisher.token
      Writes a token that may publish in one namespace to a new file that only you can read.")]
    Create(Create),
    /// List tokens, without their texts.
    #[command(after_help = "Example:
  hapi-registry tokens list --state valid --unused-for 90d
      Tokens that still open the door, though nobody has used them for a quarter of a year.")]
    List(List),
    /// Show a token, without its text.
    #[command(after_help = "Example:
  hapi-registry tokens show 4fKq8sWn21bT
      Whose it is, until when it is valid, and when it was last used.")]
    Show(Show),
    /// End a token, on every node.
    #[command(after_help = "Example:
  hapi-registry tokens revoke 4fKq8sWn21bT
      Whoever still has it is refused from now on.")]
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// client, publisher, moderator, auditor or operator
    #[arg(long)]
    role: Role,
    /// The client that it stands for (role client)
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// The tenant of that client, if the client is new
    #[arg(long, value_name = "ID", requires = "client")]
    tenant: Option<String>,
    /// A namespace that it may publish in, `*` for any part (role publisher); may be repeated
    #[arg(long = "namespace", value_name = "GLOB")]
    namespaces: Vec<String>,
    /// How long it is valid: 90s, 15m, 12h, 30d; without this until it is revoked
    #[arg(long, value_name = "SPAN", value_parser = span::seconds)]
    expires_in: Option<u64>,
    /// Until when it is valid instead, as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "INSTANT", conflicts_with = "expires_in")]
    expires_at: Option<String>,
    /// Write the text to this new file, for its owner only, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this role
    #[arg(long)]
    role: Option<Role>,
    /// Only those that stand for this client
    #[arg(long, value_name = "ID")]
    client: Option<ClientId>,
    /// Only those in this state
    #[arg(long, value_parser = ["valid", "expired", "revoked"])]
    state: Option<String>,
    /// Only those that nobody has used for so long: 12h, 30d. Nodes tell each other of uses at most hourly
    #[arg(long, value_name = "SPAN", value_parser = span::seconds)]
    unused_for: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The twelve characters that `tokens list` shows
    id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The twelve characters that `tokens list` shows
    id: String,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

impl Tokens {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List(list) => list.remote.session()?.list(&list.path(), "tokens", COLUMNS).await,
            Self::Show(Show { id, remote }) => {
                let session = remote.session()?;
                let token = session.get(&format!("/v1/tokens/{}", encode(&id))).await?;
                session.show(&token, |token| table::fields(FIELDS, token))
            }
            Self::Revoke(revoke) => revoke.run().await,
        }
    }
}

impl List {
    fn path(&self) -> String {
        let since =
            self.unused_for.map(|span| Timestamp::from_seconds(clock::now().seconds().saturating_sub(span)));
        let parameters = [
            ("role", self.role.map(|role| role.to_string())),
            ("client", self.client.as_ref().map(ToString::to_string)),
            ("state", self.state.clone()),
            ("unused_since", since.map(|at| at.to_string())),
        ];
        let given =
            parameters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?))));
        match given.collect::<Vec<_>>().join("&") {
            query if query.is_empty() => "/v1/tokens".into(),
            query => format!("/v1/tokens?{query}"),
        }
    }
}

impl Revoke {
    async fn run(self) -> Result<(), Failure> {
        let Self { id, follow, remote } = self;
        let session = remote.session()?;
        let path = format!("/v1/tokens/{}", encode(&id));
        let answer = follow.write(&session, Method::DELETE, &path, None).await?;
        session
            .show(&answer, |receipt| format!("revoked {id} at index {}{}", receipt["index"], covers(receipt)))
    }
}

impl Create {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let answer = match &self.out {
            Some(file) => self.create_into(&session, file).await?,
            None => session.send(Method::POST, "/v1/tokens", self.body()).await?,
        };
        if self.out.is_none() && self.remote.output == Output::Table {
            output::note("this is the only time that the token is shown:");
        }
        session.show(&answer, |answer| match answer["token"].as_str() {
            Some(text) => text.to_owned(),
            None => table::table(COLUMNS, [answer]),
        })
    }

    /// Makes the file first, so that no token is made that then has nowhere to go; takes its text out of the
    /// answer.
    async fn create_into(&self, session: &Session, file: &Path) -> Result<Value, Failure> {
        secret_file::create(file, "")?;
        let made = session.send(Method::POST, "/v1/tokens", self.body()).await;
        let mut answer = made.inspect_err(|_| drop(std::fs::remove_file(file)))?;
        let text = answer.as_object_mut().and_then(|answer| answer.remove("token")).unwrap_or_default();
        secret_file::fill(file, text.as_str().unwrap_or_default())?;
        Ok(answer)
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("role".into(), json!(self.role.as_str()));
        body.extend(self.client.iter().map(|client| ("client".into(), json!(client))));
        body.extend(self.tenant.iter().map(|tenant| ("tenant".into(), json!(tenant))));
        body.extend(self.expires_at.iter().map(|at| ("expires_at".into(), json!(at))));
        body.extend(self.expires_in.iter().map(|seconds| ("expires_in".into(), json!(seconds))));
        if !self.namespaces.is_empty() {
            body.insert("namespaces".into(), json!(self.namespaces));
        }
        Value::Object(body)
    }
}
