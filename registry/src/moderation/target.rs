//! What an act is done to: one subject, or all that fit a glob when the act comes to pass.

use super::Subject;
use crate::{Glob, Registry, Rejection};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most subjects of one act: its entry is applied in one go, and its audit record names each.
const MAX_SUBJECTS: usize = 1_000;

/// What an act is done to. New kinds are added at the end: the order is the form in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One subject.
    One(Subject),
    /// Each server with such a name.
    Servers(Glob),
    /// Each version of such a text, of each server with such a name.
    Versions {
        /// Over names.
        names: Glob,
        /// Over versions.
        versions: Glob,
    },
}

impl Target {
    /// Parses what the API calls `subject.kind` and `subject.glob`. A glob for versions is one for names, and behind an
    /// `@`, if need be, one for versions.
    pub fn parse_glob(kind: &str, glob: &str) -> Result<Self, String> {
        let parse = |text: &str| text.parse::<Glob>().map_err(|error| format!("`{text}`: {error}"));
        match kind {
            "server" => parse(glob).map(Self::Servers),
            "version" => {
                let (names, versions) = glob.split_once('@').unwrap_or((glob, "*"));
                Ok(Self::Versions { names: parse(names)?, versions: parse(versions)? })
            }
            _ => {
                Err(format!("a glob goes with the kinds server and version, not with `{kind}`: name its id"))
            }
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::One(subject) => subject.kind(),
            Self::Servers(_) => "server",
            Self::Versions { .. } => "version",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(subject) => subject.fmt(f),
            Self::Servers(names) => write!(f, "server/{names}"),
            Self::Versions { names, versions } => write!(f, "version/{names}@{versions}"),
        }
    }
}

impl Registry {
    /// The subjects that a target stands for now, in order.
    pub(super) fn fitting(&self, target: &Target) -> Result<Vec<Subject>, Rejection> {
        let subjects: Vec<Subject> = match target {
            Target::One(subject) => vec![subject.clone()],
            Target::Servers(names) => {
                let named = self.servers.keys().filter(|name| names.matches(name.as_str()));
                named.cloned().map(Subject::Server).collect()
            }
            Target::Versions { names, versions } => self.versions_fitting(names, versions).collect(),
        };
        match subjects.len() {
            0 => Err(Rejection::NothingFits(target.to_string())),
            number if number > MAX_SUBJECTS => Err(Rejection::TooManySubjects {
                target: target.to_string(),
                kind: target.kind().into(),
                number,
                limit: MAX_SUBJECTS,
            }),
            _ => Ok(subjects),
        }
    }

    fn versions_fitting(&self, names: &Glob, versions: &Glob) -> impl Iterator<Item = Subject> {
        let named = self.servers.iter().filter(|(name, _)| names.matches(name.as_str()));
        named.flat_map(|(name, server)| {
            let fitting = server.versions.keys().filter(|version| versions.matches(version.as_str()));
            fitting.map(|version| Subject::Version(name.clone(), version.clone()))
        })
    }
}
