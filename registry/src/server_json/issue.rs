//! What validation finds: the form in which `POST /validate` answers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of rule a finding comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssueKind {
    /// The text is not JSON that this registry reads.
    Json,
    /// The JSON schema of `server.json`.
    Schema,
    /// A rule that no schema can express.
    Semantic,
    /// Advice.
    Linter,
}

/// What a finding means for the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is taken, and something in it will disappoint.
    Warning,
    /// Something worth knowing.
    Info,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The kind of rule.
    #[serde(rename = "type")]
    pub kind: IssueKind,
    /// The place in the document, such as `remotes[0].url`; empty for the whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// What it means for the document.
    pub severity: Severity,
    /// The rule: a pointer into the JSON schema for kind `schema`, else a name that stays the same.
    pub reference: String,
}

impl Issue {
    pub(super) fn json(reference: &str, message: impl Into<String>) -> Self {
        Self::new(IssueKind::Json, "", reference, message)
    }

    pub(super) fn schema(path: &str, reference: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(IssueKind::Schema, path, reference, message)
    }

    pub(super) fn semantic(path: &str, reference: &str, message: impl Into<String>) -> Self {
        Self::new(IssueKind::Semantic, path, reference, message)
    }

    pub(super) fn linter(path: &str, reference: &str, message: impl Into<String>) -> Self {
        Self::new(IssueKind::Linter, path, reference, message)
    }

    fn new(kind: IssueKind, path: &str, reference: impl Into<String>, message: impl Into<String>) -> Self {
        let (path, message, reference) = (path.into(), message.into(), reference.into());
        Self { kind, path, message, severity: Severity::Error, reference }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}
