//! How strictly a document is judged, and the report that a judgement fills.

use super::{Issue, Severity};

/// How strictly a document is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether the document is new, or was accepted elsewhere before.
    pub strictness: Strictness,
    /// Whether remotes may use plain `http` and this machine as host: for development only.
    pub allow_insecure_endpoints: bool,
}

/// Whether a document is new, or was accepted elsewhere before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Every rule holds.
    Publish,
    /// Only what could not be kept or found again is refused; every other breach becomes a warning, and a
    /// remote that breaks a rule is not connected to.
    Import,
}

/// The findings so far.
pub(super) struct Report {
    rules: Rules,
    issues: Vec<Issue>,
}

impl Report {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, issues: Vec::new() }
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules
    }

    /// Notes a breach that no document survives.
    pub(super) fn fatal(&mut self, issue: Issue) {
        self.add(Severity::Error, issue);
    }

    /// Notes a breach that an imported document survives.
    pub(super) fn refuse(&mut self, issue: Issue) {
        let severity = match self.rules.strictness {
            Strictness::Publish => Severity::Error,
            Strictness::Import => Severity::Warning,
        };
        self.add(severity, issue);
    }

    pub(super) fn warn(&mut self, issue: Issue) {
        self.add(Severity::Warning, issue);
    }

    pub(super) fn inform(&mut self, issue: Issue) {
        self.add(Severity::Info, issue);
    }

    pub(super) fn into_issues(self) -> Vec<Issue> {
        self.issues
    }

    fn add(&mut self, severity: Severity, issue: Issue) {
        self.issues.push(Issue { severity, ..issue });
    }
}
