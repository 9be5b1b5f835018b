//! `doctor`: what is wrong, and what to do about it.
//!
//! The rules are pure: `folder.rs` judges what a look at a data folder has found, `cluster.rs` what nodes have answered.

mod ask;
mod cluster;
mod finding;
mod folder;
mod view;

use super::failure::Exit;
use super::serve::slots;
use super::{Failure, Output, Remote, say};
use finding::{Finding, Severity};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Say what is wrong with a running cluster, or with the data folder of a node that does not run, and what to do.
///
/// Asks every node that it is told of, and every one that those name, with an auditor, moderator or operator token. With
/// --data-dir it looks at a folder instead, and changes nothing in it; a folder that a node has open is looked at from
/// outside only. Exits with 6 if it has found an error or a warning.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry doctor --node https://a.registry.example --token-file operator.token
      Everything that the nodes of the cluster know to be wrong.
  hapi-registry doctor --data-dir /var/lib/hapi-registry
      Why a node does not start, and what its folder holds.")]
pub(crate) struct Doctor {
    /// Look at this data folder instead of asking nodes
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the database is copied to for as long as it is looked at [default: the folder for temporary files]
    #[arg(long, value_name = "DIR", requires = "data_dir")]
    scratch_dir: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

impl Doctor {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut findings = match &self.data_dir {
            Some(dir) => look_at_all(dir, self.scratch_dir.as_deref())?,
            None => cluster::judge(&ask::everybody(&self.remote).await?),
        };
        findings.sort_by_key(|finding| finding.severity);
        let text = match self.remote.output {
            Output::Json => report(&findings).to_string(),
            Output::Table => finding::page(&findings),
        };
        say(&text)?;
        verdict(&findings)
    }
}

/// A folder that replicas share has one for each of them in it.
fn look_at_all(dir: &Path, scratch: Option<&Path>) -> Result<Vec<Finding>, Failure> {
    if !dir.is_dir() {
        return Err(Failure::usage(format!("--data-dir: there is no folder {}", dir.display())));
    }
    let slots = slots::taken(dir);
    if slots.is_empty() {
        return look_at(dir, scratch);
    }
    let found: Result<Vec<_>, _> = slots.iter().map(|slot| look_at(slot, scratch)).collect();
    Ok(found?.concat())
}

fn look_at(dir: &Path, scratch: Option<&Path>) -> Result<Vec<Finding>, Failure> {
    let scratch = scratch.map_or_else(std::env::temp_dir, Path::to_owned);
    let checkup = hapi_raft::checkup(dir, &scratch).map_err(|error| {
        Failure::refused(format!(
            "data folder {} cannot be looked at, with copies in {}: {error}",
            dir.display(),
            scratch.display()
        ))
        .hint("run this as the user that runs the node, and name a folder for copies with --scratch-dir")
    })?;
    Ok(folder::judge(&dir.display().to_string(), &checkup))
}

fn is_trouble(finding: &Finding) -> bool {
    finding.severity != Severity::Info
}

fn report(findings: &[Finding]) -> serde_json::Value {
    json!({ "healthy": !findings.iter().any(is_trouble), "findings": findings })
}

/// Trouble has an exit code of its own, so that a script tells it from a doctor that could not look.
fn verdict(findings: &[Finding]) -> Result<(), Failure> {
    match findings.iter().filter(|finding| is_trouble(finding)).count() {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Trouble, "the doctor has found 1 trouble")),
        count => Err(Failure::new(Exit::Trouble, format!("the doctor has found {count} troubles"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_more_than_news_is_trouble() {
        let news = Finding::new(Severity::Info, "folder", "DIR", "a folder", "nothing");
        assert_eq!(verdict(std::slice::from_ref(&news)), Ok(()));
        assert_eq!(report(std::slice::from_ref(&news))["healthy"], true);
        let warning = Finding { severity: Severity::Warning, ..news.clone() };
        assert_eq!(verdict(&[news, warning.clone()]).map_err(|failure| failure.exit), Err(Exit::Trouble));
        assert_eq!(report(&[warning])["healthy"], false);
    }
}
