//! `moderate`: acts that bind every node.

use super::percent::encode;
use super::seal::{Follow, covers};
use super::{Failure, Remote, span, table};
use crate::clock;
use hapi_client::Method;
use hapi_registry_state::{Act, Standing, Subject, Target, Timestamp};
use serde_json::{Value, json};

const COLUMNS: &[table::Column] = &[
    ("KIND", "/subject/kind"),
    ("ID", "/subject/id"),
    ("STANDING", "/standing"),
    ("VERIFIED", "/verified"),
    ("UNTIL", "/expires_at"),
    ("REASON", "/reason"),
    ("CASE", "/case"),
    ("AT", "/at"),
    ("INDEX", "/index"),
];

const REQUESTS: &str = "/v1/moderation/requests";

/// What waits for another moderator.
const WAITING: &[table::Column] = &[
    ("ID", "/id"),
    ("ACT", "/act"),
    ("SUBJECT", "/subject"),
    ("SUBJECTS", "/subjects"),
    ("BY", "/by"),
    ("UNTIL", "/expires_at"),
    ("REASON", "/reason"),
];

/// What was done to one subject.
const HISTORY: &[table::Column] = &[
    ("INDEX", "/index"),
    ("AT", "/at"),
    ("ACTOR", "/actor"),
    ("ACT", "/act"),
    ("SUBJECT", "/subject"),
    ("OUTCOME", "/outcome"),
    ("REASON", "/reason"),
];

/// What came of each subject.
const EACH: &[table::Column] = &[("SUBJECT", "/subject"), ("OUTCOME", "/outcome")];

/// Suspend, quarantine, revoke, reinstate, approve, verify or unverify, with a moderator token.
///
/// A subject is server/NAMESPACE/NAME, version/NAMESPACE/NAME@VERSION, namespace/NAMESPACE, client/ID, tenant/ID,
/// token/ID, key/KID or node/ID. With `*` for any characters, server/… and version/… stand for all that fit, at most 1000. When the command has succeeded, no node of the cluster issues against the act any more; the answer
/// says how each came to be bound.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry moderate suspend server/ai.acme/weather --reason \"leaks API keys\" --case SEC-7
      Refuses every connect to this server, on every node, until it is reinstated.")]
pub(crate) enum Moderate {
    /// Refuse connects until the subject is reinstated; show it as deleted, with the reason.
    #[command(after_help = "Example:
  hapi-registry moderate suspend server/ai.acme/weather --reason \"leaks API keys\"
      Refuses every connect to this server until it is reinstated.

  hapi-registry moderate suspend client/billing --reason \"incident 12\" --expires-in 2h
      Lifts itself in two hours, unless somebody acts before.

  hapi-registry moderate suspend 'server/ai.acme/*' --reason \"incident 13\" --dry-run
      Says what that would do to each server of the namespace, and does nothing.")]
    Suspend(OnUntil),
    /// Refuse connects and hide the subject from search, while it waits for review.
    #[command(after_help = "Example:
  hapi-registry moderate quarantine namespace/ai.acme --reason \"ownership in doubt\"
      Hides every server of the namespace until somebody decides.")]
    Quarantine(OnUntil),
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
    /// End the review of what is in quarantine.
    #[command(after_help = "Example:
  hapi-registry moderate approve version/ai.acme/weather@1.3.0 --reason \"reviewed\"
      This version may be found and reached from now on.

  hapi-registry moderate approve 'version/ai.acme/*' --reason \"known publisher\" --dry-run
      Lists the versions of the namespace that wait for approval, and those that do not.")]
    Approve(On),
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
    /// List the acts that wait for another moderator, where two are needed.
    #[command(after_help = "Example:
  hapi-registry moderate requests
      Who wants what done, why, and until when it may be confirmed.")]
    Requests(Requests),
    /// Do what another moderator has asked for.
    #[command(after_help = "Example:
  hapi-registry moderate confirm 1042
      Does what request 1042 asks for, unless it is your own.")]
    Confirm(Confirm),
    /// Take a request off, somebody else's or your own.
    #[command(after_help = "Example:
  hapi-registry moderate reject 1042 --reason \"not before the audit\"
      It cannot be confirmed any more.")]
    Reject(Reject),
    /// List how subjects stand, with an auditor, moderator or operator token.
    #[command(after_help = "Example:
  hapi-registry moderate list server/ai.acme/weather
      Whether this server is suspended or verified, since when and why; and all that was done to it.

  hapi-registry moderate list --standing quarantined
      All that waits for a review.")]
    List(List),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only this subject: server/…, version/…, namespace/…, client/…, tenant/…, token/…, key/… or node/…
    #[arg(value_name = "KIND/ID", value_parser = subject)]
    subject: Option<Subject>,
    /// Only those that stand so: none, suspended, quarantined or revoked
    #[arg(long, value_name = "STANDING", value_parser = Standing::parse, conflicts_with = "subject")]
    standing: Option<Standing>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Requests {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Confirm {
    /// The number of the request
    #[arg(value_name = "ID")]
    id: u64,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reject {
    /// The number of the request
    #[arg(value_name = "ID")]
    id: u64,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct On {
    /// server/…, version/…, namespace/…, client/…, tenant/…, token/…, key/… or node/…; `*` stands for any characters of a server or a version
    #[arg(value_name = "KIND/ID", value_parser = target)]
    target: Target,
    /// Why; shown to whoever is refused because of it
    #[arg(long)]
    reason: String,
    /// Your own reference
    #[arg(long)]
    case: Option<String>,
    /// Say what would come of it, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

/// What may be done for a while only.
#[derive(Debug, clap::Args)]
pub(crate) struct OnUntil {
    #[command(flatten)]
    on: On,
    /// Lift it by itself after so long: 90s, 15m, 12h, 30d
    #[arg(long, value_name = "SPAN", value_parser = span::seconds)]
    expires_in: Option<u64>,
    /// Lift it by itself at this instant, as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "DATE", value_parser = instant, conflicts_with = "expires_in")]
    expires_at: Option<Timestamp>,
}

impl Moderate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Suspend(on) => on.run(Act::Suspend).await,
            Self::Quarantine(on) => on.run(Act::Quarantine).await,
            Self::Revoke(on) => on.run(Act::Revoke, None).await,
            Self::Reinstate(on) => on.run(Act::Reinstate, None).await,
            Self::Approve(on) => on.run(Act::Approve, None).await,
            Self::Verify(on) => on.run(Act::Verify, None).await,
            Self::Unverify(on) => on.run(Act::Unverify, None).await,
            Self::Requests(Requests { remote }) => {
                remote.session()?.list(REQUESTS, "requests", WAITING).await
            }
            Self::Confirm(confirm) => confirm.run().await,
            Self::Reject(reject) => reject.run().await,
            Self::List(list) => list.run().await,
        }
    }
}

impl OnUntil {
    async fn run(self, act: Act) -> Result<(), Failure> {
        let after = self.expires_in.map(|seconds| clock::now().plus_seconds(seconds));
        self.on.run(act, self.expires_at.or(after)).await
    }
}

impl Confirm {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let path = format!("{REQUESTS}/{}/confirm", self.id);
        let answer = self.follow.write(&session, Method::POST, &path, None).await?;
        session.show(&answer, |answer| done("confirmed", &format!("request {}", self.id), answer))
    }
}

impl Reject {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let (path, body) = (format!("{REQUESTS}/{}/reject", self.id), json!({"reason": self.reason}));
        let answer = session.send(Method::POST, &path, body).await?;
        session.show(&answer, |answer| format!("rejected at index {} (request {})", answer["index"], self.id))
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let mut answer = session.get(&self.path(None)).await?;
        while let Some(next) = answer["next"].as_str().map(str::to_owned) {
            let mut page = session.get(&self.path(Some(&next))).await?;
            if let (Some(all), Some(more)) =
                (answer["records"].as_array_mut(), page["records"].as_array_mut())
            {
                all.append(more);
            }
            answer["next"] = page["next"].take();
        }
        answer.as_object_mut().and_then(|answer| answer.remove("next"));
        session.show(&answer, listing)
    }

    fn path(&self, after: Option<&str>) -> String {
        let subject = self.subject.as_ref().map(ToString::to_string);
        let part = |name: &str, value: Option<&str>| value.map(|value| format!("{name}={}", encode(value)));
        let standing = self.standing.map(Standing::as_str);
        let parts = [part("subject", subject.as_deref()), part("standing", standing), part("after", after)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let question = if parts.is_empty() { "" } else { "?" };
        format!("/v1/moderation{question}{}", parts.join("&"))
    }
}

impl On {
    async fn run(self, act: Act, until: Option<Timestamp>) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let body = self.body(act, until);
        let answer = self.follow.write(&session, Method::POST, "/v1/moderation", Some(body)).await?;
        session.show(&answer, |answer| report(act, &self.target, answer))
    }

    fn body(&self, act: Act, until: Option<Timestamp>) -> Value {
        let mut body = json!({
            "act": act.as_str(),
            "subject": shape(&self.target),
            "reason": self.reason,
            "dry_run": self.dry_run,
        });
        if let Some(case) = &self.case {
            body["case"] = json!(case);
        }
        if let Some(until) = until {
            body["expires_at"] = json!(until.to_string());
        }
        body
    }
}

/// What an act is done to, as the API has it.
fn shape(target: &Target) -> Value {
    match target {
        Target::One(subject) => json!({"kind": subject.kind(), "id": subject.id()}),
        Target::Servers(names) => json!({"kind": "server", "glob": names.as_str()}),
        Target::Versions { names, versions } => {
            json!({"kind": "version", "glob": format!("{names}@{versions}")})
        }
    }
}

fn report(act: Act, target: &Target, answer: &Value) -> String {
    let index = &answer["index"];
    if let Some(outcome) = answer["dry_run"]["outcome"].as_str() {
        let sealed = if answer["dry_run"]["denies"] == json!(true) { ", binding every node" } else { "" };
        let act = act.as_str();
        return format!(
            "dry run on index {index}: {act} would be {outcome}{sealed} ({target}){}",
            each(answer)
        );
    }
    if answer["code"] == json!("confirmation_needed") {
        let (act, until) = (act.as_str(), table::cell(answer["request"].get("expires_at")));
        return format!(
            "{act}: asked for, and nothing was done yet ({target})\n\
             another moderator confirms it until {until}: hapi-registry moderate confirm {index}"
        );
    }
    done(act.as_str(), &target.to_string(), answer)
}

fn done(act: &str, target: &str, answer: &Value) -> String {
    let index = &answer["index"];
    let done = match answer["unchanged"].as_bool() {
        Some(true) => format!("unchanged: this holds since index {index}"),
        _ => format!("{act}: done at index {index}"),
    };
    let sealed = if answer["sealed"] == json!(true) { ", binding every node" } else { "" };
    format!("{done}{sealed} ({target}){}{}", each(answer), covers(answer))
}

/// How subjects stand; of one subject also how it came to that.
fn listing(answer: &Value) -> String {
    let table = |columns, rows: &str| table::table(columns, answer[rows].as_array().into_iter().flatten());
    let records = table(COLUMNS, "records");
    match answer.get("history") {
        None => records,
        Some(_) => format!("{records}\n\n{}", table(HISTORY, "history")),
    }
}

/// What came of each subject that a glob fits; nothing for one that was named.
fn each(answer: &Value) -> String {
    let Some(counts) = answer["counts"].as_object() else { return String::new() };
    let counts: Vec<_> = counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    let subjects = answer["subjects"].as_array().into_iter().flatten();
    format!(": {}\n\n{}", counts.join(", "), table::table(EACH, subjects))
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write a date such as 2027-01-31T12:00:00Z".into())
}

/// One subject or many, as people write it.
fn target(text: &str) -> Result<Target, String> {
    match text.split_once('/') {
        Some((kind, glob)) if glob.contains('*') => Target::parse_glob(kind, glob),
        _ => subject(text).map(Target::One),
    }
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
        let on = target("server/a.b/c").unwrap();
        let fresh = report(Act::Suspend, &on, &json!({"index": 9, "sealed": true}));
        assert_eq!(fresh, "suspend: done at index 9, binding every node (server/a.b/c)");
        let again = report(Act::Suspend, &on, &json!({"index": 9, "sealed": true, "unchanged": true}));
        assert_eq!(again, "unchanged: this holds since index 9, binding every node (server/a.b/c)");
    }

    #[test]
    fn a_star_makes_a_subject_a_glob() {
        let shape = |text: &str| shape(&target(text).unwrap());
        assert_eq!(shape("server/a.b/*"), json!({"kind": "server", "glob": "a.b/*"}));
        assert_eq!(shape("version/a.b/*@1.*"), json!({"kind": "version", "glob": "a.b/*@1.*"}));
        assert_eq!(shape("version/a.b/c@1.0.0"), json!({"kind": "version", "id": "a.b/c@1.0.0"}));
        assert!(target("client/*").unwrap_err().contains("server and version"));
    }

    #[test]
    fn what_came_of_each_stands_below() {
        let answer = json!({
            "index": 9, "sealed": true, "counts": {"done": 1, "server_revoked": 1},
            "subjects": [
                {"subject": "server/a.b/c", "outcome": "done"},
                {"subject": "server/a.b/d", "outcome": "server_revoked"},
            ],
        });
        insta::assert_snapshot!(report(Act::Suspend, &target("server/a.b/*").unwrap(), &answer), @r"
        suspend: done at index 9, binding every node (server/a.b/*): 1 done, 1 server_revoked

        SUBJECT       OUTCOME
        server/a.b/c  done
        server/a.b/d  server_revoked
        ");
        let rehearsed = json!({"index": 8, "sealed": false, "dry_run": {"outcome": "done", "denies": true}});
        let text = report(Act::Suspend, &target("server/a.b/c").unwrap(), &rehearsed);
        assert_eq!(text, "dry run on index 8: suspend would be done, binding every node (server/a.b/c)");
    }

    #[test]
    fn what_is_asked_for_is_told_from_what_is_done() {
        let request = json!({"id": 17, "expires_at": "2027-01-01T00:00:00Z"});
        let answer = json!({"code": "confirmation_needed", "index": 17, "request": request});
        insta::assert_snapshot!(report(Act::Revoke, &target("server/a.b/c").unwrap(), &answer), @r"
        revoke: asked for, and nothing was done yet (server/a.b/c)
        another moderator confirms it until 2027-01-01T00:00:00Z: hapi-registry moderate confirm 17
        ");
    }

    #[test]
    fn a_receipt_says_how_each_node_came_to_be_bound() {
        let nodes = json!([
            {"node": "00000000000000a1", "cover": "confirmed", "ms": 2},
            {"node": "00000000000000b2", "cover": "lease_expired", "ms": 3100},
        ]);
        let receipt = json!({"index": 9, "sealed": true, "nodes": nodes});
        insta::assert_snapshot!(report(Act::Revoke, &target("client/billing").unwrap(), &receipt), @r"
        revoke: done at index 9, binding every node (client/billing)

        NODE              COVER          MS
        00000000000000a1  confirmed      2
        00000000000000b2  lease_expired  3100
        ");
    }
}
