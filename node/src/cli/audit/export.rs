//! `audit export`: the signed head, and every record up to it.

use super::live;
use crate::cli::{Failure, Remote};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Save the whole chain with its signed head into a new file, for `audit verify`.
///
/// The file has the head in its first line and then one record a line, as JSON. Kept elsewhere, it shows later that
/// nobody has rewritten what it holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry audit export audit-2026-11.jsonl --token-file auditor.token
      Every month, kept where no operator of the cluster can write.")]
pub(crate) struct Export {
    /// The file to be made
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

impl Export {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let (text, head) = live::head(&session).await?;
        let file = File::create_new(&self.file).map_err(|error| unwritable(&self.file, &error))?;
        let mut file = BufWriter::new(file);
        let mut write = |line: &Value| {
            serde_json::to_writer(&mut file, line)
                .map_err(io::Error::from)
                .and_then(|()| file.write_all(b"\n"))
        };
        let mut written = write(&json!({ "signed_head": text }));
        let mut pages = live::Pages::up_to(&session, &head);
        while let Some(record) = pages.next().await? {
            written = written.and_then(|()| write(&Value::Object(record)));
        }
        let whole = written.and_then(|()| file.into_inner().map_err(io::Error::from)?.sync_all());
        whole.map_err(|error| unwritable(&self.file, &error))?;
        let answer =
            json!({ "file": self.file, "records": head.records, "index": head.last, "head": head.head });
        session.show(&answer, |_| {
            format!("{}: {} records up to index {}", self.file.display(), head.records, head.last)
        })
    }
}

fn unwritable(file: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {error}", file.display()))
}
