//! `settings`: what the whole cluster agrees on.

use super::seal::Follow;
use super::{Failure, Remote, table};
use hapi_client::Method;
use hapi_registry_state::SettingsChange;
use serde_json::{Map, Value};

const PATH: &str = "/v1/settings";

/// Those that are lists of texts.
const LISTS: [&str; 3] = ["strict_servers", "health_gate_servers", "health_gate_exempt"];

/// Show and change the settings that the whole cluster shares.
///
/// Keys: governed (all, verified), anonymous_reads, allow_insecure_endpoints (true, false), ttl_default, ttl_min,
/// ttl_max, key_prepublish (seconds), strict (true, false: a quorum confirms every connect), strict_servers (globs
/// with commas: only those of these servers), client_connects_per_minute, tenant_connects_per_minute (of each over
/// the whole cluster; 0: any number), new_entries (open, approval: what is published from now on is in quarantine until
/// a moderator approves it), two_person (true, false: a second moderator confirms what is revoked or reinstated),
/// health_gate (off, on: servers that do not answer are not connected to), health_gate_servers, health_gate_exempt (globs
/// with commas: those for which it is on, or off, in any case), health_interval (seconds), health_timeout_ms,
/// health_failures, health_successes (so many in a row make a server down, or up again).
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry settings set governed=verified ttl_max=60
      From now on only verified servers are reached, for a minute at a time.")]
pub(crate) enum Settings {
    /// Show all settings.
    #[command(after_help = "Example:
  hapi-registry settings get --output json
      The settings in force, for a program.")]
    Get(Get),
    /// Change settings, with an operator token. Those that are not named stay.
    #[command(after_help = "Example:
  hapi-registry settings set anonymous_reads=true
      Anybody may read the public part of the catalog.")]
    Set(Set),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// One or more settings
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = pair)]
    settings: Vec<(String, Value)>,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

impl Settings {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Get(Get { remote }) => {
                let session = remote.session()?;
                let answer = session.get(PATH).await?;
                session.show(&answer, show)
            }
            Self::Set(set) => set.run().await,
        }
    }
}

impl Set {
    async fn run(self) -> Result<(), Failure> {
        let patch = Value::Object(self.settings.into_iter().collect());
        check(&patch)?;
        let session = self.remote.session()?;
        let answer = self.follow.write(&session, Method::PATCH, PATH, Some(patch)).await?;
        // A change that had to be followed is answered by its receipt.
        let answer = if answer.get("sealed").is_some() { session.get(PATH).await? } else { answer };
        session.show(&answer, show)
    }
}

/// Tells a wrong key or type here, by the very type that the node reads.
fn check(patch: &Value) -> Result<(), Failure> {
    let read = serde_json::from_value::<SettingsChange>(patch.clone());
    read.map(drop).map_err(|error| Failure::usage(error.to_string()))
}

/// Whatever reads as JSON (`true`, `60`, `["a"]`) is that, all else is a text, or texts with commas.
fn pair(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    let texts = || value.split(',').map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let otherwise = || if LISTS.contains(&key) { Value::from(texts()) } else { Value::from(value) };
    let value = serde_json::from_str(value).unwrap_or_else(|_| otherwise());
    Ok((key.to_owned(), value))
}

fn show(answer: &Value) -> String {
    let empty = Map::new();
    let settings = answer.get("settings").unwrap_or(answer).as_object().unwrap_or(&empty);
    let line = |(key, value): (&String, &Value)| vec![key.clone(), table::cell(Some(value))];
    table::align(&settings.iter().map(line).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_as_what_they_look_like() {
        assert_eq!(pair("ttl_max=60").unwrap(), ("ttl_max".into(), json!(60)));
        assert_eq!(pair("anonymous_reads=true").unwrap().1, json!(true));
        assert_eq!(pair("governed=verified").unwrap().1, json!("verified"));
        assert_eq!(pair("strict=true").unwrap().1, json!(true));
    }

    #[test]
    fn a_list_is_written_with_commas() {
        let servers = |text: &str| pair(&format!("strict_servers={text}")).unwrap().1;
        assert_eq!(servers("ai.acme/*, ai.bank/pay,"), json!(["ai.acme/*", "ai.bank/pay"]));
        assert_eq!(servers("[\"ai.acme/*\"]"), json!(["ai.acme/*"]));
        assert_eq!(servers(""), json!([]));
        assert_eq!(pair("health_gate_exempt=ai.acme/*").unwrap().1, json!(["ai.acme/*"]));
    }

    #[test]
    fn a_wrong_key_or_type_is_told_before_anything_is_sent() {
        assert!(check(&json!({"ttl_max": 60, "governed": "all", "new_entries": "approval"})).is_ok());
        assert!(check(&json!({"new_entries": "closed"})).is_err());
        assert!(check(&json!({"health_gate": "on", "ttl_max": 60, "two_person": true})).is_ok());
        assert!(check(&json!({"health_gates": "on"})).unwrap_err().message.contains("health_gates"));
        assert!(check(&json!({"ttl": 60})).unwrap_err().message.contains("unknown field `ttl`"));
        assert!(check(&json!({"ttl_max": "long"})).is_err());
    }
}
