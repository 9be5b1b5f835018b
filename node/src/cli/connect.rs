//! `connect`: may this client connect to that server now?

use super::{Failure, Remote, output, table};
use hapi_client::{Boarding, ConnectRequest};
use serde_json::{Value, json};

const FIELDS: &[table::Column] = &[
    ("server", "/server/id"),
    ("version", "/server/version"),
    ("verified", "/server/verified"),
    ("endpoint", "/endpoint"),
    ("expires in (s)", "/expires_in"),
    ("decided at index", "/index"),
];

/// Ask for a Connect Descriptor, with a client token, and verify it.
///
/// The descriptor is signed, lives for a minute or so, and goes with every request to the endpoint, in the
/// header `MCP-Connect`. On a refusal that nobody but a human can lift the exit code is 4.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry connect ai.acme/weather --var region=eu --token-file client.token --output json
      The descriptor and the endpoint, for `hapi-registry verify -` or for a client.")]
pub(crate) struct Connect {
    /// NAMESPACE/NAME, or NAMESPACE/NAME@VERSION; without a version the latest stable one
    server_ref: String,
    /// A value for a {placeholder} in the server's URL; may be repeated
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// How long the descriptor should live, in seconds; the cluster clamps it
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// Decide from nothing older than this log index, as a write answered it
    #[arg(long, value_name = "INDEX")]
    min_index: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

impl Connect {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let request = ConnectRequest {
            server_ref: self.server_ref,
            variables: self.variables.into_iter().collect(),
            ttl: self.ttl,
            min_index: self.min_index,
        };
        let boarding = session.client().connect(&request).await?;
        for warning in &boarding.warnings {
            output::note(&format!("warning: {}", table::printable(warning)));
        }
        let answer = answer(&boarding);
        session.show(&answer, |answer| format!("{}\n{}", table::fields(FIELDS, answer), boarding.descriptor))
    }
}

/// What the API answered, as far as it was verified.
fn answer(boarding: &Boarding) -> Value {
    let claims = &boarding.claims;
    let mut answer = json!({
        "descriptor": boarding.descriptor,
        "endpoint": boarding.endpoint,
        "expires_in": claims.exp.saturating_sub(claims.iat),
        "server": claims.server,
        "index": boarding.index,
    });
    if !boarding.warnings.is_empty() {
        answer["warnings"] = json!(boarding.warnings);
    }
    answer
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn the_value_of_a_variable_may_hold_equals_signs() {
        assert_eq!(variable("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(variable("a").is_err());
    }
}
