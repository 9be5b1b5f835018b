//! Files of the chain: a head alone, or a head and records, one a line.

use super::chain::Shown;
use crate::cli::Failure;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};

/// What was kept of a chain.
pub(super) struct Saved {
    path: PathBuf,
    /// The signed head, if the file has one.
    pub(super) head: Option<String>,
    /// A line that was read already.
    first: Option<Map<String, Value>>,
    lines: Lines<BufReader<File>>,
    /// Whether it has nothing but a head.
    pub(super) is_head_alone: bool,
}

impl Saved {
    /// Opens a file that `audit export` has made, records as JSON lines, or a head alone.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path);
        let file =
            file.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        let lines = BufReader::new(file).lines();
        let mut saved = Self { path: path.to_owned(), head: None, first: None, lines, is_head_alone: false };
        match saved.line()? {
            Some(line) if !line.starts_with('{') => {
                (saved.head, saved.is_head_alone) = (Some(line), true);
            }
            Some(line) => {
                let members = saved.parse(&line)?;
                match members.get("signed_head").and_then(Value::as_str) {
                    Some(head) => saved.head = Some(head.to_owned()),
                    None => saved.first = Some(members),
                }
            }
            None => {}
        }
        Ok(saved)
    }

    /// The next record.
    pub(super) fn next(&mut self) -> Result<Option<Shown>, Failure> {
        let members = match self.first.take() {
            Some(members) => members,
            None => match self.line()? {
                Some(line) => self.parse(&line)?,
                None => return Ok(None),
            },
        };
        Shown::new(members).map(Some).ok_or_else(|| self.is_none("a line is no record of the audit chain"))
    }

    fn line(&mut self) -> Result<Option<String>, Failure> {
        for line in self.lines.by_ref() {
            let line = line.map_err(|error| {
                Failure::refused(format!("{} cannot be read to its end: {error}", self.path.display()))
            })?;
            if !line.trim().is_empty() {
                return Ok(Some(line.trim().to_owned()));
            }
        }
        Ok(None)
    }

    fn parse(&self, line: &str) -> Result<Map<String, Value>, Failure> {
        serde_json::from_str(line).map_err(|error| self.is_none(&error.to_string()))
    }

    fn is_none(&self, why: &str) -> Failure {
        Failure::refused(format!("{} is not what `audit export` makes: {why}", self.path.display()))
    }
}
