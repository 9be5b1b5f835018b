//! `server.json`: the document by which a publisher describes one version of a server.
//!
//! It is judged once, at the edge, into a [`ServerJson`], which proves from then on that the rules held.
//! The text itself is kept byte for byte, fields that this registry does not know included.

mod canonical;
mod document;
mod input;
mod issue;
mod json;
mod kept;
mod object;
mod package;
mod publisher;
mod remote;
mod rules;

pub use crate::endpoint::Variable;
pub use issue::{Issue, IssueKind, Severity};
pub(crate) use kept::Endpoints;
pub use kept::KeptServerJson;
pub use publisher::ConnectMetadata;
pub use remote::{Remote, Transport};
pub use rules::{Rules, Strictness};

use crate::{name::ServerName, version::Version};
use document::Facts;
use rules::Report;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};

/// A document that kept the rules when it was parsed. A clone is a pointer copy.
///
/// [`ServerJson::parse`] is the only door for new documents. The log and snapshots carry what was read out
/// of the text beside it, and reading those back judges nothing: all replicas hold what the edge found,
/// whichever version of the rules they run.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerJson(Arc<Contents>);

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    raw: Box<str>,
    sha256: [u8; 32],
    facts: Facts,
}

/// A document that was taken, and what its publisher should know all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The document.
    pub server: ServerJson,
    /// Findings that are no errors.
    pub warnings: Vec<Issue>,
}

/// All that is to be said of `raw`, errors or not, in the order of the document's fields. Text that is no
/// JSON has one issue, which says the line and column.
pub fn validate(raw: &[u8], rules: Rules) -> Vec<Issue> {
    inspect(raw, rules).1
}

fn inspect(raw: &[u8], rules: Rules) -> (Option<ServerJson>, Vec<Issue>) {
    let (text, fields) = match json::read(raw) {
        Ok(read) => read,
        Err(issue) => return (None, vec![issue]),
    };
    let mut report = Report::new(rules);
    let facts = document::read(&fields, &mut report);
    let server = facts.map(|facts| {
        let sha256 = Sha256::digest(raw).into();
        ServerJson(Arc::new(Contents { raw: text.into(), sha256, facts }))
    });
    (server, report.into_issues())
}

impl ServerJson {
    /// Takes `raw` if it keeps `rules`; otherwise answers with every issue, of which at least one is an
    /// error.
    ///
    /// At most 256 KiB, 32 levels of nesting and no repeated keys, checked before anything is built.
    pub fn parse(raw: &[u8], rules: Rules) -> Result<Parsed, Vec<Issue>> {
        let (server, issues) = inspect(raw, rules);
        let refused = issues.iter().any(|issue| issue.severity == Severity::Error);
        match server {
            Some(server) if !refused => Ok(Parsed { server, warnings: issues }),
            _ => Err(issues),
        }
    }

    /// The text, exactly as it was given.
    pub fn raw(&self) -> &[u8] {
        self.0.raw.as_bytes()
    }

    /// The SHA-256 of [`Self::raw`].
    pub fn sha256(&self) -> [u8; 32] {
        self.0.sha256
    }

    /// The server's name.
    pub fn name(&self) -> &ServerName {
        &self.0.facts.name
    }

    /// The version that the document describes.
    pub fn version(&self) -> &Version {
        &self.0.facts.version
    }

    /// The display name.
    pub fn title(&self) -> Option<&str> {
        self.0.facts.title.as_deref()
    }

    /// What the server does.
    pub fn description(&self) -> &str {
        &self.0.facts.description
    }

    /// The remotes that can be connected to, in the document's order. Of an imported document these need
    /// not be all: one whose URL breaks a rule stays in the text alone.
    pub fn remotes(&self) -> &[Remote] {
        &self.0.facts.remotes
    }

    /// Whether there is something to install.
    pub fn has_packages(&self) -> bool {
        self.0.facts.has_packages
    }

    /// How clients recognise the server beyond its URL.
    pub fn connect(&self) -> &ConnectMetadata {
        &self.0.facts.connect
    }

    /// The SHA-256 over name, version, remotes and packages: what may never change once it is published.
    /// White space and the order of keys do not count.
    pub fn immutable_digest(&self) -> [u8; 32] {
        self.0.facts.immutable_digest
    }
}

impl fmt::Debug for ServerJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerJson({}@{})", self.name(), self.version())
    }
}
