//! What nodes say of their issuing: the lines of their issuance logs.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A descriptor that a node has issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The node's id.
    pub node: Box<str>,
    /// Not before the last read of the state that allowed it, `CLOCK_BOOTTIME` in nanoseconds.
    pub at: u64,
    /// The key that signed it.
    pub kid: Box<str>,
    /// The index of the state that allowed it.
    pub index: u64,
    /// The descriptor's id.
    pub jti: Box<str>,
    /// Whom it is for.
    pub client: Box<str>,
    /// To which server.
    pub server: Box<str>,
    /// Whether a quorum confirmed it.
    pub strict: bool,
}

impl Issued {
    /// All descriptors that the node with its data in `folder` has issued, and the one that it was before it was
    /// removed and put its data aside. The node is not to do that meanwhile.
    ///
    /// # Panics
    /// When there is no issuance log, or a line that is none. The last line may be torn by a kill.
    pub fn read(folder: &Path) -> Vec<Self> {
        let entries = |folder: &Path| {
            let entries =
                fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let is_aside = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("removed-"))
        };
        let lives = entries(folder).into_iter().filter(is_aside).chain([folder.to_owned()]);
        let logs: Vec<_> = lives.map(|life| life.join("issuance")).filter(|log| log.exists()).collect();
        assert!(!logs.is_empty(), "{}: no issuance log", folder.display());
        let files = logs.iter().flat_map(|log| entries(log));
        let lines = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        lines.flat_map(|path| Self::read_file(&path)).collect()
    }

    fn read_file(path: &Path) -> Vec<Self> {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (whole, _torn) = text.rsplit_once('\n').unwrap_or_default();
        let parsed = whole.lines().filter(|line| !line.is_empty()).map(|line| {
            Self::parse(line).unwrap_or_else(|| panic!("{}: no issuance line: {line}", path.display()))
        });
        parsed.flatten().collect()
    }

    /// `None` for what is no line of this log; `Some(None)` for a refusal.
    fn parse(line: &str) -> Option<Option<Self>> {
        let line: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| line[name].as_str().map(Box::from);
        match line["decision"].as_str()? {
            "refused" => Some(None),
            "issued" => Some(Some(Self {
                node: text("node")?,
                at: line["issued_at_boottime_ns"].as_u64()?,
                index: line["index"].as_u64()?,
                jti: text("jti")?,
                kid: text("kid")?,
                client: text("client")?,
                server: text("server")?,
                strict: line["strict"] == true,
            })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_from_before_a_removal_are_read_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let issued = |jti: &str| {
            format!(
                r#"{{"issued_at_boottime_ns":1,"node":"a","decision":"issued","jti":"{jti}","client":"c","server":"a.b/c","kid":"k","index":2}}"#
            ) + "\n"
        };
        for (life, jti) in [("removed-a1", "before"), (".", "after")] {
            let log = folder.path().join(life).join("issuance");
            fs::create_dir_all(&log).expect("a folder");
            fs::write(log.join("1.jsonl"), issued(jti)).expect("a file");
        }
        let read = Issued::read(folder.path());
        assert_eq!(read.iter().map(|line| &*line.jti).collect::<Vec<_>>(), ["before", "after"]);
    }

    #[test]
    fn issued_lines_are_kept_and_refusals_are_not() {
        let issued = r#"{"at":"2026-01-01T00:00:00.000000Z","issued_at_boottime_ns":123,"node":"00000000000000a1",
            "decision":"issued","code":"ok","jti":"j","client":"c","server":"a.b/c","version":"1.0.0","kid":"k",
            "index":17}"#;
        let parsed = Issued::parse(issued).expect("a line").expect("issued");
        assert_eq!((parsed.at, parsed.index, &*parsed.server), (123, 17, "a.b/c"));
        let refused = r#"{"at":"","issued_at_boottime_ns":1,"node":"a","decision":"refused","code":"server_revoked","index":2}"#;
        assert_eq!(Issued::parse(refused), Some(None));
        assert_eq!(Issued::parse(r#"{"decision":"issued"}"#), None);
        assert_eq!(Issued::parse("nonsense"), None);
    }
}
