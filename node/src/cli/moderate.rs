//! `moderate`: acts that bind every node.

use super::percent::encode;
use super::seal::{Follow, covers};
use super::{Failure, Remote, table};
use hapi_client::Method;
use hapi_registry_state::{Act, Subject};
use serde_json::{Value, json};

const COLUMNS: &[table::Column] = &[
    ("KIND", "/subject/kind"),
    ("ID", "/subject/id"),
    ("STANDING", "/standing"),
    ("VERIFIED", "/verified"),
    ("REASON", "/reason"),
    ("CASE", "/case"),
    ("AT", "/at"),
    ("INDEX", "/index"),
];

/// Suspend, quarantine, revoke, reinstate, verify or unverify, with a moderator token.
///
/// A subject is server/NAMESPACE/NAME, version/NAMESPACE/NAME@VERSION, namespace/NAMESPACE, client/ID or
/// tenant/ID. When the command has succeeded, no node of the cluster issues against the act any more; the answer
/// says how each came to be bound.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry moderate suspend server/ai.acme/weather --reason \"leaks API keys\" --case SEC-7
      Refuses every connect to this server, on every node, until it is reinstated.")]
pub(crate) enum Moderate {
    /// Refuse connects until the subject is reinstated; show it as deleted, with the reason.
    #[command(after_help = "Example:
  hapi-registry moderate suspend server/ai.acme/weather --reason \"leaks API keys\"
      Refuses every connect to this server until it is reinstated.")]
    Suspend(On),
    /// Refuse connects and hide the subject from search, while it waits for review.
    #[command(after_help = "Example:
  hapi-registry moderate quarantine namespace/ai.acme --reason \"ownership in doubt\"
      Hides every server of the namespace until somebody decides.")]
    Quarantine(On),
    /// Refuse connects for ever: nothing undoes it.
    #[command(after_help = "Example:
  hapi-registry moderate revoke version/ai.acme/weather@1.2.0 --reason \"malicious\"
      This version is never reached again; another one may be published.")]
    Revoke(On),
    /// Lift a suspension or a quarantine.
    #[command(after_help = "Example:
  hapi-registry moderate reinstate server/ai.acme/weather --reason \"fixed in 1.2.1\"
      Connects are allowed again.")]
    Reinstate(On),
    /// Vouch for the subject, which governed mode asks for.
    #[command(after_help = "Example:
  hapi-registry moderate verify server/ai.acme/weather --reason \"reviewed\"
      Descriptors for this server say that it is verified.")]
    Verify(On),
    /// Vouch for the subject no more.
    #[command(after_help = "Example:
  hapi-registry moderate unverify server/ai.acme/weather --reason \"new owner\"
      In governed mode connects are refused from now on.")]
    Unverify(On),
    /// List how subjects stand, with an auditor, moderator or operator token.
    #[command(after_help = "Example:
  hapi-registry moderate list server/ai.acme/weather
      Whether this server is suspended or verified, since when and why.")]
    List(List),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only this subject: server/…, version/…, namespace/…, client/… or tenant/…
    #[arg(value_name = "KIND/ID", value_parser = subject)]
    subject: Option<Subject>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct On {
    /// server/…, version/…, namespace/…, client/… or tenant/…
    #[arg(value_name = "KIND/ID", value_parser = subject)]
    subject: Subject,
    /// Why; shown to whoever is refused because of it
    #[arg(long)]
    reason: String,
    /// Your own reference
    #[arg(long)]
    case: Option<String>,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

impl Moderate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (act, on) = match self {
            Self::Suspend(on) => (Act::Suspend, on),
            Self::Quarantine(on) => (Act::Quarantine, on),
            Self::Revoke(on) => (Act::Revoke, on),
            Self::Reinstate(on) => (Act::Reinstate, on),
            Self::Verify(on) => (Act::Verify, on),
            Self::Unverify(on) => (Act::Unverify, on),
            Self::List(list) => return list.run().await,
        };
        let session = on.remote.session()?;
        let answer = on.follow.write(&session, Method::POST, "/v1/moderation", Some(on.body(act))).await?;
        session.show(&answer, |receipt| report(act, &on.subject, receipt))
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let query = self.subject.map(|subject| format!("?subject={}", encode(&subject.to_string())));
        let path = format!("/v1/moderation{}", query.unwrap_or_default());
        self.remote.session()?.list(&path, "records", COLUMNS).await
    }
}

impl On {
    fn body(&self, act: Act) -> Value {
        let mut body = json!({
            "act": act.as_str(),
            "subject": {"kind": self.subject.kind(), "id": self.subject.id()},
            "reason": self.reason,
        });
        if let Some(case) = &self.case {
            body["case"] = json!(case);
        }
        body
    }
}

fn report(act: Act, subject: &Subject, receipt: &Value) -> String {
    let index = &receipt["index"];
    let done = match receipt["unchanged"].as_bool() {
        Some(true) => format!("unchanged: this holds since index {index}"),
        _ => format!("{}: done at index {index}", act.as_str()),
    };
    let sealed = if receipt["sealed"] == json!(true) { ", binding every node" } else { "" };
    format!("{done}{sealed} ({subject}){}", covers(receipt))
}

/// A subject as people write it.
pub(super) fn subject(text: &str) -> Result<Subject, String> {
    let (kind, id) = text.split_once('/').ok_or("write it as KIND/ID, such as server/ai.acme/weather")?;
    Subject::parse(kind, id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_subject_is_a_kind_and_an_id() {
        assert_eq!(subject("version/ai.acme/pay@1.0.0").unwrap().id(), "ai.acme/pay@1.0.0");
        assert!(subject("server").unwrap_err().contains("KIND/ID"));
        assert!(subject("planet/mars").unwrap_err().contains("unknown subject kind"));
    }

    #[test]
    fn a_receipt_is_told_from_a_repetition() {
        let on = subject("server/a.b/c").unwrap();
        let fresh = report(Act::Suspend, &on, &json!({"index": 9, "sealed": true}));
        assert_eq!(fresh, "suspend: done at index 9, binding every node (server/a.b/c)");
        let again = report(Act::Suspend, &on, &json!({"index": 9, "sealed": true, "unchanged": true}));
        assert_eq!(again, "unchanged: this holds since index 9, binding every node (server/a.b/c)");
    }

    #[test]
    fn a_receipt_says_how_each_node_came_to_be_bound() {
        let nodes = json!([
            {"node": "00000000000000a1", "cover": "confirmed", "ms": 2},
            {"node": "00000000000000b2", "cover": "lease_expired", "ms": 3100},
        ]);
        let receipt = json!({"index": 9, "sealed": true, "nodes": nodes});
        insta::assert_snapshot!(report(Act::Revoke, &subject("client/billing").unwrap(), &receipt), @r"
        revoke: done at index 9, binding every node (client/billing)

        NODE              COVER          MS
        00000000000000a1  confirmed      2
        00000000000000b2  lease_expired  3100
        ");
    }
}
