//! `introspect`: is this descriptor good at this moment, by what the cluster knows?

use super::presented::Presented;
use super::{Failure, Remote, table};
use serde_json::Value;

const FIELDS: &[table::Column] = &[
    ("server", "/server"),
    ("version", "/version"),
    ("client", "/client_id"),
    ("audience", "/aud"),
    ("issuer", "/iss"),
    ("scope", "/scope"),
    ("issued at", "/iat"),
    ("ends at", "/exp"),
    ("descriptor", "/jti"),
];

/// Ask the cluster whether a descriptor is good now; `verify` asks only whether it was signed so.
///
/// A client may ask about its own, an auditor, moderator or operator about any. One that has ended, was revoked, or
/// is not yours to know, is not good: the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry connect ai.acme/weather --output json | hapi-registry introspect -
      Whether what was just issued still holds.")]
pub(crate) struct Introspect {
    /// The descriptor, or `-` to read it from stdin; what `connect --output json` prints will do
    descriptor: String,
    #[command(flatten)]
    remote: Remote,
}

impl Introspect {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let presented = Presented::read(&self.descriptor)?;
        let answer = session.post_form("/oauth2/introspect", &[("token", &presented.descriptor)]).await?;
        session.show(&answer, report)?;
        match answer["active"].as_bool() {
            Some(true) => Ok(()),
            _ => Err(Failure::refused("the descriptor is not good now, or not yours to know")),
        }
    }
}

fn report(answer: &Value) -> String {
    let verdict = if answer["active"] == true { "active" } else { "not active" };
    format!("{}{verdict}", table::fields(FIELDS, answer))
}

#[cfg(test)]
mod tests {
    use super::report;
    use serde_json::json;

    #[test]
    fn the_verdict_comes_last_and_nothing_is_said_of_what_is_not_active() {
        assert_eq!(report(&json!({"active": false})), "not active");
        let answer = json!({"active": true, "server": "ai.acme/weather", "client_id": "billing", "exp": 1});
        insta::assert_snapshot!(report(&answer), @r"
        server:   ai.acme/weather
        client:   billing
        ends at:  1
        active
        ");
    }
}
