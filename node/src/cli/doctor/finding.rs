//! One thing that the doctor has found.

use crate::cli::table;
use serde::Serialize;

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Something does not work, or soon will not.
    Error,
    /// The next trouble will do harm.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    fn heading(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
        }
    }
}

/// One thing that the doctor has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// A word for programs.
    pub(super) code: &'static str,
    /// Where: a folder, a file, a node, the cluster.
    pub(super) place: String,
    /// What, in a sentence.
    pub(super) what: String,
    /// What to do about it; empty where nothing is to be done.
    pub(super) remedy: String,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        code: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity, code, place: place.into(), what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn error(
        code: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Error, code, place, what, remedy)
    }

    pub(super) fn warning(
        code: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, code, place, what, remedy)
    }

    pub(super) fn info(code: &'static str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, place, what, "")
    }

    /// Nodes say what strangers told them: no control character of theirs reaches the terminal.
    fn paragraph(&self) -> String {
        let line = |name: &str, text: &str| format!("{name:<9}{}\n", table::printable(text));
        let remedy = if self.remedy.is_empty() { String::new() } else { line("  do:", &self.remedy) };
        format!("{}{}{remedy}", line(self.severity.heading(), &self.place), line("", &self.what))
    }
}

/// All findings for people.
pub(super) fn page(findings: &[Finding]) -> String {
    let paragraphs: Vec<_> = findings.iter().map(Finding::paragraph).collect();
    let trouble = findings.iter().any(|finding| finding.severity != Severity::Info);
    let end = if trouble { "" } else { "\nnothing is wrong" };
    format!("{}{end}", paragraphs.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_paragraph_and_steers_no_terminal() {
        let found = [
            Finding::error("unreachable", "node b2", "it does not\u{1b} answer", "start it"),
            Finding::info("folder", "/data", "of node a1"),
        ];
        insta::assert_snapshot!(page(&found), @r"
        ERROR    node b2
                 it does not� answer
          do:    start it

        INFO     /data
                 of node a1
        ");
        assert!(page(&found[1..]).ends_with("nothing is wrong"));
    }
}
