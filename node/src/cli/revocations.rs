//! `revocations`: what is dead before its time.

use super::{Failure, Remote, authority, moderate, table};
use crate::clock;
use hapi_descriptor::{Revocations as Message, Seq, subject_hash, verify_revocations};
use hapi_registry_state::Subject;
use serde_json::{Value, json};

const FIELDS: &[table::Column] = &[
    ("issuer", "/iss"),
    ("signed at", "/iat"),
    ("valid until", "/exp"),
    ("read at index", "/index"),
    ("holds everything", "/full"),
    ("revoked keys", "/revoked_keys"),
];

const FLOORS: &[table::Column] = &[("SUBJECT", "/subject"), ("DEAD BELOW INDEX", "/below")];

/// Show the newest message of the revocation feed, verified: below which index descriptors are dead.
///
/// Anybody may read the feed, so that it names no subject, but its hash. Those that you name are looked for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry revocations server/ai.acme/weather
      Since when the descriptors for this server that were out are dead, if they are.")]
pub(crate) struct Revocations {
    /// Subjects to look for: server/…, version/…, namespace/…, client/… or tenant/…; without any, all hashes
    #[arg(value_name = "KIND/ID", value_parser = moderate::subject)]
    subjects: Vec<Subject>,
    /// Leave out what was denied at or before this log index, as far as the node can
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    since: u64,
    #[command(flatten)]
    remote: Remote,
}

impl Revocations {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let text = session.text(&format!("/v1/revocations?since={}", self.since)).await?;
        // Behind the message: a key that is newer than the set would be unknown.
        let keys = authority::keys(&session).await?;
        let issuer = authority::issuer(&session).await?;
        let message =
            verify_revocations(&text, &keys, &issuer, clock::now().seconds()).map_err(|refusal| {
                Failure::refused(format!("the message does not hold: {refusal} ({})", refusal.code()))
            })?;
        session.show(&self.shown(&message), report)
    }

    /// The message, with the floors that were asked for.
    fn shown(&self, message: &Message) -> Value {
        let named = self.subjects.iter().map(|subject| {
            let hash = subject_hash(&message.iss, subject.kind(), &subject.id());
            floor(&subject.to_string(), message.min_seq.get(&hash))
        });
        let all = message.min_seq.iter().map(|(hash, seq)| floor(hash, Some(seq)));
        let floors: Vec<_> = if self.subjects.is_empty() { all.collect() } else { named.collect() };
        let mut shown = json!(message);
        shown["index"] = json!(message.seq.index());
        shown["floors"] = floors.into();
        shown
    }
}

/// Descriptors that were decided below the index are dead; `null` if all live to their end.
fn floor(subject: &str, seq: Option<&u64>) -> Value {
    let below = seq.and_then(|seq| Seq::new(*seq)).map(Seq::index);
    json!({ "subject": subject, "below": below })
}

fn report(shown: &Value) -> String {
    let floors = shown["floors"].as_array().into_iter().flatten();
    format!("{}\n{}", table::fields(FIELDS, shown), table::table(FLOORS, floors))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        revocations: Revocations,
    }

    const ISSUER: &str = "https://registry.example";

    fn message() -> Message {
        let hash = subject_hash(ISSUER, "server", "ai.acme/weather");
        Message {
            iss: ISSUER.into(),
            iat: 1_800_000_000,
            exp: 1_800_000_010,
            incarnation: 1,
            seq: Seq::from_parts(1, 500).unwrap(),
            since: 0,
            full: true,
            min_seq: [(hash, Seq::from_parts(1, 17).unwrap().get())].into(),
            revoked_keys: Default::default(),
        }
    }

    fn shown(line: &str) -> String {
        report(&Line::try_parse_from(line.split(' ')).unwrap().revocations.shown(&message()))
    }

    #[test]
    fn a_subject_that_is_named_is_found_by_its_hash() {
        insta::assert_snapshot!(shown("revocations server/ai.acme/weather client/billing"), @r"
        issuer:            https://registry.example
        signed at:         1800000000
        valid until:       1800000010
        read at index:     500
        holds everything:  yes
        revoked keys:      -

        SUBJECT                 DEAD BELOW INDEX
        server/ai.acme/weather  17
        client/billing          -
        ");
    }

    #[test]
    fn without_a_name_every_hash_is_shown() {
        let hash = subject_hash(ISSUER, "server", "ai.acme/weather");
        assert!(shown("revocations").contains(&format!("{hash}  17")));
    }
}
