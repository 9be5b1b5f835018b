//! `webhooks`: who is told of what is done.

use super::percent::encode;
use super::seal::Follow;
use super::session::Session;
use super::{Failure, Remote, table};
use hapi_client::Method;
use hapi_registry_state::{Glob, WebhookId};
use serde_json::{Value, json};

const COLUMNS: &[table::Column] = &[
    ("ID", "/id"),
    ("URL", "/url"),
    ("ACTIVE", "/active"),
    ("DELIVERED", "/delivered"),
    ("FAILING SINCE", "/failing_since"),
    ("ACTS", "/acts"),
    ("KINDS", "/kinds"),
    ("ERROR", "/progress/error"),
];

/// Tell others of what is done: each act that changed something, as a signed POST, once it was done and in order.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry webhooks create catalog --url https://catalog.example/hook --kind 'version*'
      Tells of every act on versions from now on, until the receiver has answered each with 2xx.")]
pub(crate) enum Webhooks {
    /// List the webhooks, and how far each has come.
    #[command(after_help = "Example:
  hapi-registry webhooks list --output json
      Asked of the node that leads, it says what went wrong last too.")]
    List(List),
    /// Tell somebody of what is done from now on, with an operator token.
    #[command(after_help = "Example:
  hapi-registry webhooks create pager --url https://pager.example/hook --act suspend --act 'revoke*'
      Tells of these acts alone.")]
    Create(Create),
    /// Change a webhook, let it rest, or let it go on elsewhere, with an operator token. What is not named stays.
    #[command(after_help = "Example:
  hapi-registry webhooks change pager --skip-to 48121
      Goes on behind this index: what its receiver can never take is left out, or what it has lost is told again.")]
    Change(Change),
    /// Tell a webhook no more, with an operator token.
    #[command(after_help = "Example:
  hapi-registry webhooks remove pager
      It is forgotten, and so is how far it had come.")]
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Its name: lower-case letters, digits, `.` and `-`
    id: WebhookId,
    /// Where it is told
    #[arg(long, value_name = "URL")]
    url: String,
    /// Acts that it is told of, as `events` shows them; may be repeated; without any, all
    #[arg(long = "act", value_name = "GLOB")]
    acts: Vec<Glob>,
    /// Kinds of subjects, such as `version` or `tenant`; may be repeated; without any, all
    #[arg(long = "kind", value_name = "GLOB")]
    kinds: Vec<Glob>,
    /// Begin behind this index, and not with what is done from now on
    #[arg(long, value_name = "INDEX")]
    since: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// Its name, as `webhooks list` shows it
    id: WebhookId,
    /// Where it is told
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Acts that it is told of, instead of those from before; `*` for all
    #[arg(long = "act", value_name = "GLOB")]
    acts: Vec<Glob>,
    /// Kinds of subjects, instead of those from before; `*` for all
    #[arg(long = "kind", value_name = "GLOB")]
    kinds: Vec<Glob>,
    /// Let it rest; it keeps its place
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    /// Let it go on
    #[arg(long)]
    resume: bool,
    /// Go on behind this index, further on or further back
    #[arg(long, value_name = "INDEX")]
    skip_to: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Its name, as `webhooks list` shows it
    id: WebhookId,
    #[command(flatten)]
    remote: Remote,
}

impl Webhooks {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(List { remote }) => remote.session()?.list("/v1/webhooks", "webhooks", COLUMNS).await,
            Self::Create(create) => create.run().await,
            Self::Change(change) => change.run().await,
            Self::Remove(remove) => remove.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let Self { id, url, acts, kinds, since, .. } = &self;
        let mut body = json!({ "id": id.as_str(), "url": url, "acts": texts(acts), "kinds": texts(kinds) });
        if let Some(since) = since {
            body["since"] = json!(since);
        }
        let answer = Follow::default().write(&session, Method::POST, "/v1/webhooks", Some(body)).await?;
        session.show(&answer, |answer| {
            format!("{id} is told of what comes behind index {}", answer["delivered"])
        })
    }
}

impl Change {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let body = self.over(&self.former(&session).await?);
        let answer = Follow::default().write(&session, Method::PUT, &path(&self.id), Some(body)).await?;
        session.show(&answer, |answer| {
            let rests = if answer["active"] == true { "" } else { ", and rests" };
            format!("{} goes on behind index {}{rests}", self.id, answer["delivered"])
        })
    }

    async fn former(&self, session: &Session) -> Result<Value, Failure> {
        let mut answer = session.get("/v1/webhooks").await?;
        let webhooks = answer["webhooks"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let former = webhooks.into_iter().find(|webhook| webhook["id"] == self.id.as_str());
        former.ok_or_else(|| {
            Failure::refused(format!("there is no webhook {}", self.id)).hint("see `webhooks list`")
        })
    }

    /// The whole that the API takes: what was there, with what is named here over it.
    fn over(&self, former: &Value) -> Value {
        let mut body = json!({});
        for field in ["url", "acts", "kinds", "active"] {
            body[field] = former[field].clone();
        }
        if let Some(url) = &self.url {
            body["url"] = json!(url);
        }
        if !self.acts.is_empty() {
            body["acts"] = json!(texts(&self.acts));
        }
        if !self.kinds.is_empty() {
            body["kinds"] = json!(texts(&self.kinds));
        }
        if self.pause || self.resume {
            body["active"] = json!(self.resume);
        }
        if let Some(index) = self.skip_to {
            body["skip_to"] = json!(index);
        }
        body
    }
}

impl Remove {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let answer = Follow::default().write(&session, Method::DELETE, &path(&self.id), None).await?;
        session.show(&answer, |_| format!("{} is told no more", self.id))
    }
}

fn path(id: &WebhookId) -> String {
    format!("/v1/webhooks/{}", encode(id.as_str()))
}

fn texts(globs: &[Glob]) -> Vec<&str> {
    globs.iter().map(Glob::as_str).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        change: Change,
    }

    #[test]
    fn what_is_not_named_stays() {
        let former = json!({
            "id": "a", "url": "https://one.example", "acts": ["publish"], "kinds": [], "active": true, "delivered": 7,
        });
        let over = |line: &str| Line::try_parse_from(line.split(' ')).unwrap().change.over(&former);
        let same = json!({ "url": "https://one.example", "acts": ["publish"], "kinds": [], "active": true });
        assert_eq!(over("change a"), same);
        let changed = over("change a --url https://two.example --act * --pause --skip-to 9");
        let expected = json!({ "url": "https://two.example", "acts": ["*"], "kinds": [], "active": false, "skip_to": 9 });
        assert_eq!(changed, expected);
    }
}
