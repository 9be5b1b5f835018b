//! `validate`: what a registry would say of a document, without asking one.

use super::{Failure, Output, publish, say, table};
use hapi_registry_state::{Issue, Rules, Severity, Strictness, validate};
use serde_json::json;
use std::path::PathBuf;

/// Judge a `server.json` document by the rules that publishing enforces. No node is asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry validate server.json
      Lists every error and warning with its place; exits with 1 if there is an error.")]
pub(crate) struct Validate {
    /// The `server.json` document
    file: PathBuf,
    /// Let remotes be `http` or on this machine, as a cluster in development does
    #[arg(long)]
    allow_insecure_endpoints: bool,
    /// The form of the answer
    #[arg(long, value_enum, env = "HAPI_OUTPUT", default_value_t)]
    output: Output,
}

impl Validate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let bytes = publish::read(&self.file)?;
        let rules = Rules {
            strictness: Strictness::Publish,
            allow_insecure_endpoints: self.allow_insecure_endpoints,
        };
        let issues = validate(&bytes, rules);
        let errors = issues.iter().filter(|issue| issue.severity == Severity::Error).count();
        say(&match self.output {
            Output::Json => format!("{:#}", json!({"valid": errors == 0, "issues": issues})),
            Output::Table => report(&issues, errors),
        })?;
        match errors {
            0 => Ok(()),
            1 => Err(Failure::refused(format!("{} has an error", self.file.display()))),
            _ => Err(Failure::refused(format!("{} has {errors} errors", self.file.display()))),
        }
    }
}

/// Whole sentences, so no column cuts them short.
fn report(issues: &[Issue], errors: usize) -> String {
    let line = |issue: &Issue| {
        let severity = format!("{:?}", issue.severity).to_lowercase();
        vec![severity, table::printable(&issue.path), table::printable(&issue.message)]
    };
    let lines = table::align(&issues.iter().map(line).collect::<Vec<_>>());
    if errors == 0 { format!("{lines}valid") } else { lines }
}
